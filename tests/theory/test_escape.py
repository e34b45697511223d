import random
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest

from allmlp.errors import AllmlpError
from allmlp.theory import EscapePath, ExactNet, escape_path, narrow_limit, pyramid_net
from allmlp.theory.exact_net import Layer


def rational_layers(seed: int, sizes: tuple[int, ...]) -> list[Layer]:
    """Random layers of small rationals."""
    rng = random.Random(seed)

    def q() -> Fraction:
        return Fraction(rng.randrange(-9, 10), rng.randrange(1, 6))

    return [
        ([[q() for _ in range(a)] for _ in range(b)], [q() for _ in range(b)])
        for a, b in pairwise(sizes)
    ]


def narrow_net(seed: int, *, thin: bool) -> Any:
    rng = random.Random(seed)
    d = rng.choice([2, 3, 4])
    depth = rng.randrange(1, 7)
    hidden = [rng.randrange(1, d + 1) if thin else d for _ in range(depth)]
    return ExactNet(rational_layers(seed, (d, *hidden, 1))), [
        Fraction(rng.randrange(-99, 100), 100) for _ in range(d)
    ]


@pytest.mark.parametrize("thin", [False, True])
def test_every_narrow_network_lets_its_values_escape(thin: bool) -> None:
    legs = []
    for seed in range(100):
        net, start = narrow_net(seed, thin=thin)
        path = escape_path(net, start)
        assert path.certificate().holds  # exactly constant on every leg, up to the boundary
        assert path.vertices[0] == tuple(start)
        legs.append(len(path.vertices) - 1)
    assert max(legs) > 1  # not all of them walked straight out


def positive_net(seed: int) -> Any:
    """All units active in the middle of the cube, so that several legs are needed."""
    rng = random.Random(seed)

    def q(scale: Any) -> Any:
        return Fraction(rng.randrange(-9, 10), scale)

    layers = [([[q(9) for _ in range(3)] for _ in range(3)], [Fraction(1, 2)] * 3)
              for _ in range(5)]  # fmt: skip
    return ExactNet([*layers, ([[q(1) for _ in range(3)]], [0])])


def test_paths_of_several_legs() -> None:
    legs = [len(escape_path(positive_net(s), (0, 0, 0)).vertices) - 1 for s in range(60)]
    assert max(legs) >= 3
    assert all(escape_path(positive_net(s), (0, 0, 0)).certificate().holds for s in range(20))


def test_a_wrong_path_breaks_its_certificate() -> None:
    net = ExactNet([([[1, 0], [0, 1]], [2, 2]), ([[1, 0]], [0])])
    wrong = EscapePath(net, ((Fraction(0), Fraction(0)), (Fraction(1), Fraction(0))), Fraction(1))
    assert not wrong.certificate()["constant legs"].holds


def test_width_three_needs_no_escape() -> None:
    net = pyramid_net()
    boundary = [[x, s] for x in range(-1, 2) for s in (-1, 1)] + [[s, 0] for s in (-1, 1)]
    assert set(net.exact(boundary)) == {0}
    assert net.exact([[0, 0]])[0] == 1
    assert narrow_limit(1, 0) == Fraction(1, 2)
    with pytest.raises(AllmlpError, match="closed level sets"):
        escape_path(net, (0, 0))


def test_a_start_outside_the_cube() -> None:
    net = ExactNet([([[1, 0]], [0]), ([[1]], [0])])
    with pytest.raises(AllmlpError, match="inside"):
        escape_path(net, (2, 0))
