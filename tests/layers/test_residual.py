import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.layers import RESIDUALS
from allmlp.layers.residual import check_residual


def test_the_sum_and_the_branch_alone() -> None:
    x, branch = torch.randn(2, 3), torch.randn(2, 3)
    assert torch.equal(RESIDUALS["sum"](3)(x, branch), x + branch)
    assert torch.equal(RESIDUALS["none"](3)(x, branch), branch)


def test_nothing_is_dropped_where_nothing_would_be_left() -> None:
    check_residual("Mixer", "sum", 0.1)
    check_residual("Mixer", "none", 0.0)
    with pytest.raises(AllmlpError, match=r"no path around a dropped branch, got .*=0.1; set it"):
        check_residual("Mixer", "none", 0.1)
    with pytest.raises(AllmlpError, match="'summe'"):
        check_residual("Mixer", "summe", 0.0)
