"""Carry splines from one knot vector to another.

Every way here is linear in the coefficients, so it is a matrix per input, T (i, m', m) with
c' = T c: one matrix serves all outputs, and a scale or mask on an edge is not touched by it.

Axes: i inputs, K = g+2k+1 knots, m = g+k coefficients, q quadrature nodes or samples.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.ops.bspline import bspline_basis, cell_polynomials
from allmlp.ops.quadrature import gauss_legendre
from allmlp.ops.spline_grid import grid_points

__all__ = [
    "carry_gradient",
    "fit_samples",
    "project_values",
    "quadrature",
    "refinement_matrix",
]


def refinement_matrix(
    knots: Float[Tensor, "i knots"], finer: Float[Tensor, "i finer"], k: int
) -> Float[Tensor, "i m2 m"]:
    """The exact change to a grid that keeps every old grid point: knot insertion.

    A coefficient of a spline is the polar form of its polynomial at the k inner knots of its basis
    function. The knots beyond the grid may lie anywhere, so the spline stays the same function on
    the grid, and its tails beyond change.

    Args:
        knots: old, with k beyond the grid on each side.
        finer: new; its grid contains the old one.
        k: degree.

    Source: Ramshaw 1989, Blossoms are polar forms; de Boor's algorithm with k arguments.
    """
    m, finer_m = knots.shape[1] - k - 1, finer.shape[1] - k - 1
    # any cell of the new grid on which basis function j lives; its middle names the old cell
    j = torch.arange(finer_m, device=knots.device)
    cell = (j + k // 2).clamp(k, finer_m - 1)
    middle = (finer[:, cell] + finer[:, cell + 1]) / 2
    grid = grid_points(knots, k)
    first = torch.searchsorted(grid.contiguous(), middle) - 1
    first = first.clamp(0, grid.shape[1] - 2)

    # d[tap] is a combination of the old coefficients first to first + k
    eye = torch.eye(k + 1, dtype=knots.dtype, device=knots.device)
    d = [eye[tap].expand(*first.shape, k + 1) for tap in range(k + 1)]
    for level in range(1, k + 1):
        u = finer[:, j + level]
        for tap in range(k, level - 1, -1):
            left = knots.gather(1, first + tap)
            right = knots.gather(1, first + tap + k + 1 - level)
            share = ((u - left) / (right - left)).unsqueeze(-1)
            d[tap] = (1 - share) * d[tap - 1] + share * d[tap]
    matrix = knots.new_zeros(knots.shape[0], finer_m, m)
    taps = first.unsqueeze(-1) + torch.arange(k + 1, device=knots.device)
    return matrix.scatter(2, taps, d[k])


def quadrature(
    knots: Float[Tensor, "i knots"], other: Float[Tensor, "i other"], k: int
) -> tuple[Float[Tensor, "i q"], Float[Tensor, "i q"]]:
    """Nodes and weights that integrate products of two splines exactly over the grid of `other`.

    k+1 Gauss-Legendre points for every interval between a knot of the one, beyond its grid too
    (where it may run down to zero, or go on as a polynomial), or a grid point of the other.

    Args:
        knots: of the one spline.
        other: of the other; its grid is the range of integration.
        k: degree of both.

    Returns:
        (i, q) nodes and weights. Weights of empty intervals are 0.
    """
    grid = grid_points(other, k)
    inside = knots.clamp(grid[:, :1], grid[:, -1:])
    merged = torch.cat([inside, grid], dim=1).sort(dim=1).values
    nodes, weights = gauss_legendre(merged, k + 1)
    return nodes.T, weights.T


def project_values(
    values: Float[Tensor, "i q r"],
    nodes: Float[Tensor, "i q"],
    weights: Float[Tensor, "i q"],
    knots: Float[Tensor, "i knots"],
    k: int,
) -> Float[Tensor, "i m r"]:
    """Coefficients of the splines nearest to given functions in the mean square.

    The normal equations are a matrix of 2k+1 diagonals per input, factorised once for all r
    functions. With `quadrature`'s nodes and weights no data are needed and the rank is full.

    Args:
        values: of r functions at the nodes.
        nodes: within the grid.
        weights: positive or zero; every cell needs k+1 nodes of positive weight.
        knots: of the splines sought.
        k: their degree.
    """
    polynomials = cell_polynomials(knots, k)
    basis = bspline_basis(nodes.T, knots, polynomials, k=k, outside="clamp").permute(2, 0, 1)
    weighted = basis * weights.unsqueeze(-1)
    # bands[:, a, j] is the integral of B_j B_{j+a}; there are no more than k + 1 that are not zero
    m = basis.shape[2]
    bands = values.new_zeros(values.shape[0], k + 1, m)
    for a in range(min(k + 1, m)):
        bands[:, a, : m - a] = (weighted[:, :, : m - a] * basis[:, :, a:]).sum(1)
    return _solve_banded(bands, weighted.mT @ values)


def _solve_banded(bands: Tensor, right: Tensor) -> Tensor:
    """Solve A x = b for symmetric positive A, whose lower diagonal a is bands[:, a], per input.

    Cholesky, column by column: every step is one batched operation over all inputs.
    """
    width, m = bands.shape[1], bands.shape[2]
    lower = bands.clone()
    for column in range(m):
        pivot = lower[:, 0, column].sqrt()
        reach = min(width, m - column)
        lower[:, :reach, column] /= pivot[:, None]
        for a in range(1, reach):
            # A[row, row+b] -= L[row, column] L[row+b, column] for the rows that follow
            lower[:, : reach - a, column + a] -= (
                lower[:, a, column, None] * lower[:, a:reach, column]
            )
    x = right.clone()
    for row in range(m):
        for a in range(1, min(width, row + 1)):
            x[:, row] -= lower[:, a, row - a, None] * x[:, row - a]
        x[:, row] /= lower[:, 0, row, None]
    for row in reversed(range(m)):
        for a in range(1, min(width, m - row)):
            x[:, row] -= lower[:, a, row, None] * x[:, row + a]
        x[:, row] /= lower[:, 0, row, None]
    return x


def fit_samples(
    values: Float[Tensor, "i q r"], basis: Float[Tensor, "i q m"]
) -> Float[Tensor, "i m r"]:
    """Coefficients that fit values at samples in the least squares; the smallest ones if many do.

    pykan's refit. Where samples do not reach every basis function, its coefficient is 0: use
    `project_values` unless parity is wanted.

    Args:
        values: of r functions at the samples.
        basis: the values of the basis functions there.
    """
    if not bool(torch.isfinite(basis).all()):
        raise AllmlpError("a fit needs finite samples, got NaN or infinite ones; leave them out")
    # only LAPACK's SVD driver, on the CPU, copes with deficient rank
    fitted = torch.linalg.lstsq(basis.cpu(), values.cpu(), driver="gelsd").solution
    return fitted.to(values.device)


def carry_gradient(
    gradient: Float[Tensor, "i m r"],
    matrix: Float[Tensor, "i m2 m"],
    knots: Float[Tensor, "i knots"],
    new: Float[Tensor, "i new"],
    k: int,
    power: int = 1,
) -> Float[Tensor, "i m2 r"]:
    """What a gradient by the old coefficients was, as a gradient by the new ones.

    A gradient by c_j is a density over the input integrated against B_j, about the density there
    times the integral of B_j, (t_{j+k+1} - t_j) / (k+1). The density is carried by `matrix`, as a
    spline; for doubled knots a half of the neighbouring old gradients results.

    Args:
        gradient: by the coefficients of r functions, or a mean of its squares.
        matrix: c' = T c.
        knots: old.
        new: new.
        k: degree.
        power: 1 for gradients (Adam's first moment), 2 for squares (its second, kept positive).
    """
    mass, new_mass = (
        ((t[:, k + 1 :] - t[:, : t.shape[1] - k - 1]) / (k + 1)).unsqueeze(-1) for t in (knots, new)
    )
    carried = matrix @ (gradient / mass**power) * new_mass**power
    return carried.clamp(min=0) if power == 2 else carried
