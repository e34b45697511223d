"""From points in R^d to distinct points on a line, sorted into runs of equal label."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Float, Num
from numpy.typing import NDArray

from allmlp.errors import AllmlpError
from allmlp.theory.exact_net import Rational, common_denominator

__all__ = ["FloatProjection", "Runs", "exact_projection", "float_projection"]


@dataclass(frozen=True)
class Runs:
    """Maximal runs of equal label along a line, from left to right.

    Args:
        low: leftmost position of every run.
        high: rightmost position of every run.
        labels: one for each run; neighbours differ.
    """

    low: NDArray[Any]
    high: NDArray[Any]
    labels: NDArray[Any]

    @classmethod
    def of_sorted(cls, positions: NDArray[Any], labels: NDArray[Any]) -> "Runs":
        """Runs of ascending positions; arrays of floats or of Fractions."""
        ends = np.flatnonzero(labels[1:] != labels[:-1])
        starts = np.concatenate([[0], ends + 1])
        ends = np.concatenate([ends, [len(labels) - 1]])
        return cls(positions[starts], positions[ends], labels[starts])

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class FloatProjection:
    """`P(x) = direction · x + offset`, computed in float64, with every P in one binade.

    Args:
        direction: shape (d,), unit length.
        offset: puts all P into [binade, 2 binade), so that floating point itself snaps them to
            multiples of `grid`.
        grid: spacing of float64 in that binade.
        noise: bound on how far two float64 evaluations of P at one point can lie apart, whatever
            the order of summation.
        runs: of P over the given points.
        gap: smallest distance between neighbouring runs.
    """

    direction: Float[np.ndarray, " d"]
    offset: float
    grid: float
    noise: float
    runs: Runs
    gap: float


def float_projection(
    X: Float[np.ndarray, "n d"], y: Num[np.ndarray, " n"], *, directions: int, seed: int
) -> FloatProjection:
    """The best of several random directions: the one with the widest relative smallest gap.

    Args:
        X: finite points.
        y: integer-valued labels.
        directions: how many to try; each costs one sort.
        seed: of the local generator.

    Raises:
        AllmlpError: two equal points have different labels, or the gaps are too narrow for
            float64.
    """
    d = X.shape[1]
    rng = np.random.default_rng(seed)
    candidates = rng.standard_normal((d, directions))
    candidates /= np.linalg.norm(candidates, axis=0)
    with np.errstate(over="ignore", invalid="ignore"):  # the next lines say it better
        projected = np.ascontiguousarray((X @ candidates).T)
        extents = projected.max(axis=1) - projected.min(axis=1)
    if not np.isfinite(extents).all():
        raise AllmlpError(
            "projections must stay finite, but the points are so large that they overflow "
            "float64; divide the points by a power of two"
        )
    best = max(range(directions), key=lambda j: _relative_gap(projected[j], y))
    direction = np.ascontiguousarray(candidates[:, best])

    position = X @ direction
    low, extent = float(position.min()), float(position.max() - position.min())
    spread = float(y.max()) - float(y.min()) + 1
    # 2 * spread is headroom: products of label differences and positions then need no more than
    # the 53 bits of float64 (docs/theory/memorisation.md, "why float64 is exact")
    binade = 2.0 ** math.ceil(math.log2(2 * spread * extent)) if extent > 0 else 1.0
    if not 1e-250 < binade < 1e250:
        raise AllmlpError(
            f"the float64 staircase needs points that spread over 1e-250 to 1e250, but their "
            f"projections spread over {extent:.1e}; multiply them by a power of two"
        )
    offset = binade - low + extent / 4
    position = X @ direction + offset
    grid = binade * 2.0**-52
    largest = float(np.abs(X).max(axis=0) @ np.abs(direction))  # bounds |x|·|w| at every point
    # forward error of a dot product in any order (Higham 2002, eq. 3.5), for two evaluations,
    # and the rounding of the sum with the offset
    noise = 2 * d * 2.0**-53 * 1.01 * largest + grid

    order = np.argsort(position, kind="stable")
    position = position[order]
    runs = Runs.of_sorted(position, y[order])
    gaps = runs.low[1:] - runs.high[:-1]
    gap = float(gaps.min(initial=math.inf))
    # a plateau ends a quarter of the gap away from the points beside it, less two grid steps
    if gap / 4 < noise + 2 * grid:
        _explain_narrow_gap(X, y, order, position, noise + 2 * grid)
    return FloatProjection(direction, offset, grid, noise, runs, gap)


def _relative_gap(position: NDArray[np.float64], y: NDArray[Any]) -> float:
    order = np.argsort(position)
    position = position[order]
    gaps = np.diff(position)
    gaps = gaps[np.diff(y[order]) != 0]
    extent = position[-1] - position[0]
    return float(gaps.min(initial=math.inf) / extent) if extent > 0 else 0.0


def _explain_narrow_gap(
    X: NDArray[np.float64],
    y: NDArray[Any],
    order: NDArray[np.intp],
    position: NDArray[np.float64],
    needed: float,
) -> NoReturn:
    """Raises the error that fits: equal points, or points too close for float64."""
    _, index, group = np.unique(X, axis=0, return_index=True, return_inverse=True)
    twins = index[group]  # the first point that is equal to each
    contradicting = np.flatnonzero(y[twins] != y)
    if len(contradicting):
        second = int(contradicting[0])
        first = int(twins[second])
        raise _contradiction(first, second, y[first], y[second])
    labels = y[order]
    i = int(np.flatnonzero((np.diff(labels) != 0) & (np.diff(position) < 4 * needed))[0])
    raise AllmlpError(
        f"float64 needs projected gaps of {4 * needed:.1e} or more between points of different "
        f"labels, but points {order[i]} and {order[i + 1]} are "
        f"{position[i + 1] - position[i]:.1e} apart on the best of the directions tried; try more "
        "directions, or use memorize_exact, which works in rational arithmetic at any gap"
    )


def _contradiction(first: int, second: int, label: Any, other: Any) -> AllmlpError:
    return AllmlpError(
        f"equal points must have equal labels, but points {first} and {second} are the same with "
        f"labels {label} and {other}; drop one of them"
    )


def exact_projection(
    X: Sequence[Any] | NDArray[Any], labels: Sequence[Rational], *, seed: int
) -> tuple[list[int], Runs]:
    """An integer direction that separates all points of different labels, in rationals.

    A random integer direction with entries of b bits fails with probability at most
    `C(n, 2) / 2^(b+1)` (Schwartz-Zippel); b grows by 4 at every failure.

    Args:
        X: shape (n, d) of ints, Fractions or floats.
        labels: n rationals.
        seed: of the local generator.

    Returns:
        The direction, and the runs with Fraction positions and labels.

    Raises:
        AllmlpError: two equal points have different labels.
    """
    dim = len(X[0])
    columns, denominator = common_denominator(X, dim)
    seen: dict[tuple[int, ...], int] = {}
    for i, point in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        twin = seen.setdefault(point, i)
        if labels[twin] != labels[i]:
            raise _contradiction(twin, i, labels[twin], labels[i])
    rng = random.Random(seed)
    for bits in range(16, 1 << 20, 4):  # ends with probability one, in practice at once
        direction = [rng.randrange(-(1 << bits), 1 << bits) for _ in range(dim)]
        position = sum(w * column for w, column in zip(direction, columns, strict=True))
        if _separates(position.tolist(), labels):
            break
    order = sorted(range(len(labels)), key=position.tolist().__getitem__)
    sorted_position = np.empty(len(order), dtype=object)
    sorted_position[:] = [Fraction(position[i], denominator) for i in order]
    sorted_labels = np.empty(len(order), dtype=object)
    sorted_labels[:] = [Fraction(labels[i]) for i in order]
    return direction, Runs.of_sorted(sorted_position, sorted_labels)


def _separates(position: list[int], labels: Sequence[Rational]) -> bool:
    seen: dict[int, Rational] = {}
    return all(seen.setdefault(p, y) == y for p, y in zip(position, labels, strict=True))
