import random
from fractions import Fraction
from itertools import pairwise

import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.theory import (
    ExactNet,
    ResidualNet,
    monotone_limit,
    residual_sawtooth,
    sawtooth,
    shallow_to_residual,
)
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


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_one_neuron_blocks_fold_like_the_plain_network_of_twice_the_neurons(n: int) -> None:
    net = residual_sawtooth(n)
    x = [Fraction(i, 2 ** (n + 2)) for i in range(2 ** (n + 2) + 1)]
    assert list(net.exact(x)) == list(sawtooth(n).exact(x))
    assert len(net.blocks) == n
    assert net.parameters == 3 * n + 2
    assert net.certificate().holds
    # and no plain network of width 1 comes nearer than a half
    assert monotone_limit([i % 2 for i in range(2**n + 1)]) == Fraction(1, 2)


def test_any_shallow_network_is_a_chain_of_neurons() -> None:
    net = ExactNet(rational_layers(3, (2, 6, 1)))
    chain = shallow_to_residual(net)
    points = [[i / 8, j / 4] for i in range(-4, 5) for j in range(-4, 5)]
    assert list(chain.exact(points)) == list(net.exact(points))
    assert chain.certificate().depth == 6
    with torch.no_grad():
        values = chain.to_torch()(torch.tensor(points, dtype=torch.float64))
    # float64 sums of a dozen products of size up to 1e3
    assert abs(values[:, 0].numpy() - net(points)).max() < 1e-10


def test_a_wrong_chain_breaks_its_certificate() -> None:
    right = residual_sawtooth(3)
    wrong = ResidualNet(1, right.blocks[:2], right.readout, checks=right.checks)
    certificate = wrong.certificate()
    assert not certificate["depth"].holds
    assert not certificate["alternating grid values"].holds
    chain = shallow_to_residual(ExactNet(rational_layers(3, (2, 6, 1))))
    moved = ResidualNet(2, chain.blocks, chain.readout, chain.constant + 1, checks=chain.checks)
    assert chain.certificate().holds
    assert not moved.certificate()["values equal"].holds


def test_shapes_are_checked() -> None:
    with pytest.raises(AllmlpError, match="state's length"):
        ResidualNet(1, [([1, 1], [1], 0)], [1])
    with pytest.raises(AllmlpError, match="depth 2"):
        shallow_to_residual(ExactNet(rational_layers(0, (2, 3, 3, 1))))
    with pytest.raises(AllmlpError, match="integer n of at least 1"):
        residual_sawtooth(0)
