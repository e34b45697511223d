"""What else the parameters might have been: refits to runs drawn anew.

Axes: p parameters, n runs.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from allmlp.scaling.estimate import Runs

__all__ = ["resample_residuals", "resample_runs"]

Array = NDArray[np.float64]


def resample_runs(runs: Runs, refit: Callable[[Runs], Array], times: int, seed: int) -> list[Array]:
    """Fits (p) to as many runs, drawn with replacement; within each budget if they repeat."""
    rng = np.random.default_rng(seed)
    strata = _budgets(runs)
    draws = (np.concatenate([rng.choice(g, len(g)) for g in strata]) for _ in range(times))
    return [refit(runs.take(rows)) for rows in draws]


def resample_residuals(
    runs: Runs,
    refit: Callable[[Runs], Array],
    times: int,
    seed: int,
    *,
    predicted: Array,
    parameters: int,
) -> list[Array]:
    """Fits (p) to the fitted law's `predicted` (n) log losses with residuals dealt anew.

    They are enlarged to make up for the parameters that were fitted to them.
    """
    rng = np.random.default_rng(seed)
    n = len(runs.y)
    residuals = (runs.y - predicted) * np.sqrt(n / (n - parameters))
    draws = (predicted + rng.choice(residuals, n) for _ in range(times))
    return [refit(replace(runs, y=y)) for y in draws]


def _budgets(runs: Runs) -> list[NDArray[np.intp]]:
    """Rows of each budget N D (to 2 %), or all rows together if budgets are not repeated."""
    everything = [np.arange(len(runs.y))]
    if len(runs.x) == 1:
        return everything
    budget = runs.x.sum(axis=0)
    order = np.argsort(budget)
    # apart by gaps, not by a raster: rounding must not tear a budget in two
    groups = np.split(order, np.flatnonzero(np.diff(budget[order]) > 0.02) + 1)
    return groups if min(map(len, groups)) >= 3 else everything
