import random
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allmlp.errors import AllmlpError
from allmlp.theory import HARD_SIGMOID, RELU, ExactNet, leaky_relu
from allmlp.theory.exact_net import Layer

rationals = st.fractions(min_value=-5, max_value=5, max_denominator=12)
ACTIVATIONS = [RELU, leaky_relu(Fraction(1, 7)), HARD_SIGMOID]


def rational_layers(seed: int, sizes: tuple[int, ...]) -> list[Layer]:
    """Random layers of small rationals."""
    rng = random.Random(seed)

    def q() -> Fraction:
        return Fraction(rng.randrange(-9, 10), rng.randrange(1, 6))

    return [
        ([[q() for _ in range(a)] for _ in range(b)], [q() for _ in range(b)])
        for a, b in pairwise(sizes)
    ]


def slow_forward(net: Any, x: Any) -> Any:
    """The definition, one Fraction at a time."""
    h = [Fraction(value) for value in x]
    for i, (weight, bias) in enumerate(net.layers):
        h = [sum(w * v for w, v in zip(row, h, strict=True)) + b
             for row, b in zip(weight, bias, strict=True)]  # fmt: skip
        if i < net.depth - 1:
            h = [net.activation(z) for z in h]
    return h


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: a.name)
@settings(deadline=None)
@given(seed=st.integers(0, 10**6), x=st.lists(st.tuples(rationals, rationals), min_size=1))
def test_integer_evaluation_is_the_definition(activation: Any, seed: int, x: Any) -> None:
    net = ExactNet(rational_layers(seed, (2, 4, 3, 2)), activation=activation)
    outputs = net.exact(x)
    assert [list(row) for row in outputs] == [slow_forward(net, point) for point in x]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: a.name)
def test_torch_computes_the_same_up_to_rounding(activation: Any) -> None:
    net = ExactNet(rational_layers(0, (3, 5, 4, 1)), activation=activation)
    X = np.random.default_rng(0).standard_normal((50, 3))
    outputs = net.to_torch()(torch.from_numpy(X))[:, 0].detach().numpy()
    # float64 sums of a few dozen products of size up to 1e4
    np.testing.assert_allclose(outputs, net(X), rtol=1e-10, atol=1e-10)


def test_to_torch_draws_no_random_number() -> None:
    net = ExactNet(rational_layers(0, (3, 5, 1)))
    before = torch.get_rng_state()
    net.to_torch(torch.float32)
    assert torch.equal(torch.get_rng_state(), before)


def test_floats_are_read_as_the_rationals_they_are() -> None:
    identity = ExactNet([([[1]], [0])])
    assert identity.exact([0.1])[0] == Fraction(0.1) != Fraction(1, 10)


@pytest.mark.parametrize(
    "X", [[2**60 + 1, 0.5], [2**63 + 1, -1], [np.int64(2**60 + 1), Fraction(1, 3)]]
)
def test_numbers_of_two_kinds_in_one_list_are_not_rounded(X: Any) -> None:
    identity = ExactNet([([[1]], [0])])
    assert identity.exact(X)[0] == int(X[0])
    assert identity.exact(X)[1] == X[1]


def test_sizes_count_zeros_too() -> None:
    net = ExactNet([([[0, 0]] * 3, [0] * 3), ([[0, 0, 0]], [0])])
    assert (net.width, net.depth, net.parameters) == (3, 2, 2 * 3 + 3 + 3 + 1)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "at least one layer"),
        ([([[1], [1, 2]], [0, 0])], "rectangular"),
        ([([[1]], [0, 0])], "one bias for every weight row"),
        ([([[1]], [0]), ([[1, 1]], [0])], "layer 1 must take what layer 0 gives"),
        ([([[0.5]], [0])], r"write Fraction\(0.5\)"),
    ],
)
def test_bad_layers_are_explained(layers: Any, message: str) -> None:
    with pytest.raises(AllmlpError, match=message):
        ExactNet(layers)


@pytest.mark.parametrize(
    "X", [[[1.0, 2.0], [2.0]], [[1.0], [2.0]], [1.0, 2.0], [[1.0, float("nan")]]]
)
def test_bad_points_are_explained(X: Any) -> None:
    net = ExactNet([([[1, 1]], [0])])
    with pytest.raises(AllmlpError, match=r"lengths|shape|finite"):
        net(X)


def test_a_leaky_relu_of_slope_one_is_refused() -> None:
    with pytest.raises(AllmlpError, match=r"\[0, 1\)"):
        leaky_relu(Fraction(1))
