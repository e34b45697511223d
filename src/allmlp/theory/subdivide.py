"""Cuts a rectangle of the plane along every kink of a ReLU network; every sign is exact.

Layer by layer, all cells that a unit's line crosses are split into two convex children. Cells are
kept in CSR form (flat corner arrays), and step k of a layer handles the k-th crossing unit of *all*
parents of a block at once, so that the work is proportional to the output. Blocks are worked
through depth first, which bounds the memory by the output.

Signs are taken in float64 beside a rigorous bound on everything that can have been lost: rounding
of the affine maps, of the line, of the corner's position. A sign within its bound is taken again in
integers (`ExactLines`). So the combinatorics (cells, patterns, which line makes which edge) are
those of exact arithmetic; only coordinates are rounded.

Axes: p parents, c cells, t corners, n units of a layer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allmlp.theory.cell_pool import (
    ROUNDINGS,
    CellPool,
    Corners,
    Integers64,
    Signs,
    spans,
    starts_of,
)
from allmlp.theory.exact_lines import ExactLines, Form, sign_at_meeting
from allmlp.theory.relu_net import Array, ReluNet
from allmlp.theory.rounding import Rounding, U

__all__ = ["SIDES", "Subdivision", "subdivide"]

# doubles in one block of affine maps: more amortises numpy's calls, less stays in the cache
_BLOCK = 1 << 20

# labels of the edges that belong to the rectangle: below, right, above, left
SIDES = (-1, -2, -3, -4)


@dataclass(frozen=True, eq=False)
class Subdivision:
    """The convex cells of a rectangle, in CSR form.

    Args:
        points: (t, 2) corners of all cells, each cell's counter-clockwise.
        labels: (t,) what the edge from a corner to the next lies on: the number of a hidden unit,
            counted through all layers, or one of `SIDES`.
        sizes: (c,) corners of every cell.
        patterns: (c, bytes) which units are active, bits packed layer by layer.
        errors: (t,) no corner is further than this from its true place, in slice coordinates.
        exact_signs: how many signs float64 could not decide.
    """

    points: Array
    labels: NDArray[np.int32]
    sizes: Integers64
    patterns: NDArray[np.uint8]
    errors: Array
    exact_signs: int


def subdivide(
    net: ReluNet, frame: Array, box: tuple[tuple[float, float], tuple[float, float]]
) -> Subdivision:
    """All activation regions of a network on a rectangle of a plane.

    Args:
        net: the network; its output layer plays no part.
        frame: (d, 3): two directions and the origin of the plane; column by column the point of
            slice coordinates (s, t) is `s frame[:, 0] + t frame[:, 1] + frame[:, 2]`.
        box: the rectangle in slice coordinates.
    """
    return _Subdivider(net, frame, box).run()


class _Subdivider:
    def __init__(self, net: ReluNet, frame: Any, box: tuple[tuple[float, float], ...]):
        self.net = net
        self.frame = np.asarray(frame, dtype=np.float64)
        self.box = box
        self.exact = ExactLines(net, frame)
        self.bound = np.array([max(map(abs, box[0])), max(map(abs, box[1])), 1.0])
        self.diameter = float(np.hypot(box[0][1] - box[0][0], box[1][1] - box[1][0]))
        hidden = net.biases[:-1]
        self.first = np.concatenate([[0], np.cumsum([len(b) for b in hidden])]).astype(int)
        self.rounding = Rounding(net, self.bound)
        self.exact_signs = 0
        self.done: list[tuple[Any, ...]] = []

    def run(self) -> Subdivision:
        (left, right), (low, high) = self.box
        corners = np.array(
            [
                [left, right, right, left],
                [low, low, high, high],
                [0, 0, 0, 0],  # error
                [0, 1, 0, 1],  # the sides: y = low, x = right, y = high, x = left
                [1, 0, 1, 0],
                [-low, -right, -high, -left],
                [0, 0, 0, 0],
            ],
            dtype=np.float64,
        )
        features = np.ascontiguousarray(self.frame.T)[None]
        drift = U * self.rounding.size(features)
        self._descend(
            0, (corners, np.array(SIDES, np.int32)), np.array([4]), np.zeros((1, 0), np.uint8),
            features, drift,
        )  # fmt: skip
        numbers, labels, sizes, patterns = zip(*self.done, strict=True)
        table = np.concatenate(numbers, axis=1)
        return Subdivision(
            np.ascontiguousarray(table[:2].T),
            np.concatenate(labels),
            np.concatenate(sizes),
            np.concatenate(patterns),
            table[2],
            self.exact_signs,
        )

    def _descend(
        self,
        layer: int,
        corners: Corners,
        sizes: Integers64,
        bits: NDArray[np.uint8],
        features: Array,
        drift: Array,
    ) -> None:
        """Splits all cells by the layers from here on.

        Args:
            layer: the next one.
            corners: of the cells.
            sizes: (p,) corners of each.
            bits: (p, bytes) patterns so far.
            features: (p, 3, n_in) affine maps of the layer's input.
            drift: (p,) bound on their error on the box, in the Euclidean norm over features.
        """
        if layer == len(self.net.slopes):
            self.done.append((corners[0][:3].copy(), corners[1], sizes, bits))
            return
        weight, bias = self.net.weights[layer], self.net.biases[layer]
        slope = float(self.net.slopes[layer])
        n, n_in = weight.shape
        step = max(1, _BLOCK // (3 * max(n, n_in)))
        heads = np.append(starts_of(sizes), sizes.sum())
        for i in range(0, len(sizes), step):
            j = min(len(sizes), i + step)
            own = slice(heads[i], heads[j])
            size = self.rounding.size(features[i:j])
            maps = (features[i:j].reshape(-1, n_in) @ weight.T).reshape(j - i, 3, n)
            maps[:, 2] += bias
            slack = self.rounding.slack(layer, drift[i:j], size)
            parents = corners[0][:, own], corners[1][own]
            if slope == 1:  # no kink: all units count as inactive
                (numbers, labels), counts, parent = parents, sizes[i:j], np.arange(j - i)
                active = np.zeros((j - i, n), dtype=bool)
            else:
                (numbers, labels), counts, parent, active = self._split(
                    layer, parents, sizes[i:j], bits[i:j], maps, slack
                )
            packed = np.concatenate([bits[i + parent], np.packbits(active, axis=1)], axis=1)
            if layer + 1 == len(self.net.slopes):
                self.done.append((numbers[:3].copy(), labels, counts, packed))
                continue
            grown = self.rounding.drift(layer, drift[i:j], size)
            ends = np.append(starts_of(counts), counts.sum())
            for a in range(0, len(counts), step):
                b = min(len(counts), a + step)
                chosen = maps[parent[a:b]]
                on = active[a:b, None]
                chosen *= on if slope == 0 else np.where(on, 1.0, slope)
                part = slice(ends[a], ends[b])
                self._descend(
                    layer + 1, (numbers[:, part], labels[part]), counts[a:b], packed[a:b],
                    chosen, grown[parent[a:b]],
                )  # fmt: skip

    def _split(
        self,
        layer: int,
        corners: Corners,
        sizes: Integers64,
        bits: NDArray[np.uint8],
        maps: Array,
        slack: Array,
    ) -> tuple[Corners, Integers64, Integers64, NDArray[np.bool_]]:
        """All cells that the units of one layer cut out of the parents.

        Args:
            layer: which.
            corners: of the parents.
            sizes: (p,) corners of each.
            bits: (p, bytes) their patterns in the layers before.
            maps: (p, 3, n) pre-activations.
            slack: (p, n) bound on the error of those on the box.

        Returns:
            Corners, sizes and parent index of the cells, and their active units.
        """
        pool = CellPool(corners, sizes, (*self.bound[:2], self.diameter))
        x, y, half_x, half_y = pool.box(slice(None))[:, :, None]
        a, b, c = maps[:, 0], maps[:, 1], maps[:, 2]
        middle = a * x + b * y + c
        active = middle > 0
        extent = np.abs(a) * (half_x + ROUNDINGS * self.bound[0])
        extent += np.abs(b) * (half_y + ROUNDINGS * self.bound[1])
        extent += np.abs(c) * ROUNDINGS + slack
        # a unit that is 0 on the whole cell has no line: middle and extent are 0
        rows, units = np.nonzero((np.abs(middle) <= extent) & (extent > 0))
        line = self._lines(maps, slack, rows, units)
        found = self._signs(layer, pool, rows, line, units, bits)
        crossing = found.above & found.below
        active[rows[~crossing], units[~crossing]] = found.above[~crossing]
        rows, units, line = rows[crossing], units[crossing], line[:, crossing]

        number = np.bincount(rows, minlength=len(sizes))
        first = starts_of(number)
        side = np.zeros((len(sizes), int(number.max(initial=0))), dtype=bool)
        cells = np.flatnonzero(number)
        k = 0
        while len(cells):
            which = first[pool.parent[cells]] + k
            near, above = pool.near(cells, line[:, which])
            side[cells, k] = above
            cells_near, which = cells[near], which[near]
            found = self._signs(layer, pool, cells_near, line[:, which], units[which], bits)
            side[cells_near, k] = found.above
            cut = found.above & found.below
            if cut.any():
                divided = cells_near[cut]
                new = found.cut(
                    pool, cut, divided, line[:, which[cut]], units[which[cut]] + self.first[layer]
                )
                side = np.concatenate([side, side[divided]])
                side[new, k] = False
                cells = np.concatenate([cells, new])
            k += 1
            cells = cells[number[pool.parent[cells]] > k]
        parent = pool.parent[: pool.count]
        order = np.argsort(parent, kind="stable")
        parent = parent[order]
        active = active[parent]
        lined = np.flatnonzero(number[parent])
        count = number[parent[lined]]
        at = np.repeat(lined, count)
        rank = spans(np.zeros_like(count), count)
        active[at, units[first[parent[at]] + rank]] = side[order[at], rank]
        return *pool.compact(order), parent, active

    def _lines(self, maps: Array, slack: Array, rows: Integers64, units: Integers64) -> Array:
        """Line table (5, pairs) of some units on some parents."""
        a, b, c = maps[rows, 0, units], maps[rows, 1, units], maps[rows, 2, units]
        size = np.abs(a) * self.bound[0] + np.abs(b) * self.bound[1] + np.abs(c)
        return np.stack([a, b, c, slack[rows, units] + ROUNDINGS * size, np.hypot(a, b)])

    def _signs(
        self,
        layer: int,
        pool: CellPool,
        cells: Integers64,
        line: Array,
        units: Integers64,
        bits: NDArray[np.uint8],
    ) -> "_Signs":
        """Exact signs of one unit's line at the corners of each cell."""
        index, owner, starts = pool.corners(cells)
        values, signs = pool.values(index, line[:, owner])
        unsure = np.flatnonzero(signs == 0)
        self.exact_signs += len(unsure)
        for t in unsure.tolist():
            cell, unit = int(cells[owner[t]]), int(units[owner[t]])
            prefix = bits[pool.parent[cell]].tobytes()
            signs[t] = sign_at_meeting(
                self.exact.form(prefix, layer, unit),
                *(self._edge(prefix, label) for label in pool.edges_at(int(index[t]), cell)),
            )
        return _Signs(index, owner, starts, values, signs)

    def _edge(self, prefix: bytes, label: int) -> Form:
        """The line of an edge, in integers."""
        if label < 0:
            axis, end = ((1, 0), (0, 1), (1, 1), (0, 0))[-label - 1]
            above, below = float(self.box[axis][end]).as_integer_ratio()
            return (0, below, -above) if axis else (below, 0, -above)
        layer = int(np.searchsorted(self.first, label, side="right")) - 1
        return self.exact.form(
            self.exact.prefix(prefix, layer), layer, label - int(self.first[layer])
        )


class _Signs:
    """The signs of a line at the corners of each of some cells."""

    def __init__(
        self, index: Integers64, owner: Integers64, starts: Integers64, values: Array, signs: Signs
    ):
        self.corners = index, owner, starts
        self.values, self.signs = values, signs
        if len(starts):
            self.above = np.maximum.reduceat(signs, starts) > 0
            self.below = np.minimum.reduceat(signs, starts) < 0
        else:
            self.above = self.below = np.zeros(0, dtype=bool)

    def cut(
        self,
        pool: CellPool,
        chosen: NDArray[np.bool_],
        cells: Integers64,
        line: Array,
        units: Integers64,
    ) -> Integers64:
        """Splits those cells that have both signs; indices of the parts below."""
        index, owner, _ = self.corners
        inside = chosen[owner]
        owner = (np.cumsum(chosen) - 1)[owner[inside]]
        starts = starts_of(np.bincount(owner, minlength=len(cells)))
        return pool.cut(
            cells, index[inside], owner, starts, self.values[inside], self.signs[inside], line,
            units.astype(np.int32),
        )  # fmt: skip
