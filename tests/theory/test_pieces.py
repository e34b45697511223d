import random
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allmlp.errors import AllmlpError
from allmlp.theory import (
    HARD_SIGMOID,
    RELU,
    ExactNet,
    PiecewiseLinear,
    graph,
    l1_distance,
    leaky_relu,
    sawtooth,
    sup_distance,
)
from allmlp.theory.exact_net import Layer

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


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: a.name)
@settings(deadline=None)
@given(seed=st.integers(0, 10**6), t=st.fractions(0, 1, max_denominator=1000))
def test_the_graph_is_the_network(activation: Any, seed: int, t: Any) -> None:
    net = ExactNet(rational_layers(seed, (1, 4, 3, 1)), activation=activation)
    x = 4 * t - 2
    assert graph(net, -2, 2)(x) == net.exact([x])[0]


@settings(deadline=None)
@given(seed=st.integers(0, 10**6))
def test_no_knot_is_redundant(seed: int) -> None:
    f = graph(ExactNet(rational_layers(seed, (1, 5, 4, 1))), -3, 3)
    slopes = [
        (f.values[i + 1] - f.values[i]) / (f.knots[i + 1] - f.knots[i]) for i in range(f.num_pieces)
    ]
    assert all(a != b for a, b in pairwise(slopes))


def test_hard_sigmoid_bends_at_both_kinks() -> None:
    net = ExactNet([([[1]], [0]), ([[1]], [0])], activation=HARD_SIGMOID)
    assert graph(net, -5, 5).knots == tuple(map(Fraction, (-5, -3, 3, 5)))


def test_distances_of_a_tent_to_a_line() -> None:
    line = PiecewiseLinear((Fraction(0), Fraction(1)), (Fraction(1, 2), Fraction(1, 2)))
    tent = graph(sawtooth(1))
    assert l1_distance(tent, line) == Fraction(1, 4)
    assert sup_distance(tent, line) == Fraction(1, 2)


def test_two_inputs_have_no_graph() -> None:
    with pytest.raises(AllmlpError, match="one input"):
        graph(ExactNet([([[1, 1]], [0])]))
