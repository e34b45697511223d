"""B-splines of any degree and their derivatives, without recursion at run time.

Paper: de Boor 1978, A Practical Guide to Splines, ch. IX-X; KAN: Liu et al. 2024, arXiv:2404.19756.
On one cell between two knots only k + 1 functions differ from zero, and each is a polynomial of
degree k: evaluation is "find the cell, evaluate k + 1 polynomials". Uniform knots share one set of
polynomials; adaptive knots have a set for every cell (`cell_polynomials`), rebuilt only when the
knots move.

Axes: b any leading axes, i inputs, t knots (grid + 2k + 1), c cells (t - 1), m functions
(grid + k), r the k + 1 functions that live on a cell, p powers of u.
"""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from allmlp.ops.outside import check_inside

__all__ = [
    "bspline_basis",
    "cell_polynomials",
    "extend_knots",
    "is_uniform",
]


def bspline_basis(
    x: Float[Tensor, "*b i"],
    knots: Float[Tensor, "i t"],
    polynomials: Float[Tensor, "i c r p"] | None = None,
    *,
    k: int,
    outside: str = "linear",
    order: int = 0,
) -> Float[Tensor, "*b m i"]:
    """The `order`-th derivative of every B-spline at every x.

    Outside the grid range [knots[k], knots[-k-1]]: `linear` continues each function along its
    tangent at the edge; `clamp` keeps its value there, with derivative 0; `zero` lets it run down
    over the k extra knots and vanish beyond (Cox-de Boor's tails, what pykan and efficient-kan
    do); `error` raises. A NaN stays a NaN for the functions of one cell and touches no other
    sample.

    Args:
        x: where to evaluate.
        knots: increasing, k of them beyond either end of the grid.
        polynomials: from `cell_polynomials(knots, k)`; without it the knots are taken as uniform,
            spread evenly between the first and the last.
        k: degree, at least 1.
        outside: one of `ops.outside.OUTSIDE`.
        order: of the derivative; 0 gives values.

    Shape:
        (..., i) -> (..., m, i), basis-major; output dtype = input dtype.

    Raises:
        AllmlpError: `outside="error"` and an x beyond the grid.

    Example:
        >>> knots = torch.arange(-3.0, 6.0)[None]  # two cells on [0, 2], k = 3
        >>> bspline_basis(torch.tensor([[1.0]]), knots, k=3)[0, :, 0]
        tensor([0.0000, 0.1667, 0.6667, 0.1667, 0.0000])
    """
    cells = knots.shape[1] - 1
    first, last = (0, cells - 1) if outside == "zero" else (k, cells - 1 - k)
    if outside == "error":
        check_inside(x, knots[:, k], knots[:, -k - 1])
    if polynomials is None:
        start, width = knots[:, 0], (knots[:, -1] - knots[:, 0]) / cells
        steps = (x - start) / width
        # float to integer is undefined for NaN: any cell will do, u carries the NaN on
        cell = steps.detach().floor().nan_to_num(nan=0.0).clamp(first, last)
        u, cell = steps - cell, cell.long()
    else:
        cell = _find_cell(x, knots, first, last)
        left = _per_input(knots, cell)
        width = _per_input(knots, cell + 1) - left
        u = (x - left) / width

    beyond = (x < knots[:, 0]) | (x >= knots[:, -1]) if outside == "zero" else (u < 0) | (u > 1)
    edge = torch.where(beyond, torch.zeros_like(u), u) if outside == "zero" else u.clamp(0, 1)
    if polynomials is None:
        rows = _uniform_taps(edge, k, order)
        if outside == "linear" and order == 0:
            rows = _add_tangents(rows, u - edge, k)
        local = torch.stack(rows, dim=-2)
    else:
        coefficients = _per_input(polynomials, cell)
        local = _polynomial_taps(edge, coefficients, order)
        if outside == "linear" and order == 0:
            tangents = _polynomial_taps(edge, coefficients, 1)
            local = local + (u - edge).unsqueeze(-2) * tangents
    if outside == "zero" or order > (1 if outside == "linear" else 0):
        local = torch.where(beyond.unsqueeze(-2), torch.zeros_like(local), local)
    if order:
        scale = width**-order
        local = local * (scale.unsqueeze(-2) if scale.ndim > 1 else scale)
    return _place(local, cell, k, cells - k, tails=outside == "zero")


def extend_knots(points: Float[Tensor, "i g"], k: int) -> Float[Tensor, "i t"]:
    """Add k knots beyond either end of the grid, at the mean distance of the grid points.

    Args:
        points: the grid's ends and what lies between, increasing.
        k: degree.

    Example:
        >>> extend_knots(torch.tensor([[0.0, 0.5, 2.0]]), 1)
        tensor([[-1.0000,  0.0000,  0.5000,  2.0000,  3.0000]])
    """
    step = (points[:, -1:] - points[:, :1]) / (points.shape[1] - 1)
    beyond = step * torch.arange(1, k + 1, dtype=points.dtype, device=points.device)
    return torch.cat([points[:, :1] - beyond.flip(1), points, points[:, -1:] + beyond], dim=1)


def is_uniform(knots: Float[Tensor, "i t"]) -> bool:
    """Whether even spacing gives these knots up to the rounding of their dtype."""
    even = torch.linspace(0, 1, knots.shape[1], dtype=torch.float64, device=knots.device)
    exact = knots.double()
    low, high = exact[:, :1], exact[:, -1:]
    error = (low + even * (high - low) - exact).abs()
    return bool((error <= 4 * torch.finfo(knots.dtype).eps * exact.abs().amax(1, True)).all())


def cell_polynomials(knots: Float[Tensor, "i t"], k: int) -> Float[Tensor, "i c r p"]:
    """The k + 1 functions on each cell as polynomials in u = (x - left knot) / width.

    Cox-de Boor's recursion on coefficients instead of values; degree p on a cell needs the p + 1
    functions of degree p - 1 there, so nothing is divided by zero.

    Args:
        knots: strictly increasing.
        k: degree.

    Returns:
        Coefficients of 1, u, ..., u^k; function r of cell c has the number c - k + r. Functions
        that the knots do not hold (numbers below 0 or above t - k - 2) stand there for regularity.
    """
    inputs, cells = knots.shape[0], knots.shape[1] - 1
    padded = extend_knots(knots, k)
    here = padded.unfold(1, cells, 1)  # here[:, k + q] is t_{c+q} for every cell c
    left, width = here[:, k], here[:, k + 1] - here[:, k]
    taps = knots.new_ones(inputs, cells, 1, 1)
    for p in range(1, k + 1):
        new = knots.new_zeros(inputs, cells, p + 1, p + 1)
        for r in range(p):  # function c - p + 1 + r of degree p - 1
            low, high = here[:, k - p + 1 + r], here[:, k + 1 + r]
            start, slope = ((left - low) / (high - low), width / (high - low))
            rising = _times(taps[:, :, r], start, slope)
            falling = _times(taps[:, :, r], 1 - start, -slope)
            new[:, :, r + 1] += rising
            new[:, :, r] += falling
        taps = new
    return taps


def _times(
    coefficients: Float[Tensor, "i c p"], start: Float[Tensor, "i c"], slope: Float[Tensor, "i c"]
) -> Float[Tensor, "i c p+1"]:
    # (start + slope u) times the polynomial
    product = torch.nn.functional.pad(coefficients * start[..., None], (0, 1))
    product[..., 1:] += coefficients * slope[..., None]
    return product


def _find_cell(
    x: Float[Tensor, "*b i"], knots: Float[Tensor, "i t"], first: int, last: int
) -> Int64[Tensor, "*b i"]:
    columns = x.detach().movedim(-1, 0).reshape(knots.shape[0], -1).contiguous()
    cell = torch.searchsorted(knots.contiguous(), columns, right=True) - 1
    return cell.clamp(first, last).reshape(x.shape[-1:] + x.shape[:-1]).movedim(0, -1)


def _per_input(table: Float[Tensor, "i c *r"], cell: Int64[Tensor, "*b i"]) -> Tensor:
    # table[i, cell[..., i]]
    row = torch.arange(table.shape[0], device=cell.device) * table.shape[1]
    return table.flatten(0, 1)[cell + row]


def _polynomial_taps(
    u: Float[Tensor, "*b i"], coefficients: Float[Tensor, "*b i r p"], order: int
) -> Float[Tensor, "*b r i"]:
    degree = coefficients.shape[-1] - 1
    v, value = u[..., None], torch.zeros_like(coefficients[..., 0])
    for p in range(degree, order - 1, -1):  # Horner
        value = value * v + math.perm(p, order) * coefficients[..., p]
    return value.mT


def _uniform_taps(u: Float[Tensor, "*b i"], k: int, order: int) -> list[Tensor]:
    if order > k:
        return [torch.zeros_like(u)] * (k + 1)
    v = 1 - u
    match k, order:
        case 1, 0:
            return [v, u]
        case 2, 0:
            return [v * v / 2, 0.5 + u * v, u * u / 2]
        case 2, 1:
            return [-v, v - u, u]
        case 3, 0:
            uu, vv = u * u, v * v
            middle, after = 4 - 3 * uu * (1 + v), 4 - 3 * vv * (1 + u)
            return [vv * v / 6, middle / 6, after / 6, uu * u / 6]
        case 3, 1:
            return [-v * v / 2, u * (1.5 * u - 2), v * (2 - 1.5 * v), u * u / 2]
        case 3, 2:
            return [v, 3 * u - 2, 3 * v - 2, u]
    rows = []
    for coefficients in uniform_matrix(k):  # Horner
        value = torch.full_like(u, math.perm(k, order) * coefficients[k])
        for p in range(k - 1, order - 1, -1):
            value = value * u + math.perm(p, order) * coefficients[p]
        rows.append(value)
    return rows


def _add_tangents(rows: list[Tensor], excess: Float[Tensor, "*b i"], k: int) -> list[Tensor]:
    # the slope at the left end of the cell times what lies to its left, and so to its right
    left, right = excess.clamp(max=0), excess.clamp(min=0)
    new = []
    for row, coefficients in zip(rows, uniform_matrix(k), strict=True):
        for part, slope in (
            (left, coefficients[1]),
            (right, sum(p * c for p, c in enumerate(coefficients))),
        ):
            if abs(slope) > 1e-15:
                row = torch.add(row, part, alpha=slope)
        new.append(row)
    return new


def uniform_matrix(k: int) -> list[list[float]]:
    # a plain dictionary: torch.compile warns of cached functions and traces through them
    if k not in _MATRICES:
        # (1 - A) and A of Cox-de Boor with A = (u + p - 1 - r) / p, on coefficients of u
        rows = [[1.0]]
        for p in range(1, k + 1):
            new = [[0.0] * (p + 1) for _ in range(p + 1)]
            for r, row in enumerate(rows):
                for power, c in enumerate(row):
                    start = (p - 1 - r) / p
                    new[r + 1][power] += start * c
                    new[r + 1][power + 1] += c / p
                    new[r][power] += (1 - start) * c
                    new[r][power + 1] -= c / p
            rows = new
        _MATRICES[k] = rows
    return _MATRICES[k]


_MATRICES: dict[int, list[list[float]]] = {}


def _place(
    local: Float[Tensor, "*b r i"], cell: Int64[Tensor, "*b i"], k: int, size: int, tails: bool
) -> Float[Tensor, "*b m i"]:
    # One scatter over flat positions: torch scatters along a short axis several times slower.
    *leading, functions, inputs = local.shape
    samples = torch.arange(math.prod(leading), device=cell.device).view(*leading, 1)
    first = (samples * size + cell - k) * inputs + torch.arange(inputs, device=cell.device)
    steps = torch.arange(functions, device=cell.device)[:, None]
    position = first.unsqueeze(-2) + inputs * steps
    dense = local.new_zeros(math.prod(leading) * size * inputs)
    if tails:  # cells beyond the grid belong to functions that do not exist, too
        number = cell.unsqueeze(-2) + (steps - k)
        held = (number >= 0) & (number < size)
        local = torch.where(held, local, torch.zeros_like(local))
        position = torch.where(held, position, torch.zeros_like(position))
        dense = dense.scatter_add(0, position.flatten(), local.flatten())
    else:
        dense = dense.scatter(0, position.flatten(), local.flatten())
    return dense.view(*leading, size, inputs)
