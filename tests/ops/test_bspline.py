"""B-splines against Cox and de Boor's recursion, written out as an oracle."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.ops.bspline import bspline_basis, cell_polynomials, extend_knots, is_uniform

F64 = torch.float64


def cox_de_boor(x: Tensor, t: Tensor, k: int, order: int = 0) -> Tensor:
    """(n,), (t,) -> (n, t - k - 1), half-open cells, from the two textbook formulas."""
    if order:
        lower = cox_de_boor(x, t, k - 1, order - 1)
        left = lower[:, :-1] / (t[k:-1] - t[: -k - 1])
        right = lower[:, 1:] / (t[k + 1 :] - t[1:-k])
        return k * (left - right)
    x = x[:, None]
    values = ((x >= t[:-1]) & (x < t[1:])).to(x.dtype)
    for p in range(1, k + 1):
        rising = (x - t[: -p - 1]) / (t[p:-1] - t[: -p - 1])
        falling = (t[p + 1 :] - x) / (t[p + 1 :] - t[1:-p])
        values = rising * values[:, :-1] + falling * values[:, 1:]
    return values


def some_knots(k: int, grid: int, uniform: bool) -> Tensor:
    widths = torch.ones(grid, dtype=F64) if uniform else 0.2 + torch.rand(grid, dtype=F64)
    points = torch.cat([torch.zeros(1, dtype=F64), widths.cumsum(0) / widths.sum()])
    return extend_knots((2 * points - 1)[None], k)


@pytest.mark.parametrize("uniform", [True, False])
@settings(deadline=None)
@given(k=st.integers(1, 6), grid=st.integers(1, 12), seed=st.integers(0, 99))
def test_equals_cox_de_boor(uniform: bool, k: int, grid: int, seed: int) -> None:
    torch.manual_seed(seed)
    knots = some_knots(k, grid, uniform)
    polynomials = None if uniform else cell_polynomials(knots, k)
    # inside, at every knot, in the tails and beyond
    x = torch.cat([4 * torch.rand(200, dtype=F64) - 2, knots[0], torch.tensor([-9.0, 9.0]).to(F64)])
    values = bspline_basis(x[:, None], knots, polynomials, k=k, outside="zero")[..., 0]
    torch.testing.assert_close(values, cox_de_boor(x, knots[0], k), rtol=0, atol=1e-14)


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize(
    ("k", "order"), [(k, order) for k in range(1, 6) for order in range(1, min(k, 3) + 1)]
)
def test_derivatives_equal_cox_de_boor(uniform: bool, k: int, order: int) -> None:
    knots = some_knots(k, 5, uniform)
    polynomials = None if uniform else cell_polynomials(knots, k)
    x = 5 * torch.rand(300, dtype=F64) - 2.5
    ours = bspline_basis(x[:, None], knots, polynomials, k=k, outside="zero", order=order)[..., 0]
    theirs = cox_de_boor(x, knots[0], k, order)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-14 * theirs.abs().max().item())


def test_derivatives_beyond_the_degree_vanish() -> None:
    knots = some_knots(2, 4, True)
    x = torch.rand(9, 1, dtype=F64)
    assert not bspline_basis(x, knots, k=2, order=3).any()
    assert not bspline_basis(x, knots, cell_polynomials(knots, 2), k=2, order=3).any()


@settings(deadline=None)
@given(k=st.integers(1, 6), grid=st.integers(1, 9), uniform=st.booleans())
def test_partition_of_unity(k: int, grid: int, uniform: bool) -> None:
    knots = some_knots(k, grid, uniform)
    polynomials = None if uniform else cell_polynomials(knots, k)
    low, high = knots[0, k].item(), knots[0, -k - 1].item()
    x = torch.cat([torch.linspace(low, high, 64, dtype=F64), knots[0, k : -k or None]])[:, None]
    for outside, points in (
        ("zero", x.clamp(max=high - 1e-9)),
        ("linear", 7 * x),
        ("clamp", 7 * x),
    ):
        total = bspline_basis(points, knots, polynomials, k=k, outside=outside).sum(1)
        # the tangents of all functions cancel only to rounding, times the distance
        torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-12)


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("k", [1, 3])
def test_modes_outside(uniform: bool, k: int) -> None:
    knots = some_knots(k, 5, uniform)
    polynomials = None if uniform else cell_polynomials(knots, k)

    def basis(x: float, outside: str, order: int = 0) -> Tensor:
        point = torch.tensor([[x]], dtype=F64)
        return bspline_basis(point, knots, polynomials, k=k, outside=outside, order=order)[0, :, 0]

    for edge, beyond in ((-1.0, -2.5), (1.0, 3.0)):
        value, slope = basis(edge, "linear"), basis(edge, "linear", 1)
        inner = edge * (
            1 - 1e-7
        )  # the edge's slope is the last cell's, also where k = 1 has a kink
        difference = (value - basis(inner, "linear")) / (edge - inner)
        torch.testing.assert_close(slope, difference, rtol=0, atol=1e-4)
        torch.testing.assert_close(basis(beyond, "linear"), value + (beyond - edge) * slope)
        torch.testing.assert_close(basis(beyond, "linear", 1), slope)
        assert not basis(beyond, "linear", 2).any()
        torch.testing.assert_close(basis(beyond, "clamp"), value)
        assert not basis(beyond, "clamp", 1).any()
        assert not basis(9 * edge, "zero").any()
        with pytest.raises(AllmlpError, match=r"100.00% of the 1 values are outside"):
            basis(beyond, "error")
        torch.testing.assert_close(basis(edge, "error"), value)


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("outside", ["linear", "clamp", "zero"])
def test_nan_stays_with_its_sample(outside: str, uniform: bool) -> None:
    knots = some_knots(3, 5, uniform)
    polynomials = None if uniform else cell_polynomials(knots, 3)
    x = torch.tensor([[0.3], [math.nan], [0.3]], dtype=F64)
    for order in range(3):
        values = bspline_basis(x, knots, polynomials, k=3, outside=outside, order=order)
        assert values[1].isnan().any()
        assert torch.equal(values[0], values[2])
        assert values[0].isfinite().all()


def test_uniform_knots_are_known_by_their_values() -> None:
    knots = extend_knots(torch.linspace(-3, 5, 200)[None], 3)
    assert is_uniform(knots)
    moved = knots.clone()
    moved[0, 50] += 1e-4
    assert not is_uniform(moved)
