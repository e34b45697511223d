"""count_regions on lines, planes and boxes."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.theory import (
    BoxRegions,
    ExactNet,
    LineRegions,
    PlaneRegions,
    ReluNet,
    Slice,
    count_regions,
    decision_boundary,
    graph,
    leaky_relu,
    montufar_upper,
    random_relu_net,
    sawtooth,
    serra_upper,
    zaslavsky,
)


def with_output(net: ReluNet, rows: Any) -> ReluNet:
    """The same hidden layers under another output layer."""
    weight = np.array(rows, dtype=np.float64)
    return ReluNet(
        (*net.weights[:-1], weight), (*net.biases[:-1], np.zeros(len(weight))), net.slopes
    )


def test_the_kind_of_result_follows_the_dimension() -> None:
    assert isinstance(count_regions(random_relu_net((1, 4))), LineRegions)
    assert isinstance(count_regions(random_relu_net((2, 4))), PlaneRegions)
    assert isinstance(count_regions(random_relu_net((3, 4))), BoxRegions)
    line, plane = Slice([0, 0, 0], [[1, 1, 0]]), Slice([0, 0, 0], [[1, 1, 0], [0, 0, 1]])
    assert isinstance(count_regions(random_relu_net((3, 4)), slice=line), LineRegions)
    assert isinstance(count_regions(random_relu_net((3, 4)), slice=plane), PlaneRegions)


# ---- lines


@pytest.mark.parametrize(("n", "box", "pieces"), [(6, (0, 1), 64), (3, (-1, 2), 10)])
def test_sawtooth_has_its_pieces(n: int, box: Any, pieces: int) -> None:
    regions = count_regions(sawtooth(n), box)
    assert isinstance(regions, LineRegions)
    assert regions.linear_count == pieces
    assert regions.certificate().holds


@pytest.mark.parametrize("activation", [None, leaky_relu(Fraction(1, 7))])
@pytest.mark.parametrize("seed", range(5))
def test_breakpoints_are_those_of_the_rational_graph(seed: int, activation: Any) -> None:
    rng = np.random.default_rng(seed)

    def draw(n: int, m: int) -> Any:
        return [[Fraction(int(v), 4) for v in row] for row in rng.integers(-9, 10, (n, m))]

    layers = [(draw(5, 1), draw(1, 5)[0]), (draw(4, 5), draw(1, 4)[0]), (draw(1, 4), [0])]
    net = ExactNet(layers, **({} if activation is None else {"activation": activation}))
    truth = graph(net, -2, 2)
    regions = count_regions(net, (-2, 2))
    assert isinstance(regions, LineRegions)
    assert regions.linear_count == truth.num_pieces
    exact = regions.exact_breakpoints()
    assert exact == sorted(exact)
    assert set(truth.knots[1:-1]) <= set(exact)
    np.testing.assert_allclose(regions.breakpoints, [float(t) for t in exact], atol=1e-12)
    slopes = [(b - a) / (t - s) for a, b, s, t in zip(
        truth.values, truth.values[1:], truth.knots, truth.knots[1:], strict=False)]  # fmt: skip
    assert regions.lipschitz == pytest.approx(float(max(map(abs, slopes))), rel=1e-12)


def test_a_line_through_many_dimensions_bends_where_its_units_do() -> None:
    net = random_relu_net((20, 30, 30), bias_std=0.5, seed=1)
    line = Slice.through(np.ones(20), -np.arange(20.0))
    regions = count_regions(net, (-3, 10), line)
    assert isinstance(regions, LineRegions)
    middles = np.convolve([-3, *regions.breakpoints, 10], [0.5, 0.5], mode="valid")
    assert (net.patterns(line(middles[:, None])) == regions.patterns).all()
    dense = net.patterns(line(np.linspace(-3, 10, 200_001)[:, None]))
    seen = 1 + int((dense[1:] != dense[:-1]).any(axis=1).sum())
    assert seen <= regions.count <= seen + 3  # a gap below 6.5e-5 is missed


# ---- planes


@pytest.fixture(scope="module")
def plane() -> PlaneRegions:
    net = with_output(random_relu_net((2, 16, 16), bias_std=0.3, seed=5),
                      np.random.default_rng(0).standard_normal((3, 16)))  # fmt: skip
    regions = count_regions(net)
    assert isinstance(regions, PlaneRegions)
    return regions


def test_polygons_are_convex_and_hold_their_pattern(plane: PlaneRegions) -> None:
    centres = np.array([polygon.mean(axis=0) for polygon in plane.polygons])
    assert len(plane.polygons) == plane.count == len(plane.polygons[:])
    with pytest.raises(IndexError):
        plane.polygons[plane.count]
    assert (plane.net.patterns(centres) == plane.patterns).all()
    assert (plane.locate(centres) == np.arange(plane.count)).all()
    assert plane.locate([[2.0, 0.0]]).tolist() == [-1]
    for polygon in plane.polygons:
        a = np.roll(polygon, -1, axis=0) - polygon
        b = np.roll(a, -1, axis=0)
        assert (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] > -1e-12).all()


def test_maps_are_the_network(plane: PlaneRegions) -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (1000, 2))
    at = plane.locate(points)
    assert (at >= 0).all()
    values = np.einsum("nkc,nc->nk", plane.maps[at][:, :, :2], points) + plane.maps[at][:, :, 2]
    np.testing.assert_allclose(values, plane.net(points), atol=1e-12)


def test_a_grid_sees_no_pattern_that_is_not_listed(plane: PlaneRegions) -> None:
    axis = (np.arange(600) + 0.5) / 300 - 1
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    seen = {row.tobytes() for row in np.unique(plane.net.patterns(grid), axis=0)}
    assert seen <= {row.tobytes() for row in plane.patterns}
    assert len(seen) < plane.count  # 360,000 points miss some


def test_neighbours_differ_in_one_unit(plane: PlaneRegions) -> None:
    a, b = plane.neighbours.T
    assert (np.bitwise_count(plane.patterns[a] ^ plane.patterns[b]).sum(axis=1) == 1).all()
    # each corner starts an edge; inner ones are shared by two
    sides = int((plane.cells.labels < 0).sum())
    assert 2 * len(a) + sides == plane.degrees.sum()


def test_lipschitz_is_the_steepest_sample(plane: PlaneRegions) -> None:
    points = torch.rand(3000, 2, dtype=torch.float64) * 2 - 1
    module = nn.Sequential()
    for i, (weight, bias) in enumerate(zip(plane.net.weights, plane.net.biases, strict=True)):
        linear = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(bias))
        module.extend([nn.ReLU()] * (i > 0) + [linear])
    jacobians = torch.func.vmap(torch.func.jacrev(module))(points)
    steepest = float(torch.linalg.matrix_norm(jacobians.detach(), ord=2).max())
    assert steepest <= plane.lipschitz * (1 + 1e-12)
    assert steepest > 0.9 * plane.lipschitz


def test_a_skewed_slice_measures_in_the_input_space() -> None:
    net = random_relu_net((4, 10, 10), seed=2)
    straight = Slice.through([1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 1, 1])
    u, v = straight.directions
    skewed = Slice(straight.origin, [2 * u, u + 3 * v])
    a = count_regions(net, (-5, 5), straight)
    # the parallelogram lies in the square, so regions of it are parts of those
    b = count_regions(net, (-1, 1), skewed)
    assert isinstance(a, PlaneRegions)
    assert isinstance(b, PlaneRegions)
    assert b.areas.sum() == pytest.approx(4 * 2 * 3, rel=1e-12)
    assert b.lipschitz <= a.lipschitz * (1 + 1e-12)
    inner = {row.tobytes(): norm for row, norm in zip(b.patterns, b.gradient_norms, strict=True)}
    both = [(inner[row.tobytes()], norm) for row, norm in
            zip(a.patterns, a.gradient_norms, strict=True) if row.tobytes() in inner]  # fmt: skip
    assert len(both) == b.count
    np.testing.assert_allclose([x for x, _ in both], [y for _, y in both], rtol=1e-9)


def test_a_slice_far_from_everything_has_one_region() -> None:
    net = random_relu_net((3, 8), seed=0)
    far = Slice([1e6, 2e6, 3e6], [[1, 0, 0], [0, 1, 0]])
    assert count_regions(net, slice=far).count == 1


def test_linear_regions_merge_what_does_not_bend() -> None:
    # relu(x) - relu(x) + relu(y): the first two cancel; two outputs see both
    layers = [np.array([[1.0, 0], [1, 0], [0, 1]]), np.array([[1.0, -1, 1]])]
    net = ReluNet(tuple(layers), (np.zeros(3), np.zeros(1)), (Fraction(0),))
    regions = count_regions(net)
    assert (regions.count, regions.linear_count) == (4, 2)
    both = count_regions(with_output(net, [[1, -1, 1], [1, 0, 0]]))
    assert (both.count, both.linear_count) == (4, 4)
    certificate = regions.certificate()
    assert certificate.holds
    assert certificate["linear regions"].evidence == "exact"


def test_regions_behind_dead_units_are_one() -> None:
    # the second layer is active where x > 0.5 only; elsewhere the output is 0, in two pieces
    net = ReluNet(
        (np.array([[1.0, 0], [0, 1]]), np.array([[1.0, 0]]), np.ones((1, 1))),
        (np.zeros(2), np.array([-0.5]), np.zeros(1)),
        (Fraction(0), Fraction(0)),
    )
    regions = count_regions(net)
    assert (regions.count, regions.linear_count) == (6, 2)


def test_a_nearly_cancelled_kink_is_a_kink() -> None:
    # in float64 both sides of x = 0 look alike; the true slopes differ by 2^-60
    net = ReluNet((np.array([[1.0, 0], [1, 0]]), np.array([[1.0, -1.0]])),
                  (np.array([0.0, 0.0]), np.zeros(1)), (Fraction(0),))  # fmt: skip
    assert count_regions(net).linear_count == 1
    bent = ReluNet(net.weights, net.biases, net.slopes, rational=(
        ([[1, 0], [1, 0]], [0, 0]), ([[1, Fraction(1, 2**60) - 1]], [0])))  # fmt: skip
    assert count_regions(bent).linear_count == 2


def test_decision_boundary_separates_the_classes(plane: PlaneRegions) -> None:
    boundary = decision_boundary(plane)
    a, b = boundary.segments[:, 0], boundary.segments[:, 1]
    for share in (0.1, 0.5, 0.9):
        scores = plane.net(a + share * (b - a))
        low, high = (scores[np.arange(len(a)), boundary.classes[:, i]] for i in (0, 1))
        np.testing.assert_allclose(low, high, atol=1e-12)
        np.testing.assert_allclose(low, scores.max(axis=1), atol=1e-12)
    # along dense lines, classes change exactly as often as segments are crossed
    t = np.linspace(-1, 1, 200_001)
    for x in (-0.51, 0.13, 0.77):
        classes = plane.net(np.stack([np.full_like(t, x), t], axis=1)).argmax(axis=1)
        crossed = ((a[:, 0] - x) * (b[:, 0] - x) < 0).sum()
        assert (classes[1:] != classes[:-1]).sum() == crossed
    assert (boundary.lengths > 0).all()


def test_a_boundary_along_an_edge_is_found() -> None:
    net = ReluNet((np.array([[1.0, 0], [-1, 0]]), np.array([[1.0, -1]])),
                  (np.zeros(2), np.zeros(1)), (Fraction(0),))  # fmt: skip
    regions = count_regions(net)  # f = x
    assert isinstance(regions, PlaneRegions)
    boundary = decision_boundary(regions)
    assert boundary.lengths.sum() == pytest.approx(2)
    assert boundary.classes.tolist() == [[0, 1]]


def test_boundaries_of_classes_that_tie() -> None:
    # scores 0, relu(x) and relu(y) - 1/4
    net = ExactNet([([[1, 0], [0, 1]], [0, 0]),
                    ([[0, 0], [1, 0], [0, 1]], [0, 0, Fraction(-1, 4)])])  # fmt: skip
    regions = count_regions(net)
    assert isinstance(regions, PlaneRegions)
    boundary = decision_boundary(regions)
    found = {
        (low, high, *sorted(map(tuple, ends)))
        for (low, high), ends in zip(
            boundary.classes.tolist(), boundary.segments.tolist(), strict=True
        )
    }
    assert found == {
        (1, 2, (0.0, 0.25), (0.75, 1.0)),
        (0, 1, (0.0, -1.0), (0.0, 0.0)),
        (0, 1, (0.0, 0.0), (0.0, 0.25)),  # both are 0 to its left, where the lower class has it
        (0, 2, (-1.0, 0.25), (0.0, 0.25)),
    }


@pytest.mark.parametrize("seed", range(40))
def test_boundaries_of_small_integers(seed: int) -> None:
    generator = np.random.default_rng(seed)
    layers = [
        (
            generator.integers(-2, 3, (n, m)).astype(float),
            generator.integers(-1, 2, n).astype(float),
        )
        for m, n in ((2, 4), (4, 3))
    ]
    weights, biases = zip(*layers, strict=True)
    net = ReluNet(weights, biases, (Fraction(0),))
    regions = count_regions(net)
    assert isinstance(regions, PlaneRegions)
    boundary = decision_boundary(regions)
    # multiples of 1/1024: every score is exact, and ties are ties
    x, t = 141 / 1024, np.arange(-1023, 1024, 2) / 1024

    def classes(y: np.ndarray) -> np.ndarray:
        return net(np.stack([np.full_like(y, x), y], axis=1)).argmax(axis=1)

    crossed = []
    for a, b in boundary.segments:
        if (a[0] - x) * (b[0] - x) < 0:
            crossed.append(a[1] + (x - a[0]) / (b[0] - a[0]) * (b[1] - a[1]))
    heights = np.array(crossed)
    here = classes(t)
    for i in np.flatnonzero(here[1:] != here[:-1]):
        assert ((heights > t[i] - 1e-9) & (heights < t[i + 1] + 1e-9)).any()
    for y in heights:
        if (np.abs(heights - y) < 1e-4).sum() == 1:
            below, above = classes(np.array([y - 1e-5, y + 1e-5]))
            assert below != above


# ---- boxes


def test_one_layer_in_a_large_box_attains_zaslavsky() -> None:
    assert count_regions(random_relu_net((3, 8), seed=1), (-1e6, 1e6)).count == zaslavsky(8, 3)
    assert count_regions(random_relu_net((4, 7), seed=1), (-1e6, 1e6)).count == zaslavsky(7, 4)


def test_boxes_agree_with_polygons() -> None:
    from allmlp.theory.box_regions import box_regions

    net = random_relu_net((2, 8, 8), seed=0)
    boxes = box_regions(net, ((-1.0, 1.0), (-1.0, 1.0)))
    cells = count_regions(net)
    assert isinstance(cells, PlaneRegions)
    assert boxes.count == cells.count == 102
    assert {r.tobytes() for r in boxes.patterns} == {r.tobytes() for r in cells.patterns}
    assert boxes.linear_count == cells.linear_count
    assert boxes.certificate().holds


@pytest.mark.parametrize("seed", range(6))
def test_boxes_of_degenerate_networks_agree_with_polygons(seed: int) -> None:
    from allmlp.theory.box_regions import box_regions

    rng = np.random.default_rng(seed)
    sizes = (2, 4, 3, 1)
    net = ReluNet(
        tuple(rng.integers(-1, 2, (b, a)).astype(float) for a, b in
              pairwise(sizes)),
        tuple(rng.integers(-1, 2, b).astype(float) for b in sizes[1:]),
        (Fraction(0), Fraction(0)),
    )  # fmt: skip
    boxes = box_regions(net, ((-1.0, 1.0), (-1.0, 1.0)))
    assert boxes.undecided == 0
    assert boxes.count == count_regions(net).count


@pytest.mark.slow
@pytest.mark.parametrize(
    ("widths", "count"), [((3, 8, 8), 650), ((4, 8, 8), 1780), ((6, 8, 8), 5003)]
)
def test_known_counts_in_more_dimensions(widths: Any, count: int) -> None:
    regions = count_regions(random_relu_net(widths, seed=0))
    assert regions.count == count
    assert regions.certificate().holds


def test_a_multiplier_that_the_solver_dropped_is_found() -> None:
    """A 6-8-8 network had three empty sides whose multipliers were right to 1e-7 only."""
    from allmlp.theory.box_regions import _none_inside

    empty = [(1, 0, 1), (-1, 1, 0), (0, -1, 0)]  # x < -1, y < x, 0 < y
    assert _none_inside(empty, np.array([1.0, 1.0, 0.0]))
    assert _none_inside([*empty, (0, 1, -9)], np.array([1.0, 1.0, 1.0, 1e-8]))
    full = [(1, 0, -1), (-1, 1, 0), (0, -1, 0)]  # x < 1
    assert not _none_inside(full, np.array([1.0, 1.0, 0.0]))
    assert not _none_inside(full, np.zeros(3))


def test_too_many_regions_for_linear_programs() -> None:
    from allmlp.theory.box_regions import box_regions

    with pytest.raises(AllmlpError, match="more than 10 on the box"):
        box_regions(random_relu_net((3, 8, 8)), ((-1.0, 1.0),) * 3, limit=10)


# ---- all of them


@pytest.mark.parametrize("block", range(4))
def test_no_count_exceeds_the_bounds(block: int) -> None:
    """A thousand random networks, 250 a block."""
    rng = np.random.default_rng(block)
    for _ in range(250):
        inputs = int(rng.integers(1, 3))
        widths = [int(n) for n in rng.integers(1, 7, rng.integers(1, 4))]
        net = random_relu_net((inputs, *widths), bias_std=1.0, seed=int(rng.integers(10**6)))
        count = count_regions(net, (-10, 10)).count
        assert 1 <= count <= serra_upper(inputs, widths) <= montufar_upper(inputs, widths)


def test_leaky_units_are_held_to_the_bound_that_is_theirs() -> None:
    """Serra's bound counts dimensions that dead units remove; leaky ones remove none."""
    most = count_regions(random_relu_net((2, 2)))
    for seed in range(200):
        net = random_relu_net((2, 2, 2, 2), bias_std=1.0, seed=seed)
        leaky = ReluNet(net.weights, net.biases, (Fraction(-1),) * 3)
        most = max(most, count_regions(leaky, (-1000, 1000)), key=lambda regions: regions.count)
    assert most.count > serra_upper(2, (2, 2, 2))  # folds by |z|: 30 do not suffice
    claim = most.certificate()["activation regions"]
    assert claim.promised == montufar_upper(2, (2, 2, 2)) == 64
    assert claim.holds


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"box": (1, -1)}, "low < high"),
        ({"box": (0, float("inf"))}, "low < high"),
        ({"box": ((0, 1),) * 3}, "2 such pairs"),
        ({"slice": Slice([0, 0, 0], [[1, 0, 0]])}, "input space of 2"),
    ],
)
def test_bad_boxes_and_slices(keywords: Any, message: str) -> None:
    with pytest.raises(AllmlpError, match=message):
        count_regions(random_relu_net((2, 4)), **keywords)


@pytest.mark.parametrize(
    ("origin", "directions", "message"),
    [
        ([0, 0], [[1, 1], [2, 2]], "independent"),
        ([0, 0], [[0, 0]], "independent"),
        ([0, 0], [1, 0], "one or two directions"),
        ([0, 0], [[1, 0, 0]], "one or two directions"),
        ([0, float("nan")], [[1, 0]], "finite"),
    ],
)
def test_slices_that_are_none(origin: Any, directions: Any, message: str) -> None:
    with pytest.raises(AllmlpError, match=message):
        Slice(origin, directions)


def test_slices_through_points() -> None:
    a, b, c = np.random.default_rng(0).standard_normal((3, 5, 4))
    plane = Slice.through(a, b, c)  # pictures are flattened
    np.testing.assert_allclose(plane.gram, np.eye(2), atol=1e-14)
    at = plane.coordinates([a.ravel(), b.ravel(), c.ravel()])
    np.testing.assert_allclose(plane(at), [a.ravel(), b.ravel(), c.ravel()], atol=1e-12)
    assert at[0].tolist() == [0, 0]
    with pytest.raises(AllmlpError, match="on one line"):
        Slice.through([0, 0], [1, 1], [2, 2])
    with pytest.raises(AllmlpError, match="two points or three"):
        Slice.through([0, 0])


def test_points_of_another_size_than_the_slice() -> None:
    line = Slice.through([0.0, 0, 0], [1.0, 0, 0])
    assert line.coordinates(np.ones((5, 1, 3))).shape == (5, 1)
    assert line.coordinates(np.ones((0, 3))).shape == (0, 1)
    with pytest.raises(AllmlpError, match="points of 3 inputs are rows of as many numbers"):
        line.coordinates(np.zeros((3, 2)))  # six numbers: two points, if only they are counted
    regions = count_regions(random_relu_net([2, 4, 1], seed=0), box=(-1, 1))
    with pytest.raises(AllmlpError, match=r"rows of two numbers, got shape \(2, 3\)"):
        regions.locate(np.zeros((2, 3)))
