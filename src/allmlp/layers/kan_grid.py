"""Another grid under a KAN layer: finer, or moved to where the data are. The layer stays as it was.

Paper: Liu et al. 2024, arXiv:2404.19756, §2.4.
DIFF: grids are doubled exactly and otherwise refitted by L2 projection, without data; pykan and
efficient-kan solve least squares at samples, which is here by option.
Axes: n samples, i inputs, o outputs, m functions per input, r grid points, t knots.
"""

import copy
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.layers.bspline import BSplineBasis
from allmlp.layers.kan import KANLinear
from allmlp.ops.bspline import bspline_basis, cell_polynomials, extend_knots
from allmlp.ops.spline_grid import grid_points, quantile_grid, spread_grid
from allmlp.ops.spline_transfer import (
    fit_samples,
    project_values,
    quadrature,
    refinement_matrix,
)

__all__ = ["REFITS", "Refit", "adapt_layer", "change_matrix", "refine_layer"]

Refit = Literal["projection", "samples"]
REFITS = ("projection", "samples")
# of a projection's basis values: a quarter of a gigabyte
_NUMBERS_AT_ONCE = 2**25


def refine_layer(
    layer: KANLinear, grid: int, *, samples: Float[Tensor, "n i"] | None = None
) -> KANLinear:
    """The layer on `grid` intervals instead of the ones it has.

    New points lie between the old ones as those lay (`ops.spline_grid.spread_grid`). A multiple of
    the old number changes no function within the grid (knot insertion, to rounding); any other
    number gives the nearest functions in the mean square over the grid. Neither needs data.

    Args:
        layer: on B-splines.
        grid: the new number of intervals.
        samples: inputs; with them, pykan's refit by least squares at these samples.

    Raises:
        AllmlpError: another basis, no positive number, or samples that do not fit.
    """
    basis = _spline_basis(layer)
    check_integers("KANLinear", minimum=1, grid=grid)
    knots = basis.knots.double()
    points = spread_grid(grid_points(knots, basis.k), grid)
    return _on_knots(layer, extend_knots(points, basis.k), samples)


def adapt_layer(
    layer: KANLinear,
    x: Float[Tensor, "n i"],
    *,
    uniform_share: float = 0.02,
    margin: float = 0.0,
    refit: Refit = "projection",
) -> KANLinear:
    """The layer on a grid that follows its inputs, with its functions carried over.

    Knots never coincide, and an input that never varies keeps its grid
    (`ops.spline_grid.quantile_grid`). What the functions were beyond their old grid, by the basis's
    `outside`, counts as well where the new grid reaches there.

    Args:
        layer: on B-splines.
        x: what the basis takes: after `norm`, if the layer has one.
        uniform_share: 1 for equidistant points over each input's range, 0 for its quantiles.
        margin: by which equidistant points reach beyond the data, in units of x.
        refit: `projection`, or `samples` for pykan's and efficient-kan's least squares at x.

    Raises:
        AllmlpError: another basis, an unknown refit, or x that is empty, of another width or not
            finite.
    """
    basis = _spline_basis(layer)
    check_choice("refit", refit, REFITS)
    knots = basis.knots.double()
    old = grid_points(knots, basis.k)
    points = quantile_grid(x, old, uniform_share=uniform_share, margin=margin)
    stayed = (points == old).all(1, keepdim=True)
    moved = torch.where(stayed, knots, extend_knots(points, basis.k))
    return _on_knots(layer, moved, x if refit == "samples" else None)


def change_matrix(
    old: BSplineBasis, new: BSplineBasis, samples: Float[Tensor, "n i"] | None = None
) -> Float[Tensor, "i m2 m"]:
    """The matrix of every input that carries coefficients: c' = T c. In float64.

    Exact (knot insertion) where the new grid holds every point of the old one; otherwise the L2
    projection over the new grid, or with samples least squares there.

    Args:
        old: of the coefficients.
        new: of the same inputs and degree.
        samples: inputs, for pykan's way.
    """
    knots, finer, k = old.knots.double(), new.knots.double(), old.k
    if samples is not None:
        x = samples.detach().double()
        return fit_samples(_values(old, knots, x), _values(new, finer, x))
    if new.grid % old.grid == 0 and _holds(
        grid_points(knots, k), grid_points(finer, k), new.knots.dtype
    ):
        return refinement_matrix(knots, finer, k)
    nodes = (k + 1) * (old.knots.shape[1] + new.grid)
    count = max(1, _NUMBERS_AT_ONCE // (nodes * (old.size + new.size)))
    parts = [slice(start, start + count) for start in range(0, len(knots), count)]
    return torch.cat([_projection(old, knots[part], finer[part], k) for part in parts])


def _projection(
    old: BSplineBasis, knots: Float[Tensor, "i t"], finer: Float[Tensor, "i t2"], k: int
) -> Float[Tensor, "i m2 m"]:
    nodes, weights = quadrature(knots, finer, k)
    return project_values(_values(old, knots, nodes.T), nodes, weights, finer, k)


def _on_knots(
    layer: KANLinear, knots: Float[Tensor, "i t"], samples: Float[Tensor, "n i"] | None
) -> KANLinear:
    old = _spline_basis(layer)
    grid = knots.shape[1] - 2 * old.k - 1
    new = BSplineBasis(layer.in_features, grid=grid, k=old.k, outside=old.outside).to(old.knots)
    new.set_knots(knots)
    matrix = change_matrix(old, new, samples)
    weight = layer.spline_weight
    changed = torch.einsum("omi,inm->oni", weight.detach().double(), matrix).to(weight)
    moved = copy.deepcopy(layer)
    moved.zero_grad()
    moved.basis = new.train(old.training)
    moved.spline_weight = nn.Parameter(changed.contiguous(), requires_grad=weight.requires_grad)
    return moved


def _values(
    basis: BSplineBasis, knots: Float[Tensor, "i t"], x: Float[Tensor, "q i"]
) -> Float[Tensor, "i q m"]:
    """Basis functions on some of the inputs' knots; beyond a grid that forbids it, on tangents."""
    polynomials = None if basis.uniform else cell_polynomials(knots, basis.k)
    outside = "linear" if basis.outside == "error" else basis.outside
    return bspline_basis(x, knots, polynomials, k=basis.k, outside=outside).permute(2, 0, 1)


def _holds(old: Float[Tensor, "i r"], new: Float[Tensor, "i r2"], dtype: torch.dtype) -> bool:
    """Whether all old points are among the new ones, to the rounding of how they are stored."""
    shared = new[:, :: (new.shape[1] - 1) // (old.shape[1] - 1)]
    rounding = 4 * torch.finfo(dtype).eps * old.abs().amax(1, keepdim=True)
    return bool(((old - shared).abs() <= rounding).all())


def _spline_basis(layer: KANLinear) -> BSplineBasis:
    if not isinstance(layer.basis, BSplineBasis):
        raise AllmlpError(
            f"only B-splines have a grid to change, this layer has a {type(layer.basis).__name__}; "
            "build it with basis='bspline'"
        )
    return layer.basis
