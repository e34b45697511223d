import random
from fractions import Fraction
from typing import Any

import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.theory import (
    best_square,
    graph,
    polynomial_net,
    product_net,
    relu_interpolant,
    square_net,
    square_sizes,
)


@pytest.mark.parametrize(
    ("levels", "fold"), [(1, 2), (2, 2), (4, 2), (6, 2), (1, 9), (2, 5), (3, 3)]
)
def test_the_square_is_the_interpolant_on_all_cells(levels: int, fold: int) -> None:
    net = square_net(levels, fold)
    cells = fold**levels
    knots = [Fraction(i, cells) for i in range(cells + 1)]
    assert graph(net) == graph(relu_interpolant(knots, [x * x for x in knots]))
    certificate = net.certificate()
    assert certificate.holds
    assert certificate.error == Fraction(1, 4 * cells * cells)


def test_yarotskys_case_has_width_three_and_error_two_to_the_minus_2m_minus_2() -> None:
    for m in (1, 2, 4, 6):
        net = square_net(m)
        assert (net.width, net.depth) == (3 if m > 1 else 2, m + 1)
        assert net.certificate().error == Fraction(1, 2 ** (2 * m + 2))


@pytest.mark.parametrize("fold", [2, 3])
def test_products(fold: int) -> None:
    net = product_net(3, fold)
    assert net.certificate().holds
    rng = random.Random(fold)
    points = [[Fraction(rng.randrange(1001), 1000) for _ in range(2)] for _ in range(300)]
    bound = Fraction(2, 4 * fold**6)
    assert all(
        abs(g - x * y) <= bound and 0 <= g <= 1
        for g, (x, y) in zip(net.exact(points), points, strict=True)
    )


@pytest.mark.parametrize(
    "coefficients",
    [[0, 0, 1], [1, -2, 3], [Fraction(1, 3), -1, 2, Fraction(-5, 2), 1], [0, 0, 0, 0, 0, -7]],
)
@pytest.mark.parametrize(("levels", "fold"), [(1, 4), (4, 2), (3, 3)])
def test_polynomials(coefficients: Any, levels: int, fold: int) -> None:
    net = polynomial_net(coefficients, levels, fold)
    assert net.certificate().holds
    x = torch.linspace(0, 1, 101, dtype=torch.float64)
    with torch.no_grad():
        values = net.to_torch()(x[:, None])[:, 0]
    truth = sum(float(c) * x**k for k, c in enumerate(coefficients))
    promised = float(net.certificate().promised_error or 0)
    assert (values - truth).abs().max() <= promised + 1e-12


def test_sizes_are_those_of_the_networks_and_the_narrowest() -> None:
    error = Fraction(1, 5000)
    sizes = square_sizes(error)
    assert [size.levels for size in sizes] == list(range(1, len(sizes) + 1))
    for size in sizes:
        net = square_net(size.levels, size.fold)
        assert net.parameters == size.parameters
        assert net.certificate().error == size.error <= error
        if size.fold > 2:
            assert square_net(size.levels, size.fold - 1).certificate().error > error


@pytest.mark.parametrize("parameters", [7, 30, 150, 1000])
def test_no_other_depth_does_better_with_as_many_parameters(parameters: int) -> None:
    best = best_square(parameters)
    assert best.parameters <= parameters
    for levels in range(1, 200):
        for fold in range(2, 60):
            size = type(best)(levels, fold)
            assert size.parameters > parameters or size.error >= best.error


def test_depth_pays() -> None:
    shallow, *_, deep = square_sizes(1e-8)
    assert shallow.parameters > 50 * deep.parameters


def test_bad_sizes() -> None:
    with pytest.raises(AllmlpError, match="integer levels of at least 1"):
        square_net(0)
    with pytest.raises(AllmlpError, match="integer fold of at least 2"):
        product_net(2, 1)
    with pytest.raises(AllmlpError, match="affine"):
        polynomial_net([1, 2], 3)
    with pytest.raises(AllmlpError, match="smallest network has 7"):
        best_square(6)
    with pytest.raises(AllmlpError, match="between 0 and 1"):
        square_sizes(0.0)
