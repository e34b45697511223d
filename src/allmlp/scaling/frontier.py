"""Laws read off the runs themselves: the frontier, and the bottom of each budget.

Axes: n runs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allmlp.errors import AllmlpError
from allmlp.scaling.values import Values

__all__ = ["CAUTION", "FEW", "IsoflopMinimum", "isoflop_minima", "pareto_frontier"]

# arXiv:2603.22339: even without noise, by the grid's width, its centre, and alpha != beta
CAUTION = "parabolas through budgets are biased, even without noise; fit form='chinchilla' as well"

FEW = "fewer than five sizes"


def pareto_frontier(compute: Values, loss: Values) -> NDArray[np.intp]:
    """Runs that no cheaper run equals, in the order of their compute; O(n log n).

    Of runs with the same compute the one with the least loss counts. A law fitted to the frontier
    alone is too low, since a minimum over noise is: fit all runs.

    Args:
        compute: (n,) of each run.
        loss: (n,) of each run.

    Raises:
        AllmlpError: other shapes, or values that are not finite.

    Example:
        >>> pareto_frontier([1, 2, 2, 3], [3.0, 2.0, 1.0, 1.5])
        array([0, 2])
    """
    c, y = _columns(compute=compute, loss=loss)
    order = np.lexsort((y, c))
    lowest = np.minimum.accumulate(y[order])
    new = np.concatenate([[True], lowest[1:] < lowest[:-1]])[: len(order)]
    return order[new]


@dataclass(frozen=True)
class IsoflopMinimum:
    """The bottom of one budget's runs.

    Attributes:
        compute: geometric mean of the budget's runs.
        runs: how many they are.
        parameters: N at the bottom of a parabola in log N, nan if there is none.
        loss: there.
        flag: why there is none, or empty.
    """

    compute: float
    runs: int
    parameters: float
    loss: float
    flag: str


def isoflop_minima(
    parameters: Values, compute: Values, loss: Values, *, tolerance: float = 0.1
) -> list[IsoflopMinimum]:
    """Fit a parabola in log N to each budget of at least five runs, and take its bottom.

    Approach 2 of Hoffmann et al. 2022, arXiv:2203.15556, §3.2: a diagnostic only (`CAUTION`).

    Args:
        parameters: (n,) N of each run.
        compute: (n,) of each run.
        loss: (n,) of each run.
        tolerance: by which runs of one budget may differ from the cheapest of it.

    Raises:
        AllmlpError: other shapes, or values that are not positive and finite.
    """
    N, c, y = _columns(parameters=parameters, compute=compute, loss=loss)
    if len(N) and (N.min() <= 0 or c.min() <= 0):
        raise AllmlpError("parameters and compute must be positive; leave other runs out")
    order = np.argsort(c)
    table: list[IsoflopMinimum] = []
    start = 0
    while start < len(order):
        stop = start
        while stop < len(order) and c[order[stop]] <= c[order[start]] * (1 + tolerance):
            stop += 1
        rows = order[start:stop]
        table.append(_bottom(np.log(N[rows]), y[rows], float(np.exp(np.log(c[rows]).mean()))))
        start = stop
    return table


def _bottom(u: NDArray[np.float64], y: NDArray[np.float64], compute: float) -> IsoflopMinimum:
    if len(np.unique(u)) < 5:
        return IsoflopMinimum(compute, len(u), np.nan, np.nan, FEW)
    middle = u.mean()
    a, b, c = np.polyfit(u - middle, y, 2)
    if a <= 0:
        return IsoflopMinimum(compute, len(u), np.nan, np.nan, "no minimum")
    place = -b / (2 * a)
    if not u.min() <= place + middle <= u.max():
        return IsoflopMinimum(compute, len(u), np.nan, np.nan, "minimum outside the sizes tried")
    lowest = float(c - b**2 / (4 * a))
    return IsoflopMinimum(compute, len(u), float(np.exp(place + middle)), lowest, "")


def _columns(**values: Values) -> list[NDArray[np.float64]]:
    columns = {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}
    shapes = {column.shape for column in columns.values()}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        raise AllmlpError(f"{', '.join(columns)} need one entry per run each, got {shapes}")
    for name, column in columns.items():
        if not np.isfinite(column).all():
            raise AllmlpError(f"every {name} must be finite; leave other runs out")
    return list(columns.values())
