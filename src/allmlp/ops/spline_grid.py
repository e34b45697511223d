"""Where the knots of a spline go: refined grids, and grids that follow data.

Papers: Liu et al. 2024, arXiv:2404.19756, §2.4 (refinement) and appendix on grid updates; the rule
for refined knots and the mixture of uniform and quantile grids are pykan's.
Axes: i inputs (each with a knot vector of its own), g+1 grid points, K = g+2k+1 knots, n samples.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError, check_integers

__all__ = ["MIN_GAP", "grid_points", "quantile_grid", "spread_grid"]

# smallest distance of neighbouring grid points, as a share of their mean distance
MIN_GAP = 1e-3


def grid_points(knots: Float[Tensor, "i knots"], k: int) -> Float[Tensor, "i points"]:
    """The g+1 grid points among the knots: all but k on each side."""
    return knots[:, k : knots.shape[1] - k]


def spread_grid(grid: Float[Tensor, "i points"], intervals: int) -> Float[Tensor, "i finer"]:
    """Another number of grid points, as dense here and sparse there as the old ones.

    The old points, taken as a function of their index and interpolated linearly, are read at
    `intervals` + 1 equidistant places. A multiple of the old number keeps every old point.

    Args:
        grid: increasing grid points, g+1 for every input.
        intervals: the new g.

    Raises:
        AllmlpError: fewer than one interval.

    Example:
        >>> spread_grid(torch.tensor([[0.0, 1.0, 4.0]]), 4).tolist()
        [[0.0, 0.5, 1.0, 2.5, 4.0]]
    """
    check_integers("a spline grid", minimum=1, intervals=intervals)
    old = grid.shape[1] - 1
    # in whole numbers, so that old points are hit exactly
    place = torch.arange(intervals + 1, device=grid.device) * old
    left = (place // intervals).clamp(max=old - 1)
    share = (place - left * intervals).to(grid.dtype) / intervals
    return grid[:, left] * (1 - share) + grid[:, left + 1] * share


def quantile_grid(
    samples: Float[Tensor, "n columns"],
    old: Float[Tensor, "i points"],
    *,
    uniform_share: float = 0.02,
    margin: float = 0.0,
) -> Float[Tensor, "i points"]:
    """Grid points that follow data: a mixture of equidistant points and sample quantiles.

        uniform_p = min - margin + p (range + 2 margin) / g;   quantile_p = x_(floor(n p / g))
        grid = uniform_share * uniform + (1 - uniform_share) * quantile

    Neighbours keep a distance of `MIN_GAP` range / g at least, so that ties (the zeros of a ReLU)
    cannot collapse knots; pykan and efficient-kan let them. An input with one value only says
    nothing about a range, and keeps its old grid.

    Args:
        samples: what the inputs take; each column on its own.
        old: grid points so far; they say how many there shall be.
        uniform_share: 1 for equidistant points over each input's range, 0 for quantiles.
        margin: by which the equidistant points reach beyond the data on either side, in units of x.

    Raises:
        AllmlpError: no samples, samples that are not finite, another number of columns, or a
            share or margin out of range.

    Source: pykan `KANLayer.update_grid_from_samples` (margin 0), efficient-kan `update_grid`
        (margin 0.01).
    """
    _check_samples(samples, old.shape[0])
    if not 0 <= uniform_share <= 1:
        raise AllmlpError(f"uniform_share must lie in [0, 1], got {uniform_share}")
    if not margin >= 0:
        raise AllmlpError(f"margin must not be negative, got {margin}")
    intervals = old.shape[1] - 1
    ordered = samples.detach().to(old.dtype).sort(dim=0).values.T  # (i, n)
    low, high = ordered[:, :1], ordered[:, -1:]
    p = torch.arange(intervals + 1, device=old.device)
    rank = (p * ordered.shape[1] // intervals).clamp(max=ordered.shape[1] - 1)
    share = p.to(old.dtype) / intervals
    uniform = low - margin + share * (high - low + 2 * margin)
    grid = uniform_share * uniform + (1 - uniform_share) * ordered[:, rank]
    # one value, or values that differ by rounding alone
    resolution = torch.finfo(old.dtype).eps * intervals / MIN_GAP
    constant = high - low <= resolution * torch.maximum(low.abs(), high.abs())
    grid = _keep_apart(grid)
    # rounding must not leave the extreme samples outside
    grid[:, 0] = torch.minimum(grid[:, 0], low[:, 0])
    grid[:, -1] = torch.maximum(grid[:, -1], high[:, 0])
    return torch.where(constant, old, grid)


def _keep_apart(grid: Tensor) -> Tensor:
    """Push points right until all distances reach the least one; then shrink onto the old range."""
    intervals = grid.shape[1] - 1
    low, width = grid[:, :1], grid[:, -1:] - grid[:, :1]
    steps = torch.arange(intervals + 1, dtype=grid.dtype, device=grid.device)
    steps = steps * (MIN_GAP / intervals * width)
    apart = (grid - steps).cummax(dim=1).values + steps
    stretched = apart[:, -1:] - low
    # a constant column has no width; its caller discards it
    factor = torch.where(stretched > 0, width / stretched, torch.ones_like(width))
    return low + (apart - low) * factor


def _check_samples(samples: Tensor, inputs: int) -> None:
    if samples.ndim != 2 or samples.shape[0] == 0 or samples.shape[1] != inputs:
        raise AllmlpError(
            f"a grid of {inputs} inputs needs samples of shape (n, {inputs}) with n > 0, got "
            f"{tuple(samples.shape)}"
        )
    bad = ~torch.isfinite(samples)
    if bad.any():
        column = int(bad.any(0).nonzero()[0])
        raise AllmlpError(
            f"a grid needs finite samples, got {int(bad.sum())} that are NaN or infinite, the "
            f"first in input {column}; leave those rows out"
        )
