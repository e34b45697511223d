"""The regions of a ReLU network on a plane: polygons, neighbours, affine pieces.

An *activation region* is the set, with interior, of all points with one activation pattern. In a
ReLU network each is convex. A *linear region* is a largest set, connected through edges, on which
the network is one affine map; it is a union of activation regions.

Axes: c regions, t corners of all regions, k outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from allmlp.errors import AllmlpError
from allmlp.theory.affine_maps import affine_maps
from allmlp.theory.cell_pool import Integers64, starts_of
from allmlp.theory.certificate import Certificate, Claim, Evidence, Theorem
from allmlp.theory.exact_lines import ExactLines
from allmlp.theory.region_bounds import least_upper, montufar_upper
from allmlp.theory.region_graph import (
    all_distinct,
    euler_characteristic,
    merged_count,
    next_corner,
    twins,
)
from allmlp.theory.relu_net import Array, ReluNet
from allmlp.theory.slices import Box, Slice
from allmlp.theory.subdivide import Subdivision, subdivide

__all__ = ["PlaneRegions", "Polygons", "plane_regions"]

_THEOREM = Theorem(
    "A ReLU network cuts a plane into convex activation regions",
    "counted by allmlp, docs/theory/regions.md; bounds: Montúfar 2017; "
    "Serra, Tjandraatmadja & Ramalingam 2018, arXiv:1711.02114",
)
# products of integers (weights times pairs of cells) that comparing maps exactly may cost: about
# half a minute
_EXACT_BUDGET = 5e7


class Polygons(Sequence[Array]):
    """The corners (n, 2) of each region, counter-clockwise, in slice coordinates."""

    def __init__(self, points: Array, sizes: Integers64):
        self._points, self._sizes, self._starts = points, sizes, starts_of(sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        start = self._starts[index]  # an index out of range raises IndexError here
        return self._points[start : start + self._sizes[index]]


@dataclass(frozen=True, eq=False)
class PlaneRegions:
    """All activation regions of a network on a rectangle of a plane.

    Args:
        net: the network.
        slice: the plane; regions are described in its coordinates.
        box: the rectangle, (low, high) for both slice coordinates.
        cells: corners, edges and patterns.
    """

    net: ReluNet
    slice: Slice
    box: Box
    cells: Subdivision

    @property
    def count(self) -> int:
        """Number of activation regions."""
        return len(self.cells.sizes)

    @property
    def polygons(self) -> Polygons:
        """The regions' corners; a sequence of arrays (n, 2)."""
        return Polygons(self.cells.points, self.cells.sizes)

    @property
    def patterns(self) -> NDArray[np.uint8]:
        """(c, bytes) active units, packed layer by layer; as `ReluNet.patterns` gives them."""
        return self.cells.patterns

    @property
    def degrees(self) -> Integers64:
        """(c,) number of edges of each region; 4 on average where no three lines meet."""
        return self.cells.sizes

    @cached_property
    def areas(self) -> Array:
        """(c,) area of each region, in the metric of the input space."""
        starts = starts_of(self.cells.sizes)
        # from each region's own first corner: exact enough for regions of 1e-20
        base = np.repeat(self.cells.points[starts], self.cells.sizes, axis=0)
        a = self.cells.points - base
        b = a[next_corner(self.cells.sizes)]
        twice = np.add.reduceat(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], starts)
        areas: Array = twice / 2 * np.sqrt(np.linalg.det(self.slice.gram))
        return areas

    @cached_property
    def twins(self) -> Integers64:
        """(t,) for the edge behind every corner, the same edge in the region across; else -1."""
        return twins(self.net, self.cells)

    @cached_property
    def neighbours(self) -> Integers64:
        """(n, 2) pairs of regions that share an edge, each once."""
        owner = np.repeat(np.arange(self.count), self.cells.sizes)
        inner = np.flatnonzero(self.twins >= 0)
        pairs = np.stack([owner[inner], owner[self.twins[inner]]], axis=1)
        chosen: Integers64 = pairs[pairs[:, 0] < pairs[:, 1]]
        return chosen

    @property
    def euler_characteristic(self) -> int:
        """Corners - edges + regions, each counted once; 1, or the regions do not fit together."""
        return euler_characteristic(self.cells, self.twins)

    @cached_property
    def _maps(self) -> tuple[Array, Array]:
        bound = np.array([*(max(map(abs, side)) for side in self.box), 1.0])
        return affine_maps(self.net, self.slice.frame, self.patterns, bound)

    @property
    def maps(self) -> Array:
        """(c, k, 3) the network on each region: factors of the slice coordinates, and offset."""
        return self._maps[0]

    @cached_property
    def gradient_norms(self) -> Array:
        """(c,) largest stretch of each affine piece along the plane, in input-space lengths.

        The spectral norm of the Jacobian restricted to the plane; the gradient's length there if
        there is one output.
        """
        # lengths of the input space: J (Gram)^(-1/2)
        root = np.linalg.inv(np.linalg.cholesky(self.slice.gram)).T
        jacobians = self.maps[:, :, :2] @ root
        norms: Array = np.linalg.norm(jacobians, ord=2, axis=(1, 2))
        return norms

    @property
    def lipschitz(self) -> float:
        """The Lipschitz constant of the network on the rectangle: its steepest piece."""
        return float(self.gradient_norms.max())

    @property
    def linear_count(self) -> int:
        """Number of linear regions."""
        return self._linear[0]

    @cached_property
    def _linear(self) -> tuple[int, Evidence]:
        """Number of linear regions, and how it was found."""
        maps, slack = self._maps
        bound = np.array([*(max(map(abs, side)) for side in self.box), 1.0])
        a, b = self.neighbours.T
        gap = (np.abs(maps[a] - maps[b]) @ bound).max(axis=1, initial=0.0)
        same = np.flatnonzero(gap <= slack[a] + slack[b])
        evidence: Evidence = "exact"
        if len(same) * sum(w.size for w in self.net.weights) <= _EXACT_BUDGET:
            same = same[[self._equal(int(a[i]), int(b[i])) for i in same]]
        else:
            evidence = "float64"
        return merged_count(self.count, self.neighbours[same]), evidence

    @cached_property
    def _exact(self) -> ExactLines:
        return ExactLines(self.net, self.slice.frame)

    def _equal(self, a: int, b: int) -> bool:
        """Whether two regions have one affine map, in integers."""
        forms, denominators = zip(
            *(self._exact.forms(self.patterns[i].tobytes(), len(self.net.slopes)) for i in (a, b)),
            strict=True,
        )
        return bool((forms[0] * denominators[1] == forms[1] * denominators[0]).all())

    def locate(self, coordinates: ArrayLike) -> Integers64:
        """(n,) the region that each point (n, 2) of the rectangle lies in.

        -1 outside the rectangle, and for points so near an edge that rounding decides.

        Raises:
            AllmlpError: another shape.
        """
        points = np.asarray(coordinates, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise AllmlpError(
                f"points of the rectangle are rows of two numbers, got shape {points.shape}; "
                "slice.coordinates finds those of points of the input space"
            )
        known = {row.tobytes(): i for i, row in enumerate(self.patterns)}
        (left, right), (low, high) = self.box
        x, y = points.T
        inside = (left <= x) & (x <= right) & (low <= y) & (y <= high)
        found = [known.get(row.tobytes(), -1) for row in self.net.patterns(self.slice(points))]
        return np.where(inside, found, -1)

    def certificate(self) -> Certificate:
        """The count beside everything that would betray a wrong one, and the upper bounds."""
        (left, right), (low, high) = self.box
        whole = (right - left) * (high - low) * float(np.sqrt(np.linalg.det(self.slice.gram)))
        linear, evidence = self._linear
        widths = self.net.widths
        bound = least_upper(2, widths, leaky=self.net.leaky)
        return Certificate(
            _THEOREM,
            (
                Claim("activation regions", self.count, promised=bound),
                Claim("bound of Montúfar 2017", montufar_upper(2, widths)),
                Claim("linear regions", linear, promised=self.count, evidence=evidence),
                Claim(
                    "distinct patterns",
                    self.count if all_distinct(self.patterns) else 0,
                    promised=self.count,
                    relation="==",
                ),
                Claim(
                    "corners - edges + regions", self.euler_characteristic, promised=1,
                    relation="==",
                ),
                Claim(
                    "area missing", abs(1 - float(self.areas.sum()) / whole), promised=1e-9,
                    evidence="float64",
                ),
                Claim("smallest area", float(self.areas.min()), evidence="float64"),
                Claim("mean edges of a region", float(self.degrees.mean()), evidence="float64"),
                Claim("Lipschitz constant here", self.lipschitz, evidence="float64"),
                Claim("signs taken in integers", self.cells.exact_signs),
            ),
            (
                "every sign is exact: float64 with an error bound, integers where that is not "
                "enough; coordinates and areas are rounded",
            ),
        )  # fmt: skip


def plane_regions(net: ReluNet, plane: Slice, box: Box) -> PlaneRegions:
    """The regions of a network on a rectangle of a plane (see `count_regions`)."""
    return PlaneRegions(net, plane, box, subdivide(net, plane.frame, (box[0], box[1])))
