import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.theory import (
    ACTIVATIONS,
    MeanField,
    Slice,
    check_init,
    count_regions,
    edge_of_chaos,
    expected_regions,
    hanin_rolnick_bound,
    he_second_moment,
    random_relu_net,
)


@pytest.mark.parametrize("q", [0.1, 1.0, 7.0])
def test_closed_forms(q: float) -> None:
    second, fourth, slope = MeanField("relu", 1.0).moments(q)
    assert (second, fourth, slope) == pytest.approx((q / 2, 3 * q**2 / 2, 0.5), rel=1e-12)
    second, _, slope = MeanField("leaky_relu", 1.0).moments(q)
    assert (second, slope) == pytest.approx((q * 1.0001 / 2, 1.0001 / 2), rel=1e-12)
    # Williams 1997
    second, _, slope = MeanField("erf", 1.0).moments(q)
    assert second == pytest.approx(2 / math.pi * math.asin(2 * q / (1 + 2 * q)), rel=1e-12)
    assert slope == pytest.approx(4 / math.pi / math.sqrt(1 + 4 * q), rel=1e-12)
    second, _, slope = MeanField("sin", 1.0).moments(q)
    assert second == pytest.approx((1 - math.exp(-2 * q)) / 2, rel=1e-12)
    assert slope == pytest.approx((1 + math.exp(-2 * q)) / 2, rel=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_moments_are_those_of_samples(activation: str) -> None:
    z = torch.randn(400_000, dtype=torch.float64) * math.sqrt(2.0)
    at = z.requires_grad_()
    values = ACTIVATIONS[activation][0](at)
    (slopes,) = torch.autograd.grad(values.sum(), at)
    predicted = MeanField(activation, 1.0).moments(2.0)
    for samples, mean in zip((values**2, values**4, slopes**2), predicted, strict=True):
        error = float(samples.detach().std()) / math.sqrt(len(z))
        assert abs(float(samples.detach().mean()) - mean) < 5 * error + 1e-12


def test_a_fixed_point_of_the_specification() -> None:
    field = MeanField("tanh", 1.5**2, 0.3**2)
    q = field.fixed_point()
    assert q == pytest.approx(0.9608, abs=5e-5)
    assert field.chi(q) == pytest.approx(1.061, abs=5e-4)
    assert field.depth_scale(q) == math.inf
    ordered = MeanField("tanh", 0.5)
    assert ordered.depth_scale(ordered.fixed_point()) == pytest.approx(-1 / math.log(0.5), rel=0.01)
    assert MeanField("relu", 3.0).fixed_point() == math.inf


@pytest.mark.parametrize(
    ("activation", "weight_var"),
    [("relu", 2.0), ("tanh", 1.0), ("identity", 1.0), ("gelu", 4.0), ("erf", math.pi / 4)],
)
def test_known_edges(activation: str, weight_var: float) -> None:
    assert edge_of_chaos(activation).weight_var == pytest.approx(weight_var, rel=1e-9)


@pytest.mark.parametrize("activation", ["tanh", "erf", "sin", "hard_tanh"])
def test_the_edge_is_where_chi_is_one(activation: str) -> None:
    edge = edge_of_chaos(activation, 0.05)
    field = MeanField(activation, edge.weight_var, edge.bias_var)
    assert field.step(edge.variance) == pytest.approx(edge.variance, rel=1e-9)
    assert field.chi(edge.variance) == pytest.approx(1, rel=1e-9)


def test_edges_that_are_not_there() -> None:
    with pytest.raises(AllmlpError, match="choose another bias_var"):
        edge_of_chaos("relu", 0.1)
    with pytest.raises(AllmlpError, match="did you mean relu"):
        edge_of_chaos("relo")
    with pytest.raises(AllmlpError, match="weight_var is a variance"):
        MeanField("relu", -1.0)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_measures_as_predicted(activation: str) -> None:
    # near the edge where there is one, else somewhere stable
    weight_var = {"softplus": 0.5, "sigmoid": 2.0, "hard_sigmoid": 2.0}.get(activation)
    field = MeanField(activation, weight_var or edge_of_chaos(activation).weight_var, 0.05)
    check = check_init(field, [150] * 5, draws=30)
    assert check.certificate().holds
    # chi is the stretch of an infinitely wide layer
    np.testing.assert_allclose(check.measured_stretch, check.predicted_stretch, rtol=0.25)


def test_a_missing_gain_is_found() -> None:
    right = check_init(MeanField("relu", 2.0), [200] * 4, draws=20)
    wrong = check_init(MeanField("relu", 1.0), [200] * 4, draws=20)
    scores = (wrong.measured - right.predicted) / right.errors
    assert (np.abs(scores[1:]) > 5).all()


def test_the_tail_of_he_initialisation() -> None:
    """E q = q_0 and E q² = q_0² Π (1 + 5 / n), for 50 units in 5 layers."""
    n, depth, draws = 50, 5, 20_000
    generator = torch.Generator().manual_seed(0)
    h = torch.ones(draws, n, dtype=torch.float64)
    for _ in range(depth):
        # given h, the n pre-activations are independent with variance 2 |h|² / n
        scale = (2 * h.square().mean(dim=1, keepdim=True)).sqrt()
        h = (torch.randn(draws, n, generator=generator, dtype=torch.float64) * scale).relu()
    q = h.square().mean(dim=1)
    second = float(he_second_moment([n] * depth))
    assert abs(float(q.mean()) - 1) < 5 * math.sqrt((second - 1) / draws)
    error = float(q.square().std()) / math.sqrt(draws)
    assert abs(float(q.square().mean()) - second) < 5 * error
    # the recursion of MeanField says the same
    mean, spread = MeanField("relu", 2.0).variances(2.0, [n] * (depth + 1))
    assert mean[-1] == pytest.approx(2)
    assert spread[-1] / 4 + 1 == pytest.approx(second, rel=1e-6)
    assert he_second_moment([]) == Fraction(1)


# ---- expected counts


@pytest.mark.parametrize(("widths", "bias"), [((1, 30), 0.5), ((2, 20), 0.5), ((4, 20), 0.5)])
def test_one_layer_is_exact(widths: Any, bias: float) -> None:
    plane = Slice([0.5, 0, 0, 0], [[1, 0, 0, 0], [0.3, 1, 0, 0.2]]) if widths[0] == 4 else None
    counts = np.array(
        [
            count_regions(random_relu_net(widths, bias_std=bias, seed=s), slice=plane).count
            for s in range(80)
        ]
    )
    predicted = expected_regions(widths, slice=plane, bias_std=bias)
    assert abs(counts.mean() - predicted) < 4 * counts.std() / math.sqrt(len(counts))


@pytest.mark.parametrize("widths", [(1, 64, 64, 64), (2, 64, 64, 64)])
def test_deep_networks_come_near(widths: Any) -> None:
    counts = [count_regions(random_relu_net(widths, bias_std=0.3, seed=s)).count for s in range(12)]
    # one in ten for finite width, and what twelve networks scatter
    assert np.mean(counts) == pytest.approx(expected_regions(widths, bias_std=0.3), rel=0.1)


def test_orders_of_magnitude() -> None:
    assert hanin_rolnick_bound(2, 192) == 192**2 / 2
    few = expected_regions((2, 64, 64, 64), bias_std=0.3)
    assert 0.1 < few / hanin_rolnick_bound(2, 192) < 1


def test_what_expected_regions_needs() -> None:
    with pytest.raises(AllmlpError, match="positive bias_std"):
        expected_regions((2, 8), bias_std=0.0)
    with pytest.raises(AllmlpError, match="slice beyond two inputs"):
        expected_regions((3, 8))


@pytest.mark.parametrize(
    ("activation", "q", "second", "slope"),
    [
        ("sin", 1e4, 0.5, 0.5),  # (1 -+ exp(-2 q)) / 2
        ("sin", 1e6, 0.5, 0.5),
        ("tanh", 1e6, None, 4 / 3 / math.sqrt(2 * math.pi * 1e6)),  # the integral of sech^4 is 4/3
        ("tanh", 1e10, None, 4 / 3 / math.sqrt(2 * math.pi * 1e10)),
    ],
)
def test_large_signals(activation: str, q: float, second: float | None, slope: float) -> None:
    found = MeanField(activation, 1.0).moments(q)
    assert found[2] == pytest.approx(slope, rel=1e-5)
    if second is not None:
        assert found[0] == pytest.approx(second, rel=1e-9)
    with pytest.raises(AllmlpError, match=r"moments of sin are known up to q = 1e\+06, got 1e\+07"):
        MeanField("sin", 1.0).moments(1e7)


@pytest.mark.parametrize(
    ("activation", "bias_var", "stable"),
    [
        *[("tanh", 0.05, True), ("relu", 0.0, True), ("tanh", 0.0, True), ("sin", 0.1, True)],
        *[("gelu", 0.1, False), ("silu", 0.2, False), ("gelu", 0.0, False)],
    ],
)
def test_an_edge_says_whether_layers_settle_there(
    activation: str, bias_var: float, stable: bool
) -> None:
    edge = edge_of_chaos(activation, bias_var)
    assert edge.stable == stable
    field = MeanField(activation, edge.weight_var, bias_var)
    q = edge.variance * 1.01 or 1e-2
    settled = field.fixed_point(q, steps=20_000)
    assert (settled <= q) == stable


def test_networks_without_a_signal() -> None:
    with pytest.raises(AllmlpError, match="every signal is 0"):
        check_init(MeanField("relu", 0.0), [8, 8])
    mean, spread = MeanField("relu", 0.0, 0.5).variances(0.5, [8, 8, 8])
    assert mean.tolist() == [0.5] * 3
    assert not spread.any()
    assert MeanField("relu", 2.0).variances(0.0, [8, 8])[0].tolist() == [0.0, 0.0]
