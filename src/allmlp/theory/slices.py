"""Lines and planes through the input space.

Axes: d inputs, m directions (1 or 2), n points.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from allmlp.errors import AllmlpError
from allmlp.theory.relu_net import Array

__all__ = ["Box", "Slice", "read_box", "read_points"]

# (low, high) of every coordinate
Box = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Slice:
    """The points `origin + Σ s_i directions_i`; s are the slice coordinates.

    Args:
        origin: (d,).
        directions: (m, d), linearly independent; one makes a line, two a plane.

    Raises:
        AllmlpError: other shapes, entries that are not finite, or dependent directions.

    Example:
        >>> plane = Slice.through([0, 0, 0], [2, 0, 0], [0, 0, 5])
        >>> plane([[1.0, 2.0]])
        array([[1., 0., 2.]])
    """

    origin: Any
    directions: Any

    def __post_init__(self) -> None:
        origin = np.array(self.origin, dtype=np.float64)
        directions = np.array(self.directions, dtype=np.float64)
        m = len(directions) if directions.ndim == 2 else 0
        if origin.ndim != 1 or m not in (1, 2) or directions.shape[1] != len(origin):
            raise AllmlpError(
                "a slice needs an origin (d,) and one or two directions (m, d), but got shapes "
                f"{origin.shape} and {directions.shape}; give points of the input space"
            )
        if not np.isfinite(origin).all() or not np.isfinite(directions).all():
            raise AllmlpError("a slice needs finite numbers, but got NaN or infinity; replace them")
        lengths = np.linalg.norm(directions, axis=1)
        if not lengths.all() or np.linalg.matrix_rank(directions / lengths[:, None]) < m:
            raise AllmlpError(
                "the directions of a slice must be independent, but they are parallel or zero; "
                "choose points that are not on one line"
            )
        object.__setattr__(self, "origin", origin)
        object.__setattr__(self, "directions", directions)

    @classmethod
    def through(cls, *points: ArrayLike) -> "Slice":
        """The line through two points, or the plane through three, with orthonormal directions.

        The first point is the origin and the first direction leads to the second point, so slice
        coordinates are lengths in the input space.
        """
        flat = [np.asarray(p, dtype=np.float64).ravel() for p in points]
        if len(flat) not in (2, 3) or len({len(p) for p in flat}) != 1:
            raise AllmlpError(
                "a slice goes through two points or three of one size, but got sizes "
                f"{[len(p) for p in flat]}; choose so many"
            )
        directions: list[Array] = []
        for p in flat[1:]:
            across = p - flat[0]
            length = np.linalg.norm(across)
            for _ in range(2):  # Gram-Schmidt, twice for the last digits
                for u in directions:
                    across = across - (across @ u) * u
            rest = np.linalg.norm(across)
            if not rest > 1e-9 * length:
                raise AllmlpError(
                    "a slice needs points in general position, but two are equal or three are on "
                    "one line; choose others"
                )
            directions.append(across / rest)
        return cls(flat[0], np.stack(directions))

    @property
    def frame(self) -> Array:
        """(d, m + 1): directions, then origin, as columns."""
        return np.concatenate([self.directions, self.origin[None]]).T

    @property
    def gram(self) -> Array:
        """(m, m) inner products of the directions: lengths and angles on the slice."""
        gram: Array = self.directions @ self.directions.T
        return gram

    def __call__(self, coordinates: ArrayLike) -> Array:
        """Points (n, d) of the input space at slice coordinates (n, m)."""
        points: Array = np.asarray(coordinates, dtype=np.float64) @ self.directions + self.origin
        return points

    def coordinates(self, X: ArrayLike) -> Array:
        """Slice coordinates (n, m) of the foot points of (n, d) or images (n, c, h, w) on it.

        Raises:
            AllmlpError: points of another size.
        """
        across = (read_points(X, len(self.origin)) - self.origin).T
        found: Array = np.linalg.lstsq(self.directions.T, across, rcond=None)[0].T
        return found


def read_points(X: ArrayLike, size: int) -> Array:
    """Points (n, size) of an input space, from as many rows or images.

    Raises:
        AllmlpError: rows of another size.
    """
    points = np.asarray(X, dtype=np.float64)
    if points.ndim < 2 or prod(points.shape[1:]) != size:
        raise AllmlpError(
            f"points of {size} inputs are rows of as many numbers, got an array of shape "
            f"{points.shape}"
        )
    return points.reshape(len(points), size)


def read_box(box: Sequence[Any], dim: int) -> Box:
    """`(low, high)` for all coordinates, or one such pair for each.

    Raises:
        AllmlpError: another shape, infinite ends, or low not below high.

    Example:
        >>> read_box((-1, 1), 2)
        ((-1.0, 1.0), (-1.0, 1.0))
    """
    pairs = np.array(box, dtype=np.float64)
    if pairs.shape == (2,):
        pairs = np.tile(pairs, (dim, 1))
    if (
        pairs.shape != (dim, 2)
        or not np.isfinite(pairs).all()
        or (pairs[:, 0] >= pairs[:, 1]).any()
    ):
        raise AllmlpError(
            f"the box needs (low, high) with low < high, or {dim} such pairs, but got {box}; "
            "write for example (-1, 1)"
        )
    return tuple((float(low), float(high)) for low, high in pairs)
