import math
import os
import random
import re
import zipfile
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from allmlp.errors import AllmlpError
from allmlp.theory import ExactNet, StackedNarrowNet, memorize, memorize_exact, published_depth

SHARED = Path(os.environ.get("ALLMLP_SHARED", Path(__file__).parents[3] / "shared"))


def gaussian_points(num_points: int, dim: int, num_classes: int) -> Any:
    rng = random.Random(num_points + num_classes)
    X = [[Fraction(rng.gauss(0, 1)) for _ in range(dim)] for _ in range(num_points)]
    return X, [rng.randrange(num_classes) for _ in range(num_points)]


@pytest.mark.parametrize(
    ("sizes", "runs", "interpolation", "staircase", "published"),
    [
        ((200, 10, 5), 155, 192, 254, 419),
        ((50, 3, 2), 28, 41, 29, 107),
        ((100, 1, 7), 88, 100, 153, 227),
        ((300, 4, 2), 159, 232, 160, 607),
        ((7, 2, 3), 6, 7, 8, 25),
        ((2, 2, 2), 1, 1, 1, 11),
        ((1, 3, 1), 1, 1, 1, 5),
    ],
)
def test_the_table_of_depths(
    sizes: Any, runs: int, interpolation: int, staircase: int, published: int
) -> None:
    X, y = gaussian_points(*sizes)
    assert published_depth(sizes[0], sizes[2]) == published
    for method, depth in (("interpolation", interpolation), ("staircase", staircase)):
        net = memorize_exact(X, y, method=method)
        certificate = net.certificate()
        assert (net.depth, certificate["runs of equal labels"].attained) == (depth, runs)
        assert net.width <= 2
        assert list(net.exact(X)) == y
        assert certificate.holds


points = st.lists(
    st.tuples(st.integers(-8, 8), st.integers(-8, 8)), min_size=1, max_size=25, unique=True
)


@settings(deadline=None)
@given(X=points, seed=st.integers(0, 10**6), num_classes=st.integers(1, 6))
def test_any_integer_labels_by_every_method(X: Any, seed: int, num_classes: int) -> None:
    rng = random.Random(seed)
    y = [rng.randrange(-num_classes, num_classes) for _ in X]
    for method in ("staircase", "interpolation"):
        net = memorize_exact(X, y, method=method)
        assert list(net.exact(X)) == y
        assert net.certificate().holds
    stairs = memorize(X, y, method="staircase")
    assert stairs(X).tolist() == y
    assert stairs.certificate().holds
    # the float64 network, read as rationals, is right as well
    assert list(stairs.to_exact().exact(X)) == y


@settings(deadline=None)
@given(X=points, labels=st.data())
def test_any_real_labels(X: Any, labels: Any) -> None:
    y = [labels.draw(st.floats(-1e6, 1e6, allow_subnormal=False)) for _ in X]
    net = memorize(X, y, method="interpolation")
    assert net(X).tolist() == y
    assert net.depth <= len(X)
    assert net.width <= 2


def test_auto_takes_the_staircase_for_integers_only() -> None:
    X = [[0.0], [1.0], [2.0]]
    assert isinstance(memorize(X, [0, 1, 2]), StackedNarrowNet)
    assert isinstance(memorize(X, [True, False, True]), StackedNarrowNet)
    assert isinstance(memorize(X, [0.5, 1.0, 2.0]), ExactNet)
    huge = memorize(X, [0.0, 1e60, 2.0])
    assert isinstance(huge, ExactNet)
    assert huge(X).tolist() == [0.0, 1e60, 2.0]


def test_collinear_knots_cost_no_layer() -> None:
    net = memorize_exact([[i] for i in range(10)], list(range(10)), method="interpolation")
    assert net.depth == 2


def test_collinear_points_in_the_plane_with_real_labels() -> None:
    X = [[i, 2 * i] for i in range(40)]
    y = [Fraction((i * 7919) % 11, 3) for i in range(40)]
    net = memorize_exact(X, y)
    assert list(net.exact(X)) == y
    assert net.depth <= 40


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("num_classes", [2, 5, 30])
def test_two_thousand_points_bit_exact_in_float64(seed: int, num_classes: int) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((2000, 10)), rng.integers(0, num_classes, 2000)
    net = memorize(X, y, seed=seed)
    assert (net(X) == y).all()
    assert (net(X[:1]) == y[:1]).all()  # another order of summation in BLAS
    certificate = net.certificate()
    assert certificate.holds
    runs = certificate["runs of equal labels"].attained
    assert net.depth == runs + 2 if num_classes == 2 else net.depth <= 2 * runs


def test_torch_modules_give_the_labels_too() -> None:
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((500, 10)), rng.integers(0, 5, 500)
    net = memorize(X, y, method="staircase")
    module = net.to_torch()
    with torch.no_grad():
        assert (module(torch.from_numpy(X))[:, 0].numpy() == y).all()
        assert module(torch.from_numpy(X[:1])).item() == y[0]
    assert (
        sum(p.numel() for p in module.parameters()) == net.parameters == net.to_exact().parameters
    )
    assert net.to_exact().depth == net.depth


def test_the_stacked_matrices_are_the_layers() -> None:
    rng = np.random.default_rng(6)
    X, y = rng.standard_normal((30, 4)), rng.integers(0, 3, 30)
    net = memorize(X, y, method="staircase")
    weights, biases = net.matrices()
    layers = net.to_exact().layers[2 : 2 + len(weights)]
    assert len(weights) == len(net.recurrence) - 1
    assert weights.tolist() == [[[float(v) for v in row] for row in weight] for weight, _ in layers]
    assert biases.tolist() == [[float(v) for v in bias] for _, bias in layers]


@pytest.mark.parametrize("num_points", [300, 1000])
def test_labels_survive_movement_within_the_margin(num_points: int) -> None:
    rng = np.random.default_rng(num_points)
    X, y = rng.standard_normal((num_points, 10)), rng.integers(0, 5, num_points)
    net = memorize(X, y, method="staircase")
    margin = net.certificate()["margin"].attained
    steps = rng.standard_normal(X.shape)
    steps *= margin / np.linalg.norm(steps, axis=1, keepdims=True)
    assert (net(X + steps) == y).all()
    # the worst direction, along the projection
    for sign in (-1, 1):
        assert (net(X + sign * margin * net.direction) == y).all()
        # beyond the gap the neighbour's plateau begins
        assert (net(X + sign * 5 * margin * net.direction) != y).any()


def test_interpolation_has_no_margin() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((100, 3)), rng.integers(0, 5, 100)
    stairs = memorize(X, y)
    steps = stairs.certificate()["margin"].attained * rng.standard_normal(X.shape) / 10
    smooth = memorize(X, y, method="interpolation")
    assert (stairs(X + steps) == y).all()
    assert (smooth(X + steps) != y).any()


@settings(deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_sweep_equals_plain_layer_by_layer_evaluation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((40, 2)), rng.integers(-3, 4, 40)
    net = memorize(X, y, method="staircase")
    fresh = np.concatenate([X, 3 * rng.standard_normal((60, 2))])
    with torch.no_grad():
        plain = net.to_torch()(torch.from_numpy(fresh))[:, 0].numpy()
    on_plateau = plain == np.round(plain)
    assert (net(fresh) == plain)[on_plateau].all()
    # between plateaus the slope, about 1 / gap, multiplies the rounding of the projection
    slope = np.abs(net.recurrence.gains).max(initial=0.0)
    assert np.abs(net(fresh) - plain).max() <= slope * 1e-13


@settings(deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([1e-280, 1e-30, 1e-3, 1.0, 1e9, 1e280]),
    offset=st.sampled_from([0.0, 1.0, 1e3, 1e6, 1e9]),
    dim=st.sampled_from([1, 3, 60]),
    spread=st.sampled_from([1, 2, 1000, 10**8]),
)
def test_whatever_is_built_is_right_in_every_order_of_summation(
    seed: int, scale: float, offset: float, dim: int, spread: int
) -> None:
    rng = np.random.default_rng(seed)
    X = (rng.standard_normal((60, dim)) + offset) * scale
    y = rng.integers(-spread, spread + 1, 60)
    try:
        net = memorize(X, y, method="staircase")
    except AllmlpError as error:
        # refused, never wrong
        assert re.search("memorize_exact|power of two", str(error))  # noqa: PT017
        return
    assert (net(X) == y).all()
    assert [net(x[None])[0] for x in X[:10]] == y[:10].tolist()
    backwards = StackedNarrowNet(
        net.direction[::-1].copy(), net.offset, net.recurrence, theorem=net.theorem
    )
    assert (backwards(X[:, ::-1]) == y).all()


def test_digits_are_memorised_exactly() -> None:
    X, y = load_digits(return_X_y=True)
    net = memorize(X, y)
    assert (net(X) == y).all()
    assert net.certificate().holds
    assert net.depth < published_depth(1797, 10)


@pytest.mark.slow
def test_mnist_is_memorised_exactly() -> None:
    archive = SHARED / "data" / "mnist-png" / "mnist_png.zip"
    if not archive.exists():
        pytest.skip(f"the MNIST archive is not at {archive}")
    with zipfile.ZipFile(archive) as images:
        names = [n for n in images.namelist() if "train/" in n and n.endswith(".png")]
        X = np.stack([np.asarray(Image.open(BytesIO(images.read(n)))).ravel() for n in names])
    y = np.array([int(name.split("/")[-2]) for name in names])
    assert X.shape == (60_000, 784)
    net = memorize(X, y)
    assert (net(X) == y).all()
    assert net.certificate().holds
    assert net.depth < published_depth(60_000, 10)


@pytest.mark.slow
def test_a_hundred_thousand_points_with_no_label_wrong() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((100_000, 20)), rng.integers(0, 10, 100_000)
    assert (memorize(X, y)(X) == y).all()


class TestDegenerateInput:
    def test_equal_points_with_different_labels_are_named(self) -> None:
        X = np.random.default_rng(0).standard_normal((50, 3))
        X[17] = X[3]
        y = np.arange(50)
        for fit in (memorize, memorize_exact):
            with pytest.raises(AllmlpError, match=r"points 3 and 17 are the same .* 3.* and 17"):
                fit(X, y)

    def test_equal_points_with_equal_labels_are_fine(self) -> None:
        X = [[0.0], [1.0], [1.0], [2.0]]
        assert memorize(X, [0, 1, 1, 0])(X).tolist() == [0, 1, 1, 0]
        assert memorize_exact(X, [0, 1, 1, 0])(X).tolist() == [0, 1, 1, 0]

    def test_gaps_below_float64_offer_the_exact_route_which_works(self) -> None:
        X = [[1.0], [np.nextafter(1.0, 2.0)], [2.0]]
        with pytest.raises(AllmlpError, match="memorize_exact"):
            memorize(X, [0, 1, 0])
        for method in ("staircase", "interpolation"):
            assert memorize_exact(X, [0, 1, 0], method=method)(X).tolist() == [0, 1, 0]

    def test_verify_wants_one_label_for_each_point(self) -> None:
        net = memorize([[0.0], [1.0]], [3, 3])
        with pytest.raises(AllmlpError, match=r"shape \(2,\), but got \(2, 1\)"):
            net.verify([[0.0], [1.0]], [[3], [3]])

    def test_gains_beyond_float64(self) -> None:
        for method in ("staircase", "interpolation"):
            net = memorize_exact([[0], [1e-300]], [0, 1e300], method=method)
            assert net.exact([[0], [1e-300]]).tolist() == [0, Fraction(1e300)]
            assert net.certificate().holds
            assert "largest gain" in str(net.certificate())

    def test_integers_beyond_float64_are_refused_or_exact(self) -> None:
        X = [[2**60], [2**60 + 1]]
        with pytest.raises(AllmlpError, match=r"X holds .* memorize_exact"):
            memorize(X, [0, 1])
        with pytest.raises(AllmlpError, match=r"y holds .* memorize_exact"):
            memorize([[0.0], [1.0]], [2**60, 2**60 + 1])
        # beside a float numpy would round them to equal points
        assert memorize_exact([*X, [0.5]], [0, 1, 2]).certificate().holds

    def test_gaps_of_two_to_the_minus_forty_are_right(self) -> None:
        X = [[i * 2.0**-40] for i in range(5)] + [[1.0]]
        assert memorize(X, [0, 1, 0, 2, 1, 0])(X).tolist() == [0, 1, 0, 2, 1, 0]

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_nan_and_infinity_are_located(self, bad: float) -> None:
        with pytest.raises(AllmlpError, match=r"X\[1, 0\] is (nan|inf)"):
            memorize([[0.0], [bad]], [0, 1])
        with pytest.raises(AllmlpError, match=r"y\[1\] is (nan|inf)"):
            memorize([[0.0], [1.0]], [0.0, bad])
        with pytest.raises(AllmlpError, match="finite"):
            memorize_exact([[0.0], [bad]], [0, 1])
        with pytest.raises(AllmlpError, match="finite"):
            memorize_exact([[0.0], [1.0]], [0, bad])

    def test_one_class_and_one_point(self) -> None:
        X = np.zeros((4, 2))
        net = memorize(X, [7] * 4)
        assert net(X).tolist() == [7] * 4
        assert net.certificate().depth == 1
        assert memorize([[1.0]], [-3])([[1.0]]).tolist() == [-3]

    def test_overflowing_points(self) -> None:
        with pytest.raises(AllmlpError, match="power of two"):
            memorize([[1e308, 1e308], [-1e308, 1e308]], [0, 1])

    @pytest.mark.parametrize(
        ("X", "y", "message"),
        [
            ([[0.0]], [0, 1], "one label"),
            (np.empty((0, 2)), [], "at least one"),
            ([0.0, 1.0], [0, 1], "flatten"),
            ([["a"]], [0], "rectangular"),
            ([[0.0], [1.0]], ["cat", "dog"], "encode names"),
        ],
    )
    def test_shapes_and_types(self, X: Any, y: Any, message: str) -> None:
        with pytest.raises(AllmlpError, match=message):
            memorize(X, y)

    def test_real_labels_have_no_staircase(self) -> None:
        with pytest.raises(AllmlpError, match="interpolation"):
            memorize([[0.0], [1.0]], [0.5, 1.0], method="staircase")

    def test_an_unknown_method_lists_its_relatives(self) -> None:
        with pytest.raises(AllmlpError, match="staircase"):
            memorize([[0.0]], [0], method="stair")
