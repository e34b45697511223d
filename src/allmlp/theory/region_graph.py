"""Which cells of a subdivision touch, and what follows: Euler's formula, linear regions.

The cell across an edge has the same pattern but for the unit whose line the edge lies on. Patterns
are hashed so that flipping one unit is one exclusive or, hence neighbours are found by sorting.
Where several units bend on one edge (duplicates), ends are compared instead.

Axes: t corners and the edges that start there, c cells.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from allmlp.theory.affine_maps import layer_bytes
from allmlp.theory.cell_pool import Integers64, starts_of
from allmlp.theory.relu_net import ReluNet
from allmlp.theory.subdivide import Subdivision

__all__ = ["all_distinct", "euler_characteristic", "merged_count", "next_corner", "twins"]

Keys = NDArray[np.uint64]


def next_corner(sizes: Integers64) -> Integers64:
    """(t,) index of the corner that follows within its cell."""
    following = np.arange(1, int(sizes.sum()) + 1)
    starts = starts_of(sizes)
    following[starts + sizes - 1] = starts
    return following


def all_distinct(patterns: NDArray[np.uint8]) -> bool:
    """Whether no two rows (c, bytes) are equal."""
    if patterns.shape[1] == 0:
        return len(patterns) == 1
    hashes, _ = _hashes(patterns)
    if len(np.unique(hashes)) == len(hashes):
        return True  # equal rows would have equal hashes
    rows = np.ascontiguousarray(patterns).view(np.dtype((np.void, patterns.shape[1])))
    return len(np.unique(rows)) == len(rows)


def twins(net: ReluNet, cells: Subdivision) -> Integers64:
    """(t,) the same edge as seen from the cell across; -1 on the sides of the box."""
    twin = np.full(len(cells.labels), -1)
    inner = np.flatnonzero(cells.labels >= 0)
    if not len(inner):
        return twin
    owner = np.repeat(np.arange(len(cells.sizes)), cells.sizes)
    following = next_corner(cells.sizes)
    hashes, bit_keys = _hashes(cells.patterns)
    where = layer_bytes(net)
    bit = np.concatenate(
        [8 * span.start + np.arange(len(b)) for span, b in zip(where, net.biases, strict=False)]
    )
    labels = cells.labels[inner]
    salt = np.random.default_rng(1).integers(0, 2**64, int(labels.max()) + 1, dtype=np.uint64)
    own = hashes[owner[inner]] + salt[labels]
    wanted = (hashes[owner[inner]] ^ bit_keys[bit[labels]]) + salt[labels]
    order = np.argsort(own)
    at = np.minimum(np.searchsorted(own[order], wanted), len(order) - 1)
    match = order[at]
    good = (own[match] == wanted) & _same_edge(cells, following, inner, inner[match])
    twin[inner[good]] = inner[match[good]]
    _match_by_place(cells, following, owner, twin)
    return twin


def euler_characteristic(cells: Subdivision, twin: Integers64) -> int:
    """Corners minus edges plus cells, each counted once: 1 for a disk without gaps or overlaps."""
    following = next_corner(cells.sizes)
    paired = np.flatnonzero(twin >= 0)
    total = len(twin)
    # an edge starts where its twin ends
    graph = coo_array(
        (np.ones(len(paired), bool), (paired, following[twin[paired]])), shape=(total, total)
    )
    corners, _ = connected_components(graph, directed=False)
    edges = total - len(paired) // 2
    return int(corners) - edges + len(cells.sizes)


def merged_count(cells: int, pairs: Integers64) -> int:
    """How many regions remain when pairs (n, 2) of cells are merged."""
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(cells, cells))
    return int(connected_components(graph, directed=False)[0])


def _hashes(patterns: NDArray[np.uint8]) -> tuple[Keys, Keys]:
    """(c,) hashes, and the keys (bits,) whose exclusive or they are (Zobrist 1970)."""
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 2**64, (patterns.shape[1], 8), dtype=np.uint64)
    hashes = np.zeros(len(patterns), dtype=np.uint64)
    bytes_as_bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(bool)
    for column, own in enumerate(keys):
        table = np.bitwise_xor.reduce(np.where(bytes_as_bits, own, np.uint64(0)), axis=1)
        hashes ^= table[patterns[:, column]]
    return hashes, keys.ravel()


def _same_edge(
    cells: Subdivision, following: Integers64, edge: Integers64, other: Integers64
) -> NDArray[np.bool_]:
    """Whether two edges have the same ends, the one in the reverse order of the other."""
    same = np.ones(len(edge), dtype=bool)
    for a, b in ((edge, following[other]), (following[edge], other)):
        gap = np.abs(cells.points[a] - cells.points[b]).max(axis=1)
        same &= gap <= cells.errors[a] + cells.errors[b] + 1e-12 * np.abs(cells.points[a]).max()
    return same


def _match_by_place(
    cells: Subdivision, following: Integers64, owner: Integers64, twin: Integers64
) -> None:
    """Pairs the inner edges that are still alone by their ends; fills `twin` in place."""
    alone = np.flatnonzero((twin < 0) & (cells.labels >= 0))
    if len(alone) < 2:
        return
    places = np.concatenate([cells.points[alone], cells.points[following[alone]]], axis=1)
    turned = places[:, [2, 3, 0, 1]]
    _, nearest = cKDTree(places).query(turned)
    mutual = (nearest[nearest] == np.arange(len(alone))) & (owner[alone] != owner[alone[nearest]])
    mutual &= _same_edge(cells, following, alone, alone[nearest])
    twin[alone[mutual]] = alone[nearest[mutual]]
