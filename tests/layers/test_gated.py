import pytest
import torch
from torch import nn

from allmlp.layers import Gate, matched_units


def test_with_a_sigmoid_it_is_torchs_glu() -> None:
    x = torch.randn(5, 3, 8)
    torch.testing.assert_close(Gate(nn.Sigmoid())(x), nn.GLU()(x))


def test_with_the_identity_it_is_bilinear() -> None:
    x = torch.randn(4, 6)
    torch.testing.assert_close(Gate(nn.Identity())(3 * x), 9 * Gate(nn.Identity())(x))


@pytest.mark.parametrize("units", [32, 256, 1000, 4096])
def test_three_matrices_cost_what_two_did(units: int) -> None:
    gated = matched_units(units, 2 / 3)
    assert gated % 8 == 0
    assert abs(3 * gated - 2 * units) <= 12  # half a step of 8, three times


def test_small_sizes_are_not_rounded_away() -> None:
    assert [matched_units(n, 2 / 3) for n in (1, 2, 5, 31)] == [1, 1, 3, 21]
