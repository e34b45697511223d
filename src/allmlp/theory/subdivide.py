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

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
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

    Works in as many threads as torch is set to use.
    """
    return _Subdivider(net, frame, box).run()


@dataclass(frozen=True, eq=False)
class _Block:
    """Cells on their way through the layers.

    Args:
        corners: of all cells, in CSR form.
        sizes: (p,) corners of each.
        bits: (p, bytes) patterns in the layers behind.
        features: (p, 3, n_in) affine maps of the next layer's input.
        drift: (p,) bound on their error on the box, in the Euclidean norm over features.
    """

    corners: Corners
    sizes: Integers64
    bits: NDArray[np.uint8]
    features: Array
    drift: Array

    def parts(self, step: int) -> Iterator["_Block"]:
        """Blocks of at most so many cells."""
        heads = np.append(starts_of(self.sizes), self.sizes.sum())
        for i in range(0, len(self.sizes), step):
            j = min(len(self.sizes), i + step)
            own = slice(heads[i], heads[j])
            yield _Block(
                (self.corners[0][:, own], self.corners[1][own]),
                self.sizes[i:j],
                self.bits[i:j],
                self.features[i:j],
                self.drift[i:j],
            )


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
        self.threads = torch.get_num_threads()
        self.exact_signs = 0
        self.counting = threading.Lock()  # for the integers, which remember what they computed
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
        whole = _Block(
            (corners, np.array(SIDES, np.int32)),
            np.array([4]),
            np.zeros((1, 0), np.uint8),
            features,
            U * self.rounding.size(features),
        )
        if not self.net.slopes:
            self.done.append((corners[:3], whole.corners[1], whole.sizes, whole.bits))
        elif self.threads == 1:
            self._descend(0, whole, self._finish)
        else:
            self._descend_in_threads(whole)
        numbers, labels, sizes, patterns = zip(*self.done, strict=True)
        self.done.clear()
        table = np.concatenate(numbers, axis=1)
        return Subdivision(
            np.ascontiguousarray(table[:2].T),
            np.concatenate(labels),
            np.concatenate(sizes),
            np.concatenate(patterns),
            table[2],
            self.exact_signs,
        )

    def _descend_in_threads(self, whole: "_Block") -> None:
        """As `_descend`, the last layer's blocks in threads: numpy lets go of Python's lock."""
        room = threading.Semaphore(2 * self.threads)  # blocks that wait take memory
        waiting = []
        with ThreadPoolExecutor(self.threads) as pool:

            def finish(block: _Block, slot: int) -> None:
                try:
                    self._finish(block, slot)
                finally:
                    room.release()

            def hand_out(block: _Block, slot: int) -> None:
                room.acquire()
                waiting.append(pool.submit(finish, block, slot))

            self._descend(0, whole, hand_out)
            for task in waiting:
                task.result()  # raises what went wrong there

    def _descend(
        self, layer: int, block: "_Block", finish: Callable[["_Block", int], None]
    ) -> None:
        """Splits all cells of a block by the layers from here on.

        Args:
            layer: the next one.
            block: the cells.
            finish: does the last layer, and puts the result into a slot of `done`.
        """
        n, n_in = self.net.weights[layer].shape
        step = max(1, _BLOCK // (3 * max(n, n_in)))
        slope = float(self.net.slopes[layer])
        for part in block.parts(step):
            if layer + 1 == len(self.net.slopes):
                self.done.append(())
                finish(part, len(self.done) - 1)
                continue
            corners, sizes, bits, parent, active, maps = self._layer(layer, part)
            drift = self.rounding.drift(layer, part.drift, self.rounding.size(part.features))
            heads = np.append(starts_of(sizes), sizes.sum())
            for a in range(0, len(sizes), step):
                b = min(len(sizes), a + step)
                features = maps[parent[a:b]]
                on = active[a:b, None]
                features *= on if slope == 0 else np.where(on, 1.0, slope)
                own = slice(heads[a], heads[b])
                child = _Block(
                    (corners[0][:, own], corners[1][own]),
                    sizes[a:b],
                    bits[a:b],
                    features,
                    drift[parent[a:b]],
                )
                self._descend(layer + 1, child, finish)

    def _finish(self, block: "_Block", slot: int) -> None:
        """The last hidden layer of a block."""
        corners, sizes, bits, *_ = self._layer(len(self.net.slopes) - 1, block)
        self.done[slot] = corners[0][:3].copy(), corners[1], sizes, bits

    def _layer(
        self, layer: int, block: "_Block"
    ) -> tuple[Corners, Integers64, NDArray[np.uint8], Integers64, NDArray[np.bool_], Array]:
        """Splits the cells of a block by one layer.

        Returns:
            Corners, sizes and patterns of the parts; the parent of each and its active units; and
            the parents' pre-activations (p, 3, n).
        """
        weight, bias = self.net.weights[layer], self.net.biases[layer]
        n, n_in = weight.shape
        maps = (block.features.reshape(-1, n_in) @ weight.T).reshape(-1, 3, n)
        maps[:, 2] += bias
        if self.net.slopes[layer] == 1:  # no kink: all units count as inactive
            corners, sizes = block.corners, block.sizes
            parent = np.arange(len(sizes))
            active = np.zeros((len(sizes), n), dtype=bool)
        else:
            slack = self.rounding.slack(layer, block.drift, self.rounding.size(block.features))
            corners, sizes, parent, active = self._split(
                layer, block.corners, block.sizes, block.bits, maps, slack
            )
        bits = np.concatenate([block.bits[parent], np.packbits(active, axis=1)], axis=1)
        return corners, sizes, bits, parent, active, maps

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
        widest = max(1, side.shape[1])
        for i in range(0, len(order), _BLOCK // widest + 1):  # in parts: widest may be n
            part = slice(i, i + _BLOCK // widest + 1)
            lined = i + np.flatnonzero(number[parent[part]])
            count = number[parent[lined]]
            at = np.repeat(lined, count)
            rank = spans(np.zeros_like(count), count)
            active[at, units[first[parent[at]] + rank]] = side[order[at], rank]
        return *pool.compact(order), parent, active

    def _lines(self, maps: Array, slack: Array, rows: Integers64, units: Integers64) -> Array:
        """Line table (5, pairs) of some units on some parents."""
        a, b, c = maps[rows, 0, units], maps[rows, 1, units], maps[rows, 2, units]
        size = np.abs(a) * self.bound[0] + np.abs(b) * self.bound[1] + np.abs(c)
        unsure = slack[rows, units] + ROUNDINGS * size
        # no less than the length of the true gradient
        steep = np.hypot(a, b) * (1 + 1e-12) + 2 * unsure / self.bound[:2].min()
        return np.stack([a, b, c, unsure, steep])

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
        if len(unsure):
            with self.counting:
                self.exact_signs += len(unsure)
                for t in unsure.tolist():
                    cell, unit = int(cells[owner[t]]), int(units[owner[t]])
                    prefix = bits[pool.parent[cell]].tobytes()
                    edges = pool.edges_at(int(index[t]), cell)
                    signs[t] = sign_at_meeting(
                        self.exact.form(prefix, layer, unit),
                        *(self._edge(prefix, label) for label in edges),
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
