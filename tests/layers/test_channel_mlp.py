import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.layers import CHANNEL_MLPS, Mlp, make_channel_mlp


@pytest.mark.parametrize("kind", CHANNEL_MLPS)
def test_maps_a_width_to_itself(kind: str) -> None:
    mlp = make_channel_mlp(kind, 16, 24, dropout_rate=0.5)
    x = torch.randn(2, 5, 16)
    assert mlp(x).shape == x.shape
    assert not torch.equal(mlp(x), mlp(x))
    mlp.eval()
    order = torch.randperm(5)
    torch.testing.assert_close(mlp(x[:, order]), mlp(x)[:, order])
    mlp(x).sum().backward()
    assert all(p.grad is not None for p in mlp.parameters())


def test_costs() -> None:
    counts = {
        kind: sum(p.numel() for p in make_channel_mlp(kind, 16, 24).parameters())
        for kind in CHANNEL_MLPS
    }
    assert counts == {
        "gelu": 2 * 16 * 24 + 16 + 24,
        "bilinear": 3 * 16 * 24 + 2 * 24 + 16,
        "swiglu": 3 * 16 * 24 + 2 * 24 + 16,
        "kan": 2 * 16 * 24 * 9,  # eight splines and the base of every edge
        "grkan": 2 * 16 * 24 + 16 + 24 + 2 * (6 + 8 * 4),
    }


def test_gelu_is_the_plain_mlp() -> None:
    mlp = make_channel_mlp("gelu", 4, 8, gelu="tanh")
    assert isinstance(mlp, Mlp)
    assert mlp.activation.approximate == "tanh"


def test_unknown_kind() -> None:
    with pytest.raises(AllmlpError, match="unknown mlp 'kann'; did you mean kan"):
        make_channel_mlp("kann", 4, 8)
