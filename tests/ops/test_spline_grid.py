import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.ops.bspline import extend_knots
from allmlp.ops.spline_grid import (
    MIN_GAP,
    grid_points,
    quantile_grid,
    spread_grid,
)


def grids(inputs: int = 3, intervals: int = 5) -> Tensor:
    return torch.rand(inputs, intervals + 1, dtype=torch.float64).add(0.1).cumsum(1)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_grid_points_undo_the_extension(k: int) -> None:
    grid = grids()
    assert torch.equal(grid_points(extend_knots(grid, k), k), grid)


@given(st.integers(1, 12), st.integers(1, 40))
def test_spread_keeps_ends_and_order(old: int, new: int) -> None:
    grid = grids(2, old)
    spread = spread_grid(grid, new)
    assert torch.equal(spread[:, [0, -1]], grid[:, [0, -1]])
    assert (spread.diff(dim=1) > 0).all()
    if new % old == 0:
        assert torch.equal(spread[:, :: new // old], grid)


def test_spread_by_hand() -> None:
    grid = torch.tensor([[0.0, 1.0, 4.0]])
    assert spread_grid(grid, 3)[0].tolist() == pytest.approx([0.0, 2 / 3, 2.0, 4.0])
    with pytest.raises(AllmlpError, match="intervals of at least 1, got 0"):
        spread_grid(grid, 0)


def test_quantiles_follow_pykan_rule() -> None:
    samples = torch.randn(37, 2, dtype=torch.float64)
    old = grids(2, 5)
    grid = quantile_grid(samples, old, uniform_share=0.02)
    for column in range(2):
        ordered = sorted(samples[:, column].tolist())
        quantiles = [ordered[int(37 / 5 * p)] for p in range(5)] + [ordered[-1]]
        step = (ordered[-1] - ordered[0]) / 5
        for p in range(6):
            expected = 0.02 * (ordered[0] + step * p) + 0.98 * quantiles[p]
            assert grid[column, p].item() == pytest.approx(expected, abs=1e-12)


def test_uniform_share_one_is_the_range_with_margin() -> None:
    samples = torch.tensor([[0.0], [4.0], [1.0]])
    grid = quantile_grid(samples, torch.zeros(1, 4), uniform_share=1.0, margin=1.0)
    assert grid.tolist() == [[-1.0, 1.0, 3.0, 5.0]]


@given(st.integers(0, 10_000), st.integers(1, 12), st.sampled_from([0.0, 1e-5, 0.02, 1.0]))
def test_knots_never_meet(seed: int, intervals: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    # ties by the dozen: what a ReLU or a black border gives
    samples = torch.randint(0, 3, (50, 4), generator=generator).double() * 1e3
    samples[0], samples[1] = 0.0, 2e3
    grid = quantile_grid(samples, grids(4, intervals), uniform_share=share)
    assert grid[:, 0].tolist() == [0.0] * 4
    assert grid[:, -1].tolist() == pytest.approx([2e3] * 4)
    # shrinking back onto the range costs one part in a thousand
    assert (grid.diff(dim=1) >= MIN_GAP * 2e3 / intervals * (1 - 2 * MIN_GAP)).all()


def test_a_constant_keeps_its_old_grid() -> None:
    old = grids(3, 4)
    samples = torch.randn(20, 3, dtype=torch.float64)
    samples[:, 1] = 0.3
    samples[:, 2] = 1e6 + 1e-9 * samples[:, 2]  # constant but for rounding
    grid = quantile_grid(samples, old)
    assert torch.equal(grid[1:], old[1:])
    assert not torch.equal(grid[0], old[0])


def test_bad_samples() -> None:
    old = grids(2)
    with pytest.raises(AllmlpError, match=r"shape \(n, 2\) with n > 0, got \(3, 4\)"):
        quantile_grid(torch.zeros(3, 4), old)
    with pytest.raises(AllmlpError, match=r"got \(0, 2\)"):
        quantile_grid(torch.zeros(0, 2), old)
    samples = torch.randn(5, 2)
    samples[3, 1] = torch.nan
    samples[4, 1] = torch.inf
    with pytest.raises(AllmlpError, match="got 2 that are NaN or infinite, the first in input 1"):
        quantile_grid(samples, old)
    with pytest.raises(AllmlpError, match="uniform_share must lie in"):
        quantile_grid(torch.randn(5, 2), old, uniform_share=1.5)
    with pytest.raises(AllmlpError, match="margin must not be negative"):
        quantile_grid(torch.randn(5, 2), old, margin=-1.0)
