"""The regions of a ReLU network along a line: every breakpoint.

A line is a plane whose second direction is zero: its regions are strips across a rectangle.

Axes: c intervals, k outputs.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from allmlp.theory.affine_maps import affine_maps
from allmlp.theory.cell_pool import starts_of
from allmlp.theory.certificate import Certificate, Claim, Theorem
from allmlp.theory.exact_lines import ExactLines
from allmlp.theory.region_bounds import least_upper
from allmlp.theory.region_graph import all_distinct, next_corner
from allmlp.theory.relu_net import Array, ReluNet
from allmlp.theory.slices import Box, Slice
from allmlp.theory.subdivide import subdivide

__all__ = ["LineRegions", "line_regions"]

_THEOREM = Theorem(
    "A ReLU network cuts a line into intervals",
    "counted by allmlp, docs/theory/regions.md; bound: Serra, Tjandraatmadja & Ramalingam 2018, "
    "arXiv:1711.02114",
)


@dataclass(frozen=True, eq=False)
class LineRegions:
    """All activation regions of a network on a segment, in order.

    Args:
        net: the network.
        slice: the line; positions are its coordinate.
        box: ((low, high),) of the segment.
        breakpoints: (c - 1,) ascending positions between the regions, in float64.
        units: (c - 1,) the hidden unit that bends at each, counted through all layers.
        patterns: (c, bytes) active units of every interval.
        exact_signs: how many signs float64 could not decide.
    """

    net: ReluNet
    slice: Slice
    box: Box
    breakpoints: Array
    units: NDArray[np.int32]
    patterns: NDArray[np.uint8]
    exact_signs: int

    @property
    def count(self) -> int:
        """Number of activation regions."""
        return len(self.patterns)

    @cached_property
    def maps(self) -> Array:
        """(c, k, 2) the network on each interval: slope and offset in the line's coordinate."""
        bound = np.array([max(map(abs, self.box[0])), 1.0])
        return affine_maps(self.net, self.slice.frame, self.patterns, bound)[0]

    @property
    def lipschitz(self) -> float:
        """The Lipschitz constant of the network on the segment."""
        slopes = np.linalg.norm(self.maps[:, :, 0], axis=1)
        return float(slopes.max() / np.sqrt(self.slice.gram[0, 0]))

    @cached_property
    def linear_count(self) -> int:
        """Number of linear regions: neighbours with one affine map, in integers, count once."""
        exact, last = ExactLines(self.net, self.slice.frame), len(self.net.slopes)
        before, count = None, 0
        for row in self.patterns:
            forms, denominator = exact.forms(row.tobytes(), last)
            here = [Fraction(value, denominator) for value in forms.ravel().tolist()]
            count += here != before
            before = here
        return count

    def exact_breakpoints(self) -> list[Fraction]:
        """The breakpoints without rounding."""
        exact = ExactLines(self.net, self.slice.frame)
        first = np.cumsum([0, *(len(bias) for bias in self.net.biases[:-1])])
        roots = []
        for label, pattern in zip(self.units.tolist(), self.patterns[1:], strict=True):
            layer = int(np.searchsorted(first, label, side="right")) - 1
            prefix = exact.prefix(pattern.tobytes(), layer)
            slope, offset = exact.form(prefix, layer, label - int(first[layer]))
            roots.append(Fraction(-offset, slope))
        return roots

    def certificate(self) -> Certificate:
        """The count beside the least upper bound that holds for every network of these widths."""
        bound = least_upper(1, self.net.widths, leaky=self.net.leaky)
        return Certificate(
            _THEOREM,
            (
                Claim("activation regions", self.count, promised=bound),
                Claim("linear regions", self.linear_count, promised=self.count),
                Claim(
                    "distinct patterns",
                    self.count if all_distinct(self.patterns) else 0,
                    promised=self.count,
                    relation="==",
                ),
                Claim("Lipschitz constant here", self.lipschitz, evidence="float64"),
                Claim("signs taken in integers", self.exact_signs),
            ),
        )


def line_regions(net: ReluNet, line: Slice, box: Box) -> LineRegions:
    """The regions of a network on a segment of a line (see `count_regions`)."""
    direction, origin = line.frame.T
    frame = np.stack([direction, np.zeros_like(origin), origin], axis=1)
    cells = subdivide(net, frame, (box[0], (0.0, 1.0)))
    starts = starts_of(cells.sizes)
    left = np.minimum.reduceat(cells.points[:, 0], starts)
    right = np.maximum.reduceat(cells.points[:, 0], starts)
    # the left side of a strip is the one edge that runs downwards
    following = cells.points[next_corner(cells.sizes)]
    down = np.flatnonzero(following[:, 1] < cells.points[:, 1])
    order = np.lexsort((right, left))
    return LineRegions(
        net,
        line,
        box,
        left[order][1:],
        cells.labels[down][order][1:],
        cells.patterns[order],
        cells.exact_signs,
    )
