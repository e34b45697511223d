import pytest
import torch
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.layers import TokenLinear


@pytest.mark.parametrize("out", [None, 2])
def test_is_a_linear_map_on_the_transpose(out: int | None) -> None:
    token = TokenLinear(5, out).double()
    plain = nn.Linear(5, out or 5).double()
    plain.load_state_dict(token.state_dict())
    x = torch.randn(3, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(token(x), plain(x.mT).mT, rtol=1e-12, atol=1e-12)


def test_sizes_are_checked() -> None:
    with pytest.raises(AllmlpError, match="integer num_tokens of at least 1, got 0"):
        TokenLinear(0)
