import math
import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allmlp.errors import AllmlpError
from allmlp.theory import approximate, graph, relu_interpolant

ACTIVATIONS = ["relu", "leaky_relu", "hard_sigmoid", "sigmoid", "tanh"]


def rectified_sine(x: Any) -> Any:
    return np.abs(np.sin(3 * x))


def weierstrass(x: Any) -> Any:
    return sum(0.5**k * np.cos(3**k * np.pi * x) for k in range(6))


WEIERSTRASS_LIPSCHITZ = math.pi * sum(1.5**k for k in range(6))


@settings(deadline=None)
@given(
    knots=st.sets(st.fractions(-5, 5, max_denominator=50), min_size=2, max_size=12),
    seed=st.integers(0, 999),
)
def test_the_interpolant_meets_its_points_and_bends_nowhere_else(knots: Any, seed: int) -> None:
    x = sorted(knots)
    rng = np.random.default_rng(seed)
    y = [Fraction(int(v), 7) for v in rng.integers(-9, 10, len(x))]
    net = relu_interpolant(x, y)
    assert list(net.exact(x)) == y
    assert set(graph(net, x[0], x[-1]).knots) <= set(x)
    assert net.certificate().holds


def test_the_interpolant_reads_floats_exactly() -> None:
    values = [0, 0.1, 1.0]  # 1.0 - 0.1 rounds
    net = relu_interpolant([0, 1, 2], values)
    assert list(net.exact([0, 1, 2])) == [Fraction(v) for v in values]
    assert net.certificate().holds


@pytest.mark.parametrize("activation", ["leaky_relu", "hard_sigmoid"])
@pytest.mark.parametrize("units", [1, 2, 7])
def test_other_piecewise_linear_activations_give_the_same_function_exactly(
    activation: Any, units: int
) -> Any:
    def net(name: Any) -> Any:
        return approximate(np.cos, (-1, 2), lipschitz=1.0, units=units, activation=name)

    assert net(activation).width == units
    assert graph(net(activation), -1, 2) == graph(net("relu"), -1, 2)


@pytest.mark.parametrize(
    ("units", "found", "bound"), [(10, 0.050, 0.306), (40, 0.019, 0.0751), (160, 0.0057, 0.01875)]
)
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_the_table_of_smooth_steps(activation: Any, units: int, found: float, bound: float) -> None:
    net = approximate(rectified_sine, lipschitz=3.0, units=units, activation=activation)
    certificate = net.certificate()
    assert certificate.holds
    assert certificate.error == pytest.approx(found, rel=0.02)
    assert certificate.promised_error == pytest.approx(bound, rel=1e-3)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("f", "lipschitz"),
    [(rectified_sine, 3.0), (np.square, 2.0), (weierstrass, WEIERSTRASS_LIPSCHITZ)],
)
def test_an_error_asked_for_is_kept(activation: Any, f: Any, lipschitz: float) -> None:
    net = approximate(f, (0, 1), lipschitz=lipschitz, error=0.25, activation=activation)
    certificate = net.certificate()
    assert certificate.holds
    assert certificate.error <= certificate.promised_error <= 0.25 + 1e-11
    # the certified error is above anything that can be found
    x = np.random.default_rng(0).uniform(0, 1, 300)
    assert np.abs(net(x) - f(x)).max() <= certificate["error, gaps covered"].attained
    with torch.no_grad():
        module = net.to_torch()(torch.from_numpy(x)[:, None])[:, 0].numpy()
    assert np.abs(module - net(x)).max() < 1e-9  # float64 sums of slopes up to 1e3


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_one_unit_less_would_not_do(activation: Any) -> None:
    net = approximate(np.sin, (0, 3), lipschitz=1.0, error=0.01, activation=activation)
    fewer = approximate(np.sin, (0, 3), lipschitz=1.0, units=net.width - 1, activation=activation)
    assert fewer.certificate().promised_error > 0.01 + 1e-9 > net.certificate().promised_error


def test_curvature_saves_units() -> None:
    plain = approximate(np.sin, (0, 3), lipschitz=1.0, error=1e-3)
    curved = approximate(np.sin, (0, 3), lipschitz=1.0, curvature=1.0, error=1e-3)
    assert (plain.width, curved.width) == (1500, 34)
    # h² / 8 is attained for the parabola
    parabola = approximate(np.square, (0, 1), lipschitz=2.0, curvature=2.0, units=8)
    assert parabola.certificate().error == 1 / 4 / 64


@pytest.mark.parametrize(("curvature", "error"), [(None, 1e-3), (1.0, 1e-6)])
def test_small_errors_are_certified_in_seconds(curvature: float | None, error: float) -> None:
    net = approximate(np.sin, (0, 3), lipschitz=1.0, curvature=curvature, error=error)
    start = time.perf_counter()
    assert net.certificate().holds
    assert time.perf_counter() - start < 30  # 2 s; every unit at every sample took minutes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lipschitz": 1.0}, "either the error allowed or the number of units"),
        ({"lipschitz": 1.0, "units": 3, "error": 0.1}, "both"),
        ({"lipschitz": 0.0, "units": 3}, "lipschitz must be positive"),
        ({"lipschitz": 1.0, "units": 0}, "integer units of at least 1"),
        ({"lipschitz": 1.0, "error": 1e-12}, "allow a larger one"),
        ({"lipschitz": 1.0, "units": 3, "interval": (1, 0)}, "low < high"),
        ({"lipschitz": 1.0, "units": 3, "activation": "rely"}, "did you mean relu"),
    ],
)
def test_bad_requests(arguments: Any, message: str) -> None:
    with pytest.raises(AllmlpError, match=message):
        approximate(np.sin, **arguments)


def test_a_function_that_is_not_finite_is_refused() -> None:
    with pytest.raises(AllmlpError, match="not finite"), np.errstate(divide="ignore"):
        approximate(np.log, (0, 1), lipschitz=1.0, units=4)
