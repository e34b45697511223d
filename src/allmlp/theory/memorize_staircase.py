"""Width-2 memorisation of integer labels: plateaus, joined by clips and ramps.

Between a run of label a and the next of label b the network rises or falls in the middle of the
gap, so that every point keeps its label when it moves by a quarter of the gap. Two ways:

* **clip** (one breakpoint), if b is the largest or the smallest label so far: v is taken as the
  distance to b and driven below 0, where the ReLU makes it exactly 0.
* **ramp** (two breakpoints), otherwise: v rises with slope |b - a| / width and stops.

Points left of the threshold (u = 0) are settled: v changes by `±v + const` only, which the
read-out follows.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from allmlp.theory.narrow import NarrowRecurrence
from allmlp.theory.projection import Runs

__all__ = ["power_of_two_below", "staircase"]


def staircase(runs: Runs, *, grid: float | None = None) -> NarrowRecurrence:
    """The recurrence whose label is that of every run, on plateaus around them.

    The same lines serve float64 and Fractions; nothing loops over runs.

    Args:
        runs: positions in float64, or Fractions.
        grid: if given, thresholds are put on multiples of it (powers of two), which makes every
            float64 operation of the network exact.

    Source: allmlp, docs/theory/memorisation.md; depth at most 2R - 1 for R runs, R + 1 for two
    labels, without a projection layer.
    """
    zero = runs.labels[:1] * 0  # of the arrays' own kind
    if len(runs) == 1:
        empty = zero[:0]
        return NarrowRecurrence(empty, empty, empty, empty, zero[0], False, 1, runs.labels[0])
    left, right = runs.high[:-1], runs.low[1:]
    before, after = runs.labels[:-1], runs.labels[1:]
    gap, rise = right - left, abs(after - before)
    highest, lowest = np.maximum.accumulate(before), np.minimum.accumulate(before)
    to_top, clip = after >= highest, (after >= highest) | (after <= lowest)

    def snap(positions: NDArray[Any]) -> NDArray[Any]:
        return positions if grid is None else np.floor(positions / grid) * grid

    clip_at = snap(left + gap / 2)
    clip_width = power_of_two_below((right - clip_at) / 2)
    ramp_width = power_of_two_below(gap / 2)
    ramp_at = snap(left + (gap - ramp_width) / 2)

    # `label = s v + e` after each step: v is the distance to the new label for a clip, and to the
    # lowest (rising) or highest (falling) label so far for a ramp
    sign = np.where(clip, np.where(to_top, -1, 1), np.where(after > before, 1, -1))
    base = np.where(clip, after, np.where(after > before, lowest, highest))
    old_sign = np.append(1, sign[:-1])
    old_base = np.append(runs.labels[:1], base[:-1])

    used = np.where(clip, 1, 2)
    first = np.cumsum(used) - used  # each step's (first) breakpoint
    second = first[~clip] + 1
    steps = int(used.sum())
    thresholds, gains, shifts = (np.repeat(zero, steps) for _ in range(3))
    signs = np.ones(steps, dtype=np.int64)
    thresholds[first] = np.where(clip, clip_at, ramp_at)
    gains[first] = np.where(clip, -rise / clip_width, rise / ramp_width)
    signs[first] = sign * old_sign
    shifts[first] = sign * (old_base - base)
    thresholds[second] = (ramp_at + ramp_width)[~clip]
    gains[second] = -(rise / ramp_width)[~clip]
    return NarrowRecurrence(
        thresholds, signs, gains, shifts, zero[0], bool(clip[-1]), int(sign[-1]), base[-1]
    )


def power_of_two_below(x: NDArray[Any]) -> NDArray[Any]:
    """The largest power of two that is at most x, for positive floats or Fractions."""
    if x.dtype != object:
        powers: NDArray[Any] = np.ldexp(0.5, np.frexp(x)[1])
        return powers
    powers = np.empty(len(x), dtype=object)
    powers[:] = [_power_of_two_below(value) for value in x]
    return powers


def _power_of_two_below(x: Any) -> Any:
    power = type(x)(2) ** (x.numerator.bit_length() - x.denominator.bit_length())
    return power if power <= x else power / 2
