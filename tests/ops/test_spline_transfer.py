import pytest
import torch
from torch import Tensor

from allmlp.ops.bspline import bspline_basis, cell_polynomials, extend_knots
from allmlp.ops.spline_grid import grid_points, spread_grid
from allmlp.ops.spline_transfer import (
    carry_gradient,
    fit_samples,
    project_values,
    quadrature,
    refinement_matrix,
)

DEGREES = [1, 2, 3, 4, 5]


def knots(k: int, intervals: int = 5, inputs: int = 3) -> Tensor:
    grid = torch.rand(inputs, intervals + 1, dtype=torch.float64).add(0.2).cumsum(1)
    return extend_knots(grid, k)


def points(knots: Tensor, k: int, count: int = 101) -> Tensor:
    grid = grid_points(knots, k)
    share = torch.linspace(0, 1, count, dtype=torch.float64)
    return grid[:, :1] + share * (grid[:, -1:] - grid[:, :1])


def dense(x: Tensor, knots: Tensor, k: int) -> Tensor:
    return bspline_basis(x.T, knots, cell_polynomials(knots, k), k=k).permute(2, 0, 1)


@pytest.mark.parametrize("factor", [2, 3, 5])
@pytest.mark.parametrize("k", DEGREES)
def test_refinement_changes_nothing_on_the_grid(k: int, factor: int) -> None:
    t = knots(k)
    finer = extend_knots(spread_grid(grid_points(t, k), 5 * factor), k)
    matrix = refinement_matrix(t, finer, k)
    coefficients = torch.randn(3, 5 + k, 2, dtype=torch.float64)
    x = points(t, k)
    change = dense(x, finer, k) @ (matrix @ coefficients) - dense(x, t, k) @ coefficients
    assert change.abs().max() < 1e-13
    # a constant stays that constant
    torch.testing.assert_close(matrix.sum(2), torch.ones(3, 5 * factor + k).double())


def test_doubling_a_uniform_cubic_is_the_binomial_mask() -> None:
    t, finer = (
        extend_knots(torch.linspace(-1, 1, g + 1, dtype=torch.float64)[None], 3) for g in (5, 10)
    )
    matrix = refinement_matrix(t, finer, 3)[0]
    expected = torch.zeros(13, 8, dtype=torch.float64)
    for j in range(8):
        for i, weight in enumerate((1, 4, 6, 4, 1)):
            if 0 <= 2 * (j - 3) + i + 3 < 13:
                expected[2 * (j - 3) + i + 3, j] = weight / 8
    torch.testing.assert_close(matrix, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("k", DEGREES)
def test_projection_onto_a_refinement_is_exact(k: int) -> None:
    t = knots(k)
    finer = extend_knots(spread_grid(grid_points(t, k), 10), k)
    nodes, weights = quadrature(t, finer, k)
    projected = project_values(dense(nodes, t, k), nodes, weights, finer, k)
    # the Gram matrix of degree 5 has condition 1e5
    torch.testing.assert_close(projected, refinement_matrix(t, finer, k), rtol=0, atol=1e-9)


def test_projection_solves_the_normal_equations() -> None:
    t = knots(3, 4)
    other = extend_knots(spread_grid(grid_points(t, 3), 7), 3)
    nodes, weights = quadrature(t, other, 3)
    values = torch.sin(nodes).unsqueeze(-1)
    found = project_values(values, nodes, weights, other, 3)
    basis = dense(nodes, other, 3)
    weighted = basis * weights.unsqueeze(-1)
    expected = torch.linalg.solve(weighted.mT @ basis, weighted.mT @ values)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def test_quadrature_integrates_products_of_shifted_splines() -> None:
    t = knots(3, 4, inputs=1)
    grid = grid_points(t, 3)
    other = extend_knots(grid[:, :1] - 0.5 + torch.linspace(0, 4, 6, dtype=torch.float64), 3)
    nodes, weights = quadrature(t, other, 3)
    low, high = grid_points(other, 3)[0, [0, -1]]
    assert nodes.min() >= low
    assert nodes.max() <= high
    # a kink at a knot of the first, times a cubic
    kink = (nodes - grid[0, 1]).clamp(min=0) ** 3 * nodes**3
    a, b = float(grid[0, 1]), float(high)
    terms = ((1, 7), (-3 * a, 6), (3 * a * a, 5), (-(a**3), 4))
    expected = sum(c * (b**n - a**n) / n for c, n in terms)
    assert (kink * weights).sum().item() == pytest.approx(expected, rel=1e-12)


def test_sample_fit_is_the_smallest_of_many() -> None:
    basis = torch.randn(2, 4, 8, dtype=torch.float64)  # fewer samples than coefficients
    values = torch.randn(2, 4, 3, dtype=torch.float64)
    fitted = fit_samples(values, basis)
    torch.testing.assert_close(basis @ fitted, values)
    torch.testing.assert_close(fitted, torch.linalg.pinv(basis) @ values)


def test_carried_gradient_is_the_one_by_the_new_coefficients() -> None:
    k, intervals = 3, 40
    grid = torch.linspace(-1, 1, intervals + 1, dtype=torch.float64)[None]
    t = extend_knots(grid, k)
    finer = extend_knots(spread_grid(grid, 2 * intervals), k)
    x = points(t, k, 4001)
    density = torch.cos(2 * x) + 2  # dL/df at every point, smooth on the scale of the knots
    gradient, expected = (
        (dense(x, grid_, k) * density.unsqueeze(-1)).sum(1).unsqueeze(-1) for grid_ in (t, finer)
    )
    matrix = refinement_matrix(t, finer, k)
    carried = carry_gradient(gradient, matrix, t, finer, k)
    inner = slice(2 * k, -2 * k)  # splines cut off by the end of the grid get less
    torch.testing.assert_close(carried[:, inner], expected[:, inner], rtol=5e-3, atol=0)
    squares = carry_gradient(gradient**2, matrix, t, finer, k, power=2)
    torch.testing.assert_close(squares[:, inner], expected[:, inner] ** 2, rtol=1e-2, atol=0)
    assert (squares >= 0).all()
