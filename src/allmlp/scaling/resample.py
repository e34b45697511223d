"""What else the parameters might have been: refits to runs drawn anew.

Axes: r resamples, p parameters, n runs.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from allmlp.scaling.estimate import Runs, polish
from allmlp.scaling.forms import Form

__all__ = ["resample_residuals", "resample_runs"]

Array = NDArray[np.float64]


def resample_runs(form: Form, runs: Runs, theta: Array, times: int, seed: int) -> Array:
    """Fits (r, p) to as many runs, drawn with replacement; within each budget if they repeat.

    Every fit starts from `theta`, the fit to all runs.
    """
    rng = np.random.default_rng(seed)
    strata = _budgets(runs)
    ends = []
    for _ in range(times):
        rows = np.concatenate([rng.choice(group, len(group)) for group in strata])
        ends.append(polish(form, runs.take(rows), theta)[1])
    return np.array(ends).reshape(times, form.size)


def resample_residuals(form: Form, runs: Runs, theta: Array, times: int, seed: int) -> Array:
    """Fits (r, p) to the fitted law with residuals dealt anew.

    They are enlarged to make up for the parameters that were fitted to them.
    """
    rng = np.random.default_rng(seed)
    predicted, _ = form.log_loss(theta, runs.x)
    n = len(runs.y)
    residuals = (runs.y - predicted) * np.sqrt(n / (n - form.size))
    ends = []
    for _ in range(times):
        made = replace(runs, y=predicted + rng.choice(residuals, n))
        ends.append(polish(form, made, theta)[1])
    return np.array(ends).reshape(times, form.size)


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
