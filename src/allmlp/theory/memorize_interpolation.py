"""Width-2 memorisation of any real labels: the piecewise-linear interpolant, in depth <= N.

The interpolant through the ends of all runs needs one breakpoint for each change of slope. Two
units suffice because v carries `label - min` on rising pieces and `max - label` on falling ones:
in that form the line that unsettled points follow starts in [0, max - min] and rises, so that no
ReLU cuts it, and the settled points only change form.
"""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allmlp.theory.narrow import NarrowRecurrence
from allmlp.theory.projection import Runs

__all__ = ["interpolation"]


def interpolation(runs: Runs) -> NarrowRecurrence:
    """The recurrence of the interpolant through both ends of every run.

    Args:
        runs: Fractions; labels may be any rationals.

    Source: allmlp, docs/theory/memorisation.md; depth at most `Σ_r min(2, points in run r)`,
    hence at most N.
    """
    breakpoints = _slope_changes(runs)
    lowest, highest = runs.labels.min(), runs.labels.max()
    if not breakpoints:
        empty = _column([])
        return NarrowRecurrence(empty, empty, empty, empty, Fraction(0), False, 1, runs.labels[0])
    signs, gains, shifts = [], [], []
    form, slope = 1, Fraction(0)  # +1: v = label - lowest, -1: v = highest - label
    for k, (_, new_slope) in enumerate(breakpoints):
        # the last update is folded into the affine read-out, so that its form may stay
        new_form = form if k == len(breakpoints) - 1 else (1 if new_slope >= 0 else -1)
        signs.append(form * new_form)
        gains.append(new_form * (new_slope - slope))
        shifts.append(Fraction(0) if form == new_form else highest - lowest)
        form, slope = new_form, new_slope
    return NarrowRecurrence(
        thresholds=_column([t for t, _ in breakpoints]),
        signs=_column(signs),
        gains=_column(gains),
        shifts=_column(shifts),
        start=runs.labels[0] - lowest,
        clipped=False,
        sign=form,
        base=lowest if form == 1 else highest,
    )


def _slope_changes(runs: Runs) -> list[tuple[Fraction, Fraction]]:
    """Breakpoints and the slope to the right of each; collinear knots are left out."""
    knots = []
    for low, high, label in zip(runs.low, runs.high, runs.labels, strict=True):
        knots += [(low, label)] if low == high else [(low, label), (high, label)]
    changes, slope = [], Fraction(0)
    for (x, value), (next_x, next_value) in pairwise(knots):
        new_slope = (next_value - value) / (next_x - x)
        if new_slope != slope:
            changes.append((x, new_slope))
            slope = new_slope
    return changes


def _column(values: list[Any]) -> NDArray[Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
