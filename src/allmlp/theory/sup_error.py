"""Certified suprema: samples, and a Lipschitz constant for the gaps between them."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allmlp.errors import AllmlpError

__all__ = ["Bracket", "Function", "sup_on_cube", "sup_on_interval"]

# vectorised: (n,) -> (n,) on an interval, (n, d) -> (n,) on a cube
Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_CHUNK = 1 << 14


@dataclass(frozen=True)
class Bracket:
    """`found <= sup <= certified`, up to the rounding of the function's own values."""

    found: float
    certified: float


def sup_on_interval(
    gap: Function, lipschitz: float, low: float, high: float, *, tolerance: float = 0.01
) -> Bracket:
    """The supremum of `|gap|` on an interval, by bisecting only the cells that matter.

    On a cell of length δ with end values p, q the function stays below
    `(|p| + |q| + lipschitz · δ) / 2` (Piyavskii's bound).

    Args:
        gap: vectorised function.
        lipschitz: a constant of it on the interval.
        low: left end.
        high: right end.
        tolerance: relative distance of the two ends of the bracket at which to stop; after two
            million evaluations the bracket is returned as it is.

    Example:
        >>> bracket = sup_on_interval(lambda x: x * (1 - x), 1.0, 0.0, 1.0)
        >>> bracket.found <= 0.25 <= bracket.certified <= 0.2526
        True
    """
    edges = np.linspace(low, high, 257)
    left, right = edges[:-1], edges[1:]
    values = np.abs(gap(edges))
    at_left, at_right = values[:-1], values[1:]
    found, settled, evaluations = float(values.max()), 0.0, 0
    while True:
        upper = (at_left + at_right + lipschitz * (right - left)) / 2
        open_cells = upper > found * (1 + tolerance) + 1e-300
        settled = max(settled, float(upper[~open_cells].max(initial=0.0)))
        if not open_cells.any() or evaluations > 2_000_000:
            settled = max(settled, float(upper[open_cells].max(initial=0.0)))
            return Bracket(found, max(found, settled))
        left, right = left[open_cells], right[open_cells]
        at_left, at_right = at_left[open_cells], at_right[open_cells]
        middle = (left + right) / 2
        at_middle = np.abs(gap(middle))
        evaluations += len(middle)
        found = max(found, float(at_middle.max()))
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
        at_left, at_right = (
            np.concatenate([at_left, at_middle]),
            np.concatenate([at_middle, at_right]),
        )


def sup_on_cube(gap: Function, lipschitz: float, dim: int, per_axis: int) -> Bracket:
    """The supremum of `|gap|` on [0, 1]^dim from the centres of per_axis^dim cells.

    Args:
        gap: vectorised over rows, (n, dim) -> (n,).
        lipschitz: a constant of it for the Euclidean distance.
        dim: number of coordinates.
        per_axis: cells along every axis; no point is further than `√dim / (2 per_axis)` from a
            centre.

    Example:
        >>> bracket = sup_on_cube(lambda x: x.prod(axis=1), 2**0.5, dim=2, per_axis=100)
        >>> bracket.found <= 1 <= bracket.certified <= 1.01
        True
    """
    if per_axis < 1 or per_axis**dim > 20_000_000:
        raise AllmlpError(
            f"a grid needs between 1 and 20 million cells, but {per_axis}^{dim} were asked for; "
            "use fewer cells along an axis"
        )
    axis = (np.arange(per_axis) + 0.5) / per_axis
    found = 0.0
    cells = itertools.product(axis, repeat=dim)
    while chunk := list(itertools.islice(cells, _CHUNK)):
        found = max(found, float(np.abs(gap(np.array(chunk))).max()))
    return Bracket(found, found + lipschitz * math.sqrt(dim) / (2 * per_axis))
