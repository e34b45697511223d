"""Convex cells of the plane that split: corner tables in a growing pool.

A cell is a span of corners. A cut appends the corners of both children to the pool; cells that no
line crosses are never copied.

Axes: c cells, t corners; a corner's line is that of the edge from it to the next corner.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from allmlp.theory.relu_net import Array
from allmlp.theory.rounding import U

__all__ = ["ROUNDINGS", "CellPool", "Corners", "Integers64", "Signs", "spans", "starts_of"]

ROUNDINGS = 8 * U  # of three products and their sum, with room

# rows of a corner table: position, how far it may be off, the line's unit normal and offset, how
# far the line may be off
X, Y, ERR, A, B, C, RHO = range(7)
# rows of a line table: coefficients, what its values may be off by, length of the gradient at most
LA, LB, LC, SLACK, STEEP = range(5)

Integers64 = NDArray[np.int64]
Signs = NDArray[np.int8]
Corners = tuple[Array, NDArray[np.int32]]  # numbers (7, t), labels (t,)


def starts_of(sizes: Integers64) -> Integers64:
    """Where every segment of a CSR array starts."""
    starts: Integers64 = np.cumsum(sizes) - sizes
    return starts


def spans(starts: Integers64, sizes: Integers64) -> Integers64:
    """Flat indices of CSR segments, none of them empty, one after the other."""
    index = np.ones(int(sizes.sum()), dtype=np.int64)
    if len(index):
        index[0] = starts[0]
        index[starts_of(sizes)[1:]] = starts[1:] - starts[:-1] - sizes[:-1] + 1
        np.cumsum(index, out=index)
    return index


class CellPool:
    """Cells and their corners.

    Args:
        corners: numbers (7, t) and labels (t,) of the first cells, in CSR form.
        sizes: (c,) corners of each.
        reach: of the box: largest |x| and |y|, and its diameter.
    """

    def __init__(self, corners: Corners, sizes: Integers64, reach: tuple[float, float, float]):
        self._numbers, self._labels = corners
        self._used = self._numbers.shape[1]
        self._reach = reach
        self.count = len(sizes)
        self._start, self._size = starts_of(sizes), sizes.copy()
        self.parent = np.arange(len(sizes))
        self._box = self._boxes(self._numbers, self._start)

    def near(self, cells: Any, line: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether a line may touch the cell's bounding box, and which side the box's centre is on.

        Args:
            cells: (c,) indices, or a slice.
            line: (5, c), or (5, c, 1) and more to test every cell against several lines.
        """
        x, y, half_x, half_y = self._box[:, cells]
        middle = line[LA] * x + line[LB] * y + line[LC]
        extent = np.abs(line[LA]) * half_x + np.abs(line[LB]) * half_y + line[SLACK]
        return np.abs(middle) <= extent, middle > 0

    def box(self, cells: Any) -> Array:
        """Bounding boxes (4, c): centre and half extents, the corners' errors included."""
        return self._box[:, cells]

    def corners(self, cells: Integers64) -> tuple[Integers64, Integers64, Integers64]:
        """Indices of the cells' corners, to which of the cells each belongs, and where they start.

        Returns:
            (t,) into the pool, (t,) into `cells`, (c,) into the first two.
        """
        sizes = self._size[cells]
        index = spans(self._start[cells], sizes)
        return index, np.repeat(np.arange(len(cells)), sizes), starts_of(sizes)

    def values(self, index: Integers64, line: Array) -> tuple[Array, Signs]:
        """A line's values at corners, and their signs where they are certain, else 0.

        Args:
            index: (t,) corners.
            line: (5, t), the line for each.
        """
        x, y = self._numbers[X][index], self._numbers[Y][index]
        values = line[LA] * x + line[LB] * y + line[LC]
        unsure = line[SLACK] + line[STEEP] * self._numbers[ERR][index]
        signs = (values > unsure).view(np.int8) - (values < -unsure).view(np.int8)
        return values, signs

    def edges_at(self, index: int, cell: int) -> tuple[int, int]:
        """Labels of the two edges that meet in a corner."""
        start = self._start[cell]
        before = index - 1 if index > start else start + self._size[cell] - 1
        return int(self._labels[before]), int(self._labels[index])

    def cut(
        self,
        cells: Integers64,
        index: Integers64,
        owner: Integers64,
        starts: Integers64,
        values: Array,
        signs: Signs,
        line: Array,
        label: NDArray[np.int32],
    ) -> Integers64:
        """Splits cells by a line each; the part above keeps the cell's index.

        Args:
            cells: (c,) to split; each has corners above and below.
            index: (t,) their corners; with owner and starts as `corners` returns them.
            owner: (t,) which of the cells a corner belongs to.
            starts: (c,) of the cells in index.
            values: (t,) of the line.
            signs: (t,) of those, exact: 0 is a corner on the line.
            line: (5, c).
            label: (c,) of the line.

        Returns:
            (c,) indices of the parts below.
        """
        following = np.arange(1, len(index) + 1)
        following[np.append(starts[1:], len(index)) - 1] = starts
        numbers, labels = self._numbers[:, index], self._labels[index]
        unit = line[[LA, LB, LC, SLACK]] / line[STEEP]
        unit[3] += ROUNDINGS * (self._reach[0] + self._reach[1] + np.abs(unit[2]))
        after = signs[following]
        crossing = signs * after < 0
        at = np.flatnonzero(crossing)
        # a value whose sign only integers could tell is as good as 0
        heights = np.maximum(values * signs, 0)
        points = self._meet(numbers, heights, at, following[at], unit[:, owner[at]])
        new = np.arange(self.count, self.count + len(cells))
        self._room_for(len(cells), len(index) + len(at) + len(cells) + len(index))
        for side, ids in ((1, cells), (-1, new)):
            kept = signs * side >= 0
            count = kept.astype(np.int64) + crossing
            place = starts_of(count) + self._used
            total = int(count.sum())
            whole = np.flatnonzero(kept)
            goal = place[whole]
            self._numbers[:, goal] = numbers[:, whole]
            self._labels[goal] = labels[whole]
            spot = place[at] + kept[at]
            self._numbers[: ERR + 1, spot] = points
            # behind a crossing comes the rest of the old edge where the side is entered, else the
            # line; behind a corner on the line likewise
            enters = after[at] * side > 0
            self._numbers[A:, spot[enters]] = numbers[A:, at[enters]]
            self._labels[spot[enters]] = labels[at[enters]]
            touching = np.flatnonzero((signs == 0) & (after * side < 0))
            leaving = np.concatenate([spot[~enters], place[touching]])
            by = owner[np.concatenate([at[~enters], touching])]
            self._numbers[A:, leaving] = unit[:, by]
            self._labels[leaving] = label[by]
            self._size[ids] = np.add.reduceat(count, starts)
            self._start[ids] = self._used + starts_of(self._size[ids])
            self._box[:, ids] = self._boxes(
                self._numbers[:, self._used : self._used + total], self._start[ids] - self._used
            )
            self._used += total
        self.parent[new] = self.parent[cells]
        self.count += len(cells)
        return new

    def compact(self, order: Integers64) -> tuple[Corners, Integers64]:
        """Corners and sizes of cells in an order of their own."""
        index = spans(self._start[order], self._size[order])
        return (self._numbers[:, index], self._labels[index]), self._size[order]

    def _meet(
        self, numbers: Array, heights: Array, i: Integers64, j: Integers64, unit: Array
    ) -> Array:
        """Position and error (3, t) of the points where lines cross the edges from i to j.

        However the point was found, it is off its true place by no more than the sum of its
        distances to both true lines over the sine of their angle; nor by more than the edge.
        """
        total = heights[i] + heights[j]
        share = np.where(total > 0, heights[i] / np.where(total > 0, total, 1), 0.5)
        start, end = numbers[:, i], numbers[:, j]
        x = start[X] + share * (end[X] - start[X])
        y = start[Y] + share * (end[Y] - start[Y])
        off = start[RHO] + unit[3]
        noise = 2 * ROUNDINGS * (self._reach[0] + self._reach[1])
        gap = np.abs(start[A] * x + start[B] * y + start[C])
        gap += np.abs(unit[LA] * x + unit[LB] * y + unit[LC]) + off + noise
        gap += ROUNDINGS * (np.abs(start[C]) + np.abs(unit[LC]))
        sine = np.abs(start[A] * unit[LB] - start[B] * unit[LA])
        tilt = off / min(self._reach[:2])  # of the true normals
        sine -= 4 * tilt + ROUNDINGS
        gap *= 1 + 2 * tilt
        edge = np.hypot(end[X] - start[X], end[Y] - start[Y])
        longest = edge + np.maximum(start[ERR], end[ERR]) + noise
        with np.errstate(divide="ignore", over="ignore"):
            error = np.where(sine > 0, gap / np.abs(sine), np.inf) * (1 + 1e-9)
        return np.stack([x, y, np.minimum(error, np.minimum(longest, self._reach[2]))])

    @staticmethod
    def _boxes(numbers: Array, starts: Integers64) -> Array:
        low = np.minimum.reduceat(numbers[:2], starts, axis=1)
        high = np.maximum.reduceat(numbers[:2], starts, axis=1)
        error = np.maximum.reduceat(numbers[ERR], starts)
        half = (high - low) / 2 * (1 + 1e-9) + error + 1e-15 * (np.abs(low) + np.abs(high))
        return np.concatenate([(low + high) / 2, half])

    def _room_for(self, cells: int, corners: int) -> None:
        if self._used + corners > self._numbers.shape[1]:
            room = self._used + 2 * corners
            self._numbers = _longer(self._numbers, room)
            self._labels = _longer(self._labels, room)
        if self.count + cells > len(self._size):
            room = self.count + 2 * cells
            self._start, self._size = _longer(self._start, room), _longer(self._size, room)
            self.parent, self._box = _longer(self.parent, room), _longer(self._box, room)


def _longer(array: Any, length: int) -> Any:
    """The array with room behind it along its last axis, at least doubled."""
    length = max(length, 2 * array.shape[-1])
    longer = np.empty((*array.shape[:-1], length), dtype=array.dtype)
    longer[..., : array.shape[-1]] = array
    return longer
