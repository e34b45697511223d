"""Finite-sample memorisation: any labels of distinct points, by a network of width 2."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.theory.certificate import Claim, Theorem
from allmlp.theory.exact_net import ExactNet
from allmlp.theory.memorize_interpolation import interpolation
from allmlp.theory.memorize_staircase import staircase
from allmlp.theory.narrow import NarrowRecurrence, StackedNarrowNet
from allmlp.theory.projection import Runs, exact_projection, float_projection

__all__ = ["memorize", "memorize_exact", "published_depth"]

_METHODS = ("auto", "staircase", "interpolation")

_STAIRCASE = Theorem(
    "Width-2 memorisation of integer labels by a staircase",
    "allmlp, docs/theory/memorisation.md; after Hernández & Zuazua, arXiv:2409.06555",
)
_INTERPOLATION = Theorem(
    "Width-2 memorisation of real labels by interpolation",
    "allmlp, docs/theory/memorisation.md; after Hernández & Zuazua, arXiv:2409.06555",
)


def published_depth(num_points: int, num_classes: int) -> int:
    """`2N + 4M - 1`, the depth of Hernández & Zuazua (arXiv:2409.06555) at width 2."""
    return 2 * num_points + 4 * num_classes - 1


@overload
def memorize(
    X: ArrayLike,
    y: ArrayLike,
    *,
    method: Literal["staircase"],
    directions: int = 8,
    seed: int = 0,
) -> StackedNarrowNet: ...


@overload
def memorize(
    X: ArrayLike,
    y: ArrayLike,
    *,
    method: Literal["interpolation"],
    directions: int = 8,
    seed: int = 0,
) -> ExactNet: ...


@overload
def memorize(
    X: ArrayLike, y: ArrayLike, *, method: str = "auto", directions: int = 8, seed: int = 0
) -> StackedNarrowNet | ExactNet: ...


def memorize(
    X: ArrayLike, y: ArrayLike, *, method: str = "auto", directions: int = 8, seed: int = 0
) -> StackedNarrowNet | ExactNet:
    """A ReLU network of width 2 with `net(X) == y`, at every point and without any rounding.

    Integer labels give a *staircase* in float64: all its operations are exact, labels sit on
    plateaus and survive small movements of the input (`certificate()["margin"]`). Real labels
    give an *interpolation*, an `ExactNet` in rational arithmetic: depth at most N, no margin.

    Memorising is not learning: the network says nothing about other points.

    A staircase of 10^6 points is built in about 2 s; running its layers takes a time that grows
    with n². Interpolation computes with rationals: 2,000 points are evaluated in about 3 s.

    Args:
        X: n finite points, shape (n, d).
        y: n labels: ints, bools or floats.
        method: `auto` takes the staircase if all labels are integers below 2^52.
        directions: random projections to choose from, staircase only; more cost time and widen
            the margin.
        seed: of the projection.

    Returns:
        `StackedNarrowNet` (staircase) or `ExactNet` (interpolation).

    Raises:
        AllmlpError: shapes that do not fit, NaN or infinity, equal points with different labels,
            gaps too narrow for float64 (the message names `memorize_exact`).

    Example:
        >>> net = memorize([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0])
        >>> net([[0, 0], [0, 1], [1, 0], [1, 1]])
        array([0., 1., 1., 0.])
        >>> net.certificate().holds
        True
    """
    points, labels = _checked(X, y)
    check_choice("method", method, _METHODS)
    check_integers("memorize", minimum=1, directions=directions)
    # beyond 2^52 float64 has no room for the differences of labels
    integral = bool((labels == np.floor(labels)).all() and np.abs(labels).max() < 2.0**52)
    if method == "interpolation" or (method == "auto" and not integral):
        return memorize_exact(points, labels, method="interpolation", seed=seed)
    if not integral:
        raise AllmlpError(
            "a staircase needs integer labels below 2^52, but some are not; "
            'use method="interpolation", which takes any real labels'
        )
    if (labels == labels[0]).all():
        zeros = np.zeros(points.shape[1])
        runs = Runs(labels[:0], labels[:0], labels[:1])
        return _stacked(zeros, 0.0, runs, None, num_points=len(labels), num_classes=1, claims=[])

    projection = float_projection(points, labels, directions=directions, seed=seed)
    margin = projection.gap / 4 - projection.noise - 2 * projection.grid
    claims = [
        Claim("smallest gap", attained=projection.gap, evidence="float64"),
        Claim("margin", attained=margin, evidence="float64"),
    ]
    return _stacked(
        projection.direction,
        projection.offset,
        projection.runs,
        projection.grid,
        num_points=len(labels),
        num_classes=len(np.unique(labels)),
        claims=claims,
    )


def _stacked(
    direction: NDArray[np.float64],
    offset: float,
    runs: Runs,
    grid: float | None,
    *,
    num_points: int,
    num_classes: int,
    claims: Sequence[Claim],
) -> StackedNarrowNet:
    recurrence = staircase(runs, grid=grid)
    bare = StackedNarrowNet(direction, offset, recurrence, theorem=_STAIRCASE)
    # the projection is a layer of its own: one more than over the rationals
    promised = _staircase_depth(len(runs), num_classes) + (len(runs) > 1)
    sizes = _size_claims(bare, promised, len(runs), num_points, num_classes, recurrence)
    margin_note = (
        "the margin is a Euclidean distance: labels stay exact for every input within it of a "
        "memorised point"
    )
    return StackedNarrowNet(
        direction,
        offset,
        recurrence,
        theorem=_STAIRCASE,
        claims=[*sizes, *claims],
        notes=[margin_note] if len(runs) > 1 else [],
    )


def memorize_exact(
    X: Sequence[Any] | NDArray[Any] | torch.Tensor,
    y: Sequence[Any] | NDArray[Any] | torch.Tensor,
    *,
    method: str = "auto",
    seed: int = 0,
) -> ExactNet:
    """The same networks over the rationals: any gap, any labels, slower.

    Args:
        X: n points, shape (n, d): ints, floats (read as the rationals they are) or Fractions.
        y: n labels, likewise.
        method: `staircase` (plateaus, depth <= 2R - 1 for R runs of equal labels along the
            projection), `interpolation` (depth <= N), or `auto` as in `memorize`.
        seed: of the integer projection.

    Raises:
        AllmlpError: as `memorize`, but no gap is too narrow.

    Example:
        >>> net = memorize_exact([[0], [1], [3]], [Fraction(1, 3), 2, Fraction(-1, 7)])
        >>> net.exact([[0], [1], [3]]).tolist()
        [Fraction(1, 3), Fraction(2, 1), Fraction(-1, 7)]
    """
    check_choice("method", method, _METHODS)
    points = _rows(X)
    try:
        labels = [Fraction(value) for value in _rows(y)]
    except (TypeError, ValueError, OverflowError):
        raise AllmlpError(
            "labels must be finite numbers, but some are not; encode names as integers and drop "
            "missing ones"
        ) from None
    _check_lengths(len(points), len(labels))
    if method == "auto":
        method = "staircase" if all(v.denominator == 1 for v in labels) else "interpolation"
    direction, runs = exact_projection(points, labels, seed=seed)
    num_classes = len(set(labels))
    if method == "staircase":
        recurrence = staircase(runs)
        theorem, promised = _STAIRCASE, _staircase_depth(len(runs), num_classes)
    else:
        recurrence = interpolation(runs)
        theorem, promised = _INTERPOLATION, len(labels)

    def checks(net: ExactNet) -> list[Claim]:
        right = int((net.exact(points) == np.array(labels, dtype=object)).sum())
        sizes = _size_claims(net, promised, len(runs), len(labels), num_classes, recurrence)
        return [*sizes, Claim("points fitted", right, promised=len(labels), relation="==")]

    return ExactNet(recurrence.layers(direction), theorem=theorem, checks=[checks])


def _staircase_depth(num_runs: int, num_classes: int) -> int:
    """Over the rationals: R + 1 for two labels, 2R - 1 in general, 1 for one run."""
    if num_runs == 1:
        return 1
    return num_runs + 1 if num_classes == 2 else 2 * num_runs - 1


def _size_claims(
    net: StackedNarrowNet | ExactNet,
    promised_depth: int,
    num_runs: int,
    num_points: int,
    num_classes: int,
    recurrence: NarrowRecurrence,
) -> list[Claim]:
    return [
        Claim("width", attained=net.width, promised=2),
        Claim("depth", attained=net.depth, promised=promised_depth),
        Claim(
            "depth against 2N + 4M - 1",
            attained=net.depth,
            promised=published_depth(num_points, num_classes),
        ),
        Claim("parameters", attained=net.parameters),
        Claim("points", attained=num_points),
        Claim("runs of equal labels", attained=num_runs),
        Claim("largest gain", attained=max(abs(recurrence.gains).tolist(), default=0)),
    ]


def _rows(values: Sequence[Any] | NDArray[Any] | torch.Tensor) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray | torch.Tensor) else list(values)


def _checked(X: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    arrays = []
    for name, values in (("X", X), ("y", y)):
        if isinstance(values, torch.Tensor):
            values = values.detach().cpu().numpy()
        try:
            arrays.append(np.asarray(values, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise AllmlpError(
                f"{name} must hold numbers in a rectangular array, but does not ({error}); "
                "encode names as integers"
            ) from None
        if _is_rounded(np.asarray(values), arrays[-1]):
            raise AllmlpError(
                f"{name} must hold numbers that float64 has room for, but {name} holds integers "
                "beyond 2^53 that it would round; use memorize_exact, which takes them as they are"
            )
    points, labels = arrays
    if points.ndim != 2 or labels.ndim != 1:
        raise AllmlpError(
            f"memorize takes points of shape (n, d) and labels of shape (n,), but got "
            f"{points.shape} and {labels.shape}; flatten images to rows first"
        )
    _check_lengths(len(points), len(labels))
    for name, values in (("X", points), ("y", labels)):
        if not np.isfinite(values).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise AllmlpError(
                f"{name} must be finite, but {name}{list(where)} is {values[where]}; "
                "drop or fill such rows"
            )
    return points, labels


def _is_rounded(given: NDArray[Any], floats: NDArray[np.float64]) -> bool:
    if given.dtype.kind not in "iu" or np.abs(floats).max(initial=0.0) < 2.0**53:
        return False
    return bool((given.astype(object) != floats.astype(object)).any())  # Python compares exactly


def _check_lengths(num_points: int, num_labels: int) -> None:
    if num_points != num_labels or num_points == 0:
        raise AllmlpError(
            f"every point needs one label and there must be at least one, but got {num_points} "
            f"points and {num_labels} labels; cut the longer one"
        )
