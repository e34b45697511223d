"""The enumeration against slower ways of counting, on ordinary and on degenerate networks."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import nn

from allmlp.theory import ReluNet, Slice, random_relu_net, read_relu_net
from allmlp.theory.region_graph import all_distinct, euler_characteristic, twins
from allmlp.theory.region_history import spiral_task
from allmlp.theory.subdivide import SIDES, subdivide

PLANE = np.array([[1.0, 0, 0], [0, 1.0, 0]])
BOX = ((-1.0, 1.0), (-1.0, 1.0))


def rational_count(net: ReluNet, box: Any = BOX) -> int:
    """Cuts polygons one by one in Fractions: the definition, slowly."""
    (left, right), (low, high) = box
    corners = [(left, low), (right, low), (right, high), (left, high)]
    cells: Any = [
        ([(Fraction(x), Fraction(y)) for x, y in corners], [[Fraction(v) for v in row] for row in
                                                            ((1, 0, 0), (0, 1, 0))])
    ]  # fmt: skip
    for i, slope in enumerate(net.slopes):
        weights = net.weights[i].tolist() if net.rational is None else net.rational[i][0]
        bias = net.biases[i].tolist() if net.rational is None else net.rational[i][1]
        rows = [[Fraction(w) for w in row] for row in weights]
        offsets = [Fraction(b) for b in bias]
        following = []
        for polygon, maps in cells:
            lines = [
                [
                    sum((w * a[i] for w, a in zip(row, maps, strict=True)), b if i == 2 else 0)
                    for i in range(3)
                ]
                for row, b in zip(rows, offsets, strict=True)
            ]
            parts = [polygon]
            for line in lines:
                parts = [piece for part in parts for piece in cut(part, line)]
            for part in parts:
                x = sum(p[0] for p in part) / len(part)
                y = sum(p[1] for p in part) / len(part)
                on = [a * x + b * y + c > 0 for a, b, c in lines]
                following.append(
                    (part, [[v if o else slope * v for v in line]
                            for line, o in zip(lines, on, strict=True)])
                )  # fmt: skip
        cells = following
    return len(cells)


def cut(polygon: Any, line: Any) -> Any:
    a, b, c = line
    heights = [a * x + b * y + c for x, y in polygon]
    if not (max(heights) > 0 > min(heights)):
        return [polygon]
    above, below = [], []
    for i, (p, h) in enumerate(zip(polygon, heights, strict=True)):
        q, g = polygon[(i + 1) % len(polygon)], heights[(i + 1) % len(polygon)]
        above += [p] * (h >= 0)
        below += [p] * (h <= 0)
        if h * g < 0:
            t = h / (h - g)
            meeting = (p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1]))
            above.append(meeting)
            below.append(meeting)
    return [above, below]


def lines_count(net: ReluNet) -> int:
    """Euler on the last hidden layer: 1 + lines that cross + their meeting points, per parent.

    A second method, right in general position only.
    """
    weight, bias = net.weights[-2], net.biases[-2]
    shorter = ReluNet((*net.weights[:-2], weight), (*net.biases[:-2], bias), net.slopes[:-1])
    parents = subdivide(shorter, PLANE, BOX)
    ends = np.cumsum(parents.sizes)
    total = 0
    for i, end in enumerate(ends):
        corners = parents.points[end - parents.sizes[i] : end]
        maps = PLANE
        start = 0
        for w, b in zip(shorter.weights[:-1], shorter.biases[:-1], strict=True):
            stop = start + -(-len(b) // 8)
            on = np.unpackbits(parents.patterns[i, start:stop], count=len(b))
            maps, start = (w @ maps + np.outer(b, [0, 0, 1])) * on[:, None], stop
        lines = weight @ maps + np.outer(bias, [0, 0, 1])
        heights = corners @ lines[:, :2].T + lines[:, 2]
        lines = lines[(heights.max(axis=0) > 0) & (heights.min(axis=0) < 0)]
        total += 1 + len(lines)
        for j in range(len(lines)):
            for k in range(j):
                matrix = lines[[j, k], :2]
                point = np.linalg.solve(matrix, -lines[[j, k], 2])
                edges = np.roll(corners, -1, axis=0) - corners
                to = point - corners
                total += bool((edges[:, 0] * to[:, 1] - edges[:, 1] * to[:, 0] > 0).all())
    return total


def area(cells: Any) -> float:
    total, start = 0.0, 0
    for size in cells.sizes:
        x, y = cells.points[start : start + size].T
        total += float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
        start += size
    return total


def check(net: ReluNet, box: Any = BOX) -> Any:
    """Everything that would betray a wrong subdivision."""
    cells = subdivide(net, PLANE, box)
    whole = (box[0][1] - box[0][0]) * (box[1][1] - box[1][0])
    assert area(cells) == pytest.approx(whole, rel=1e-12)
    assert all_distinct(cells.patterns)
    twin = twins(net, cells)
    inner = twin >= 0
    assert (inner == (cells.labels >= 0)).all()
    assert (twin[twin[inner]] == np.flatnonzero(inner)).all()
    assert euler_characteristic(cells, twin) == 1
    return cells


# docs/theory/regions.md: box [-1, 1]², weights N(0, 2 / fan-in), biases N(0, σ²); the counts were
# found by a program of its own, the first five also in rationals
TABLE = [
    ((2, 8, 8), 0, 0.1, 102),
    ((2, 16, 16), 0, 0.1, 412),
    ((2, 16, 16), 1, 1.0, 163),
    ((2, 32, 32, 32), 0, 0.3, 2874),
    ((2, 64, 64, 64), 0, 1.0, 3576),
    ((2, 64, 64, 64), 0, 0.1, 14353),
]


@pytest.mark.parametrize(("widths", "seed", "bias", "count"), TABLE)
def test_known_networks(widths: Any, seed: int, bias: float, count: int) -> None:
    cells = check(random_relu_net(widths, bias_std=bias, seed=seed))
    assert len(cells.sizes) == count
    # in general position every cut adds one cell and four corners
    assert cells.sizes.sum() == 4 * count


@pytest.mark.slow
@pytest.mark.parametrize(
    ("widths", "count"), [((2, 128, 128, 128), 43791), ((2, 256, 256, 256), 198081)]
)
def test_large_known_networks(widths: Any, count: int) -> None:
    assert len(check(random_relu_net(widths, bias_std=0.3)).sizes) == count


@pytest.mark.parametrize(("widths", "seed", "bias", "count"), TABLE[:3])
def test_counts_of_two_slower_methods(widths: Any, seed: int, bias: float, count: int) -> None:
    net = random_relu_net(widths, bias_std=bias, seed=seed)
    assert rational_count(net) == count
    assert lines_count(net) == count


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    widths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    largest=st.integers(1, 3),
    biased=st.booleans(),
    slope=st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(-1), Fraction(1)]),
)
def test_small_integer_weights_meet_in_points_and_lines(
    seed: int, widths: Any, largest: int, biased: bool, slope: Any
) -> None:
    """Parallel, equal and concurrent lines, dead units, lines along sides and through corners."""
    rng = np.random.default_rng(seed)
    sizes = [2, *widths, 1]

    def draw(*shape: int) -> Any:
        return rng.integers(-largest, largest + 1, shape).astype(float)

    net = ReluNet(
        tuple(draw(b, a) for a, b in pairwise(sizes)),
        tuple(draw(b) * biased for b in sizes[1:]),
        (slope,) * len(widths),
    )
    truth = rational_count(net) if slope != 1 else 1
    assert len(check(net).sizes) == truth


def test_weights_of_every_magnitude() -> None:
    rng = np.random.default_rng(0)
    net = random_relu_net((2, 6, 6), seed=2)
    scaled = ReluNet(
        tuple(w * 10.0 ** rng.integers(-9, 9, w.shape) for w in net.weights),
        tuple(b * 10.0 ** rng.integers(-9, 9, b.shape) for b in net.biases),
        net.slopes,
    )
    assert len(check(scaled).sizes) == rational_count(scaled)


def test_lines_that_differ_in_the_last_digit() -> None:
    """Fifteen units whose lines cross within 1e-15: float64 alone would merge or invent cells."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((5, 2))
    weight = np.concatenate([weight, weight * (1 + 2.0**-52), np.nextafter(weight, 9)])
    net = ReluNet((weight, np.ones((1, 15))), (np.full(15, 0.1), np.zeros(1)), (Fraction(0),))
    cells = subdivide(net, PLANE, BOX)
    assert cells.exact_signs > 0
    assert len(cells.sizes) == rational_count(net)
    assert all_distinct(cells.patterns)


def test_a_narrow_box_far_from_the_origin() -> None:
    net = random_relu_net((2, 12, 12), seed=5, bias_std=1.0)
    at = -net.biases[0][:2]
    x, y = np.linalg.solve(net.weights[0][:2], at)  # two lines meet here
    box = ((x - 1e-9, x + 1e-9), (y - 1e-9, y + 1e-9))
    cells = subdivide(net, PLANE, box)
    assert len(cells.sizes) == rational_count(net, box) >= 4


@pytest.mark.parametrize("zeroed", ["weights", "all", "one layer", "output"])
def test_networks_with_nothing_to_cut(zeroed: str) -> None:
    net = random_relu_net((2, 5, 5), seed=0)
    weights, biases = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
    if zeroed in ("weights", "all"):
        weights = [0 * w for w in weights]
    if zeroed == "all":
        biases = [0 * b for b in biases]
    if zeroed == "one layer":  # every unit of layer 1 is dead
        biases[0] -= 100
    if zeroed == "output":
        weights[-1] *= 0
    net = ReluNet(tuple(weights), tuple(biases), net.slopes)
    cells = check(net)
    assert len(cells.sizes) == (rational_count(net) if zeroed == "output" else 1)


def test_duplicate_units_cut_once() -> None:
    net = random_relu_net((2, 6, 4), seed=4)
    twice = ReluNet(
        (np.repeat(net.weights[0], 2, axis=0), np.repeat(net.weights[1] / 2, 2, axis=1),
         net.weights[2]),
        (np.repeat(net.biases[0], 2), *net.biases[1:]),
        net.slopes,
    )  # fmt: skip
    assert len(check(twice).sizes) == len(check(net).sizes)


def test_no_hidden_unit() -> None:
    net = ReluNet((np.ones((1, 2)),), (np.zeros(1),), ())
    cells = check(net)
    assert len(cells.sizes) == 1
    assert sorted(cells.labels) == sorted(SIDES)


def test_corners_lie_within_their_error() -> None:
    """Against the exact meeting points of the lines of the edges."""
    from allmlp.theory.exact_lines import ExactLines

    net = random_relu_net((2, 10, 10, 10), seed=3, bias_std=0.3)
    cells = subdivide(net, PLANE, BOX)
    exact = ExactLines(net, PLANE)
    first = np.cumsum([0, *(len(b) for b in net.biases[:-1])]).tolist()
    sides = {-1: (0, 1, 1), -2: (1, 0, -1), -3: (0, 1, -1), -4: (1, 0, 1)}
    start = 0
    for size, pattern in zip(cells.sizes[:300], cells.patterns, strict=False):
        forms = []
        for label in cells.labels[start : start + size].tolist():
            layer = int(np.searchsorted(first, label, side="right")) - 1
            prefix = exact.prefix(pattern.tobytes(), layer)
            forms.append(
                sides[label] if label < 0 else exact.form(prefix, layer, label - first[layer])
            )
        for i in range(size):
            (a, b, c), (p, q, r) = forms[i - 1], forms[i]
            x, y = Fraction(b * r - c * q, a * q - b * p), Fraction(c * p - a * r, a * q - b * p)
            found = cells.points[start + i]
            off = float(np.hypot(float(x - Fraction(found[0])), float(y - Fraction(found[1]))))
            assert off <= cells.errors[start + i] + 1e-300
        start += size
    assert cells.errors.max() < 1e-9  # and the bound says something


def test_a_trained_network() -> None:
    model, step, *_ = spiral_task((2, 9, 9), points=80)
    for _ in range(200):
        step()
    net = read_relu_net(model)
    assert len(check(net).sizes) == rational_count(net)


def test_a_plane_through_digits_of_a_trained_network() -> None:
    X, y = load_digits(return_X_y=True)
    inputs, labels = torch.from_numpy(X / 16).float(), torch.from_numpy(y)
    model = nn.Sequential(
        nn.Linear(64, 10), nn.BatchNorm1d(10), nn.ReLU(), nn.Linear(10, 10), nn.ReLU(),
        nn.Linear(10, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    net = read_relu_net(model)
    plane = Slice(X[0] / 16, [(X[1] - X[0]) / 16, (X[2] - X[0]) / 16])
    cells = subdivide(net, plane.frame, BOX)
    # the plane folded into the first layer, in rationals
    frame = [[Fraction(v) for v in row] for row in plane.frame.tolist()]
    rows, bias = [], []
    for row, b in zip(net.weights[0].tolist(), net.biases[0].tolist(), strict=True):
        s, t, offset = (
            sum((Fraction(w) * f[i] for w, f in zip(row, frame, strict=True)), Fraction(0))
            for i in range(3)
        )
        rows.append([s, t])
        bias.append(offset + Fraction(b))
    deeper = [
        ([[Fraction(w) for w in row] for row in weight.tolist()], [Fraction(b) for b in shift])
        for weight, shift in zip(net.weights[1:], [b.tolist() for b in net.biases[1:]], strict=True)
    ]
    folded = ReluNet(net.weights, net.biases, net.slopes, rational=((rows, bias), *deeper))
    assert len(cells.sizes) == rational_count(folded) > 20


def test_threads_change_nothing() -> None:
    net = random_relu_net((2, 64, 64, 64), bias_std=0.3, seed=1)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(subdivide(net, PLANE, BOX))
    finally:
        torch.set_num_threads(before)
    for a, b in zip(*(vars(cells).values() for cells in found), strict=True):
        assert np.array_equal(a, b)


def test_an_error_in_a_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    # lines so close that integers have to decide, and integers that fail
    net = ReluNet((np.array([[1.0, 0], [1, 0]]), np.ones((1, 2))),
                  (np.zeros(2), np.zeros(1)), (Fraction(0),))  # fmt: skip

    def fail(*arguments: Any) -> int:
        raise MemoryError("no integers left")

    monkeypatch.setattr("allmlp.theory.subdivide.sign_at_meeting", fail)
    with pytest.raises(MemoryError, match="no integers left"):
        subdivide(net, PLANE, BOX)
