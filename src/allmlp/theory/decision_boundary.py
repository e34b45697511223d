"""Where a classifier changes its mind on a plane: the decision boundary, segment by segment.

On one region the class scores are affine, so the part where class j wins is the region's polygon
cut by half-planes `f_j >= f_i`. Regions where one class leads at every corner are settled at once.

Axes: c regions, t corners, k classes, m segments.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allmlp.theory.cell_pool import starts_of
from allmlp.theory.plane_regions import PlaneRegions
from allmlp.theory.region_graph import next_corner
from allmlp.theory.relu_net import Array

__all__ = ["DecisionBoundary", "decision_boundary"]


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
    for cell in np.flatnonzero(~settled).tolist():
        at = slice(starts[cell], starts[cell] + cells.sizes[cell])
        for first, second, low, high in _contest(polygons[cell], values[at], scores[cell]):
            segments.append([first, second])
            classes.append((low, high))
    # a change exactly on an edge between two settled regions
    twin = regions.twins
    edge = np.flatnonzero(twin > np.arange(len(twin)))
    a, b = winner[owner[edge]], winner[owner[twin[edge]]]
    following = next_corner(cells.sizes)
    for t in edge[(a >= 0) & (b >= 0) & (a != b)].tolist():
        segments.append([cells.points[t], cells.points[following[t]]])
        low, high = sorted((int(winner[owner[t]]), int(winner[owner[twin[t]]])))
        classes.append((low, high))
    found = np.array(segments, dtype=np.float64).reshape(-1, 2, 2)
    across = (found[:, 1] - found[:, 0]) @ np.linalg.cholesky(regions.slice.gram)
    return DecisionBoundary(
        found, np.array(classes, dtype=np.int64).reshape(-1, 2), np.linalg.norm(across, axis=1)
    )


def _contest(polygon: Array, values: Array, scores: Array) -> list[tuple[Array, Array, int, int]]:
    """Segments in one region: ends, lower class, higher class.

    Args:
        polygon: (n, 2) corners.
        values: (n, k) scores there.
        scores: (k, 3) as affine functions.
    """
    # i beats j on the whole region if it does at every corner
    beaten = (values[:, :, None] > values[:, None, :]).all(axis=0).any(axis=0)
    rivals = np.flatnonzero(~beaten).tolist()
    segments = []
    for low in rivals:
        corners, marks = polygon, [-1] * len(polygon)  # who is across each edge
        for other in rivals:
            if other != low and len(corners):
                corners, marks = _clip(corners, marks, scores[low] - scores[other], other)
        for i, mark in enumerate(marks):
            if mark > low:
                segments.append((corners[i], corners[(i + 1) % len(corners)], low, mark))
    return segments


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
