"""Kolmogorov's superposition theorem at work on the square, and what it is not.

Theorem (Kolmogorov 1957, Arnold 1957; this form Lorentz, Sprecher): there are continuous
increasing inner functions, the same for every f, with

    f(x, y) = Σ_{q=0}^{4} g_q(ψ_q(x) + λ ψ_q(y)),

g_q continuous. What can be computed are the first rounds of the proof. Inner functions are built
once, for three grids at a time; each round puts 1/(Q - 2) of what is left of f onto plateaus of
the outer functions.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allmlp.errors import AllmlpError
from allmlp.theory.certificate import Certificate, Claim, Theorem

__all__ = ["InnerFunctions", "Superposition", "inner_functions", "superpose"]

_THEOREM = Theorem(
    "Kolmogorov's superposition theorem, its first rounds",
    "Kolmogorov 1957, Lorentz 1966; this construction: allmlp, docs/theory/kolmogorov.md",
)
# golden ratio: no λ keeps the numbers i + λ j farther apart for large j (Hurwitz)
_LAMBDA = (math.sqrt(5) - 1) / 2

Values = NDArray[np.float64]


@dataclass(frozen=True)
class InnerFunctions:
    """ψ_0, …, ψ_{Q-1}: continuous, increasing, piecewise linear, and independent of f.

    On the line, grid l of family q has intervals `[(i + (q+1)/Q) h, (i + 1 + q/Q) h]` with
    h = 1/cells: the gaps of two families never meet, so that a point lies in a gap of at most
    one family for each coordinate. `ψ_q = Σ_l weight_l S_{q,l}` with the stair S that is constant
    on the intervals of its grid and of all finer ones and climbs by 1 in the gaps: a staircase
    of staircases, as in Cantor's function.

    Args:
        cells: of each grid, coarse to fine.
        families: Q.
        weights: of the stairs; each is small enough to keep the sums of coarser grids apart.
    """

    cells: tuple[int, ...]
    families: int
    weights: tuple[float, ...]

    def stair(self, level: int, q: int, t: Values) -> Values:
        """S: the number of the interval, with ramps in the gaps."""
        # the coarse stair climbs where the finer ones do, so that all are constant on their
        # intervals: t is first moved to the middle of its finer interval
        for finer in range(len(self.cells) - 1, level, -1):
            count = self._climb(finer, q, t)
            t = (count - 0.5 + (q + 0.5) / self.families) / self.cells[finer]
        return self._climb(level, q, t)

    def _climb(self, level: int, q: int, t: Values) -> Values:
        position = t * self.cells[level] - q / self.families
        index = np.floor(position)
        # the ramp is the middle half of the gap, which leaves room for moving t
        ramp = 2 * (position - index) * self.families - 0.5
        return index + np.clip(ramp, 0.0, 1.0)

    def __call__(self, q: int, t: Values) -> Values:
        """ψ_q at points of [0, 1]."""
        total = np.zeros_like(t)
        for level, weight in enumerate(self.weights):
            total = total + weight * self.stair(level, q, t)
        return total


def inner_functions(cells: Sequence[int] = (6, 300), *, families: int = 9) -> InnerFunctions:
    """Inner functions for grids of the given fineness.

    In the gaps the argument of g_q passes the plateaus of many other squares, about `cells` of
    them: the remainder moves on the scale `1 / (families cells²)`, and the next grid must be finer
    than that to help.

    Args:
        cells: ascending; float64 separates the sums of three grids up to about 1,000 cells.
        families: Q, at least 5 = 2 d + 1, as in the theorem; the error of a round shrinks by
            2 / (Q - 2), so that more show the mechanism sooner.

    Raises:
        AllmlpError: too few families, cells that do not ascend, or sums that float64 cannot keep
            apart.
    """
    if families < 5 or len(cells) < 1 or any(b <= a for a, b in itertools.pairwise(cells)):
        raise AllmlpError(
            f"inner functions need at least 5 families and ascending cells, but got {families} "
            f"and {list(cells)}; use the defaults"
        )
    if any(fine < 4 * families * coarse for coarse, fine in itertools.pairwise(cells)):
        raise AllmlpError(
            f"each grid must be at least 4 x {families} times finer than the one before, but the "
            f"cells are {list(cells)}; use finer ones"
        )
    weights = [1.0]
    for coarse, fine in itertools.pairwise(cells):
        # all that finer grids add must stay within half the least distance of two sums; every
        # later level adds at most half of what its predecessor adds
        reach = 2 * (fine + 2) * (1 + _LAMBDA)
        weights.append(weights[-1] * _separation(coarse) / (2 * reach))
    if weights[-1] * _separation(cells[-1]) < 64 * np.finfo(float).eps * cells[0] * 2:
        raise AllmlpError(
            f"float64 cannot keep the sums of {list(cells)} cells apart; use fewer or coarser grids"
        )
    return InnerFunctions(tuple(cells), families, tuple(weights))


def _separation(cells: int) -> float:
    """Least distance of two values `i + λ j` with -1 <= i, j <= cells."""
    j = np.arange(1, cells + 2) * _LAMBDA
    return float(np.abs(j - np.round(j)).min())


@dataclass(frozen=True)
class Superposition:
    """`Σ_q g_q(ψ_q(x) + λ ψ_q(y))` after as many rounds as there are grids.

    Args:
        inner: the inner functions, which know nothing of f.
        knots: of g_q: for every family and round, positions and values (piecewise linear).
        errors: largest error found after 0, 1, 2, … rounds.
        bounds: `(2/(Q-2)) · previous error + oscillation on a square of the grid`.
    """

    inner: InnerFunctions
    knots: tuple[tuple[tuple[Values, Values], ...], ...]
    errors: tuple[float, ...]
    bounds: tuple[float, ...]

    def __call__(self, X: Values) -> Values:
        """Values at points of [0, 1]², shape (n, 2)."""
        return _outer_sum(self.inner, self.knots, X, len(self.inner.cells))

    def certificate(self) -> Certificate:
        """Measured errors beside what each round promises."""
        rounds = [
            Claim(f"error after round {k}", error, promised=bound, evidence="statistical")
            for k, (error, bound) in enumerate(
                zip(self.errors[1:], self.bounds, strict=True), start=1
            )
        ]
        return Certificate(
            _THEOREM,
            (
                Claim("outer functions", self.inner.families),
                Claim("norm of f", self.errors[0], evidence="statistical"),
                *rounds,
            ),
            (
                "errors are the largest at sample points; oscillations, part of the bounds, are "
                "measured there too",
                "inner functions are the same for every f, and steeper with every round",
            ),
        )


def superpose(
    f: Callable[[Values], Values],
    inner: InnerFunctions | None = None,
    *,
    samples: int = 20_000,
    seed: int = 0,
) -> Superposition:
    """Runs one round of the proof for every grid of the inner functions.

    In a round every square of family q gets the value of the remainder at its centre, divided by
    Q - 2, as a plateau of g_q. At least Q - 2 families have a given point in one of their squares
    and add up to the remainder; the other two add at most 2/(Q-2) of its norm.

    Args:
        f: continuous on [0, 1]², vectorised over rows, (n, 2) -> (n,).
        inner: defaults to `inner_functions()`.
        samples: uniform points at which errors are measured.
        seed: of the local generator.

    Example:
        >>> sums = superpose(lambda x: x[:, 0] * x[:, 1], inner_functions((5, 200), families=9))
        >>> sums.errors[2] < sums.errors[1] < sums.errors[0]
        True
    """
    inner = inner_functions() if inner is None else inner
    points = np.random.default_rng(seed).uniform(size=(samples, 2))
    truth = f(points)
    knots: list[list[tuple[Values, Values]]] = [[] for _ in range(inner.families)]
    errors, bounds = [float(np.abs(truth).max())], []
    remainder = truth
    for level in range(len(inner.cells)):
        oscillation = 0.0
        for q in range(inner.families):
            centres, low, high = _squares(inner, level, q)
            # rounds before this one only; families done already hold one more
            left = f(centres) - _outer_sum(inner, knots, centres, level)
            order = np.argsort(low)
            positions = np.column_stack([low[order], high[order]]).ravel()
            knots[q].append((positions, np.repeat(left[order] / (inner.families - 2), 2)))
            oscillation = max(oscillation, _oscillation(inner, level, q, points, remainder, left))
        bounds.append(
            2 / (inner.families - 2) * max(errors[-1], _largest(knots, inner)) + oscillation
        )
        remainder = truth - _outer_sum(inner, knots, points, level + 1)
        errors.append(float(np.abs(remainder).max()))
    return Superposition(inner, tuple(map(tuple, knots)), tuple(errors), tuple(bounds))


def _intervals(
    inner: InnerFunctions, level: int, q: int
) -> tuple[NDArray[np.int64], Values, Values]:
    """Numbers and ends of the intervals of one family that meet [0, 1]."""
    cells = inner.cells[level]
    index = np.arange(-1, cells + 1)
    start = (index + (q + 1) / inner.families) / cells
    stop = (index + 1 + q / inner.families) / cells
    meets = (stop > 0) & (start < 1)
    return index[meets], np.clip(start[meets], 0, 1), np.clip(stop[meets], 0, 1)


def _squares(inner: InnerFunctions, level: int, q: int) -> tuple[Values, Values, Values]:
    """Centres of one family's squares, and the least and largest inner sum on each."""
    index, start, stop = _intervals(inner, level, q)
    i, j = (a.ravel() for a in np.indices((len(index), len(index))))
    centre = (start + stop) / 2
    low, high = inner(q, start), inner(q, stop)
    return (
        np.column_stack([centre[i], centre[j]]),
        low[i] + _LAMBDA * low[j],
        high[i] + _LAMBDA * high[j],
    )


def _largest(knots: Sequence[Sequence[tuple[Values, Values]]], inner: InnerFunctions) -> float:
    """The remainder's largest value at the centres of the last round."""
    return max(float(np.abs(rounds[-1][1]).max()) for rounds in knots) * (inner.families - 2)


def _oscillation(
    inner: InnerFunctions, level: int, q: int, points: Values, remainder: Values, left: Values
) -> float:
    """How far the remainder moves between a sample and the centre of its square."""
    index, _, _ = _intervals(inner, level, q)
    stairs = inner.stair(level, q, points)
    whole = (stairs == np.floor(stairs)).all(axis=1)  # on a step in both coordinates
    at = (stairs[whole].astype(np.int64) - index[0] - 1).clip(0, len(index) - 1)
    values = left.reshape(len(index), len(index))[at[:, 0], at[:, 1]]
    return float(np.abs(remainder[whole] - values).max(initial=0.0))


def _outer_sum(
    inner: InnerFunctions,
    knots: Sequence[Sequence[tuple[Values, Values]]],
    X: Values,
    rounds: int,
) -> Values:
    """The first rounds of all g_q, at points (n, 2)."""
    total = np.zeros(len(X))
    if rounds == 0:
        return total
    for q in range(inner.families):
        sums = inner(q, X[:, 0]) + _LAMBDA * inner(q, X[:, 1])
        for positions, values in knots[q][:rounds]:
            total += np.interp(sums, positions, values)
    return total
