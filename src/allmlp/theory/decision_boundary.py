"""Where a classifier changes its mind on a plane: the decision boundary, segment by segment.

On one region the class scores are affine, so the part where class j wins is the region's polygon
cut by half-planes `f_j >= f_i`. Regions where one class leads at every corner are settled at once.

Axes: c regions, t corners, k classes, m segments.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allmlp.theory.cell_pool import starts_of
from allmlp.theory.plane_regions import PlaneRegions
from allmlp.theory.region_graph import next_corner
from allmlp.theory.relu_net import Array

__all__ = ["DecisionBoundary", "decision_boundary"]

# from, to (0 and 1 are the ends of an edge), class
Share = tuple[float, float, int]

# of an edge: below lies rounding
_SHORTEST = 1e-9


@dataclass(frozen=True, eq=False)
class DecisionBoundary:
    """Segments between two classes.

    Args:
        segments: (m, 2, 2) ends in slice coordinates.
        classes: (m, 2) the classes on its sides, ascending.
        lengths: (m,) in the metric of the input space.
    """

    segments: Array
    classes: NDArray[np.int64]
    lengths: Array


def decision_boundary(regions: PlaneRegions) -> DecisionBoundary:
    """The boundary between the classes of the largest output; for one output, between its signs.

    In float64, from the exact regions. Equal outputs on a whole region count as the lower class.

    Example:
        >>> import torch
        >>> from allmlp.theory import count_regions
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 1))
        >>> with torch.no_grad():  # zero where x = 0.5
        ...     _ = model[0].weight.copy_(torch.tensor([[1.0, 0.0]])), model[0].bias.fill_(-0.5)
        >>> decision_boundary(count_regions(model)).segments.tolist()
        [[[0.5, -1.0], [0.5, 1.0]]]
    """
    scores = regions.maps
    if scores.shape[1] == 1:  # class 0 below zero, class 1 above
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    cells = regions.cells
    owner = np.repeat(np.arange(regions.count), cells.sizes)
    starts = starts_of(cells.sizes)
    chosen = scores[owner]
    values = chosen[:, :, 0] * cells.points[:, :1] + chosen[:, :, 1] * cells.points[:, 1:]
    values += chosen[:, :, 2]
    margins = values - values.max(axis=1, keepdims=True)
    leads = np.minimum.reduceat(margins, starts) == 0  # a class that is ahead at every corner
    settled = leads.any(axis=1)
    winner = np.where(settled, leads.argmax(axis=1), -1)

    segments: list[list[Array]] = []
    classes: list[tuple[int, int]] = []
    polygons = regions.polygons
    following = next_corner(cells.sizes)
    # of edges of regions that are not settled: which class wins along which part
    shares: dict[int, list[Share]] = defaultdict(list)
    for cell in np.flatnonzero(~settled).tolist():
        first, polygon = starts[cell], polygons[cell]
        at = slice(first, first + cells.sizes[cell])
        for won, corners, marks in _cells(polygon, values[at], scores[cell]):
            for place, mark in enumerate(marks):
                ends = [corners[place], corners[(place + 1) % len(corners)]]
                if mark > won:
                    segments.append(ends)
                    classes.append((won, mark))
                elif mark < 0:
                    t = first - 1 - mark
                    along = cells.points[following[t]] - cells.points[t]
                    start, end = (np.array(ends) - cells.points[t]) @ along / (along @ along)
                    shares[t].append((float(start), float(end), won))
    # a change exactly on an edge between two regions
    twin = regions.twins
    edge = np.flatnonzero(twin > np.arange(len(twin)))
    a, b = winner[owner[edge]], winner[owner[twin[edge]]]
    for t in edge[(a != b) | (a < 0)].tolist():
        here, there = (
            shares[side] if winner[owner[side]] < 0 else [(0.0, 1.0, int(winner[owner[side]]))]
            for side in (t, int(twin[t]))
        )
        # the other side runs the other way
        there = [(1 - end, 1 - start, rival) for start, end, rival in there]
        start, along = cells.points[t], cells.points[following[t]] - cells.points[t]
        for low, high, one, other in _changes(here, there):
            segments.append([start + low * along, start + high * along])
            classes.append((min(one, other), max(one, other)))
    found = np.array(segments, dtype=np.float64).reshape(-1, 2, 2)
    across = (found[:, 1] - found[:, 0]) @ np.linalg.cholesky(regions.slice.gram)
    return DecisionBoundary(
        found, np.array(classes, dtype=np.int64).reshape(-1, 2), np.linalg.norm(across, axis=1)
    )


def _cells(polygon: Array, values: Array, scores: Array) -> Iterator[tuple[int, Array, list[int]]]:
    """The parts of one region where each class wins: class, corners, and what is across each edge.

    Args:
        polygon: (n, 2) corners.
        values: (n, k) scores there.
        scores: (k, 3) as affine functions.

    Yields:
        Across an edge is the class of this number, or -1 - t for the region's own edge t.
    """
    # i beats j on the whole region if it does at every corner
    beaten = (values[:, :, None] > values[:, None, :]).all(axis=0).any(axis=0)
    rivals = np.flatnonzero(~beaten).tolist()
    for winner in rivals:
        corners, marks = polygon, [-1 - t for t in range(len(polygon))]
        for other in rivals:
            line = scores[winner] - scores[other]
            # equal throughout: the lower class has it
            if other < winner and not line.any():
                corners = corners[:0]
            elif other != winner and line.any() and len(corners):
                corners, marks = _clip(corners, marks, line, other)
        if len(corners):
            yield winner, corners, marks


def _clip(corners: Array, marks: list[int], line: Array, mark: int) -> tuple[Array, list[int]]:
    """The part of a polygon where a line is not negative; edges along the line are marked."""
    heights = corners @ line[:2] + line[2]
    if heights.max() <= 0:
        return corners[:0], []
    kept: list[Array] = []
    kept_marks: list[int] = []
    n = len(corners)
    for i in range(n):
        here, after = heights[i], heights[(i + 1) % n]
        if here >= 0:
            kept.append(corners[i])
            kept_marks.append(mark if here == 0 and after < 0 else marks[i])
        if here * after < 0:
            share = here / (here - after)
            kept.append(corners[i] + share * (corners[(i + 1) % n] - corners[i]))
            kept_marks.append(mark if here > 0 else marks[i])
    return np.array(kept), kept_marks


def _changes(one: list[Share], other: list[Share]) -> Iterator[tuple[float, float, int, int]]:
    """Where along an edge the winners on its two sides differ: from, to, and the two classes."""
    for start, end, winner in one:
        for begin, stop, rival in other:
            low, high = max(start, begin), min(end, stop)
            if winner != rival and high - low > _SHORTEST:
                yield low, high, winner, rival
