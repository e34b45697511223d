from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allmlp.errors import AllmlpError
from allmlp.theory import PolynomialLimit, alternation_points, polynomial_limit, relu_interpolant


def test_cubics_stay_an_eighth_away_from_the_absolute_value() -> None:
    limit = polynomial_limit(abs, [-1, Fraction(-1, 2), 0, Fraction(1, 2), 1])
    assert [16 * c for c in limit.weights] == [1, -4, 6, -4, 1]
    assert (limit.degree, limit.bound) == (3, Fraction(1, 8))
    assert limit.certificate().holds
    wrong = PolynomialLimit(limit.points, limit.weights[::-1][1:] + limit.weights[:1], limit.values)
    assert not wrong.certificate().holds
    # attained: |x| - x² lies in [0, 1/4]
    x = [Fraction(i, 100) for i in range(-100, 101)]
    assert max(abs(abs(t) - t * t - Fraction(1, 8)) for t in x) == Fraction(1, 8)


def test_two_relu_units_do_it_exactly() -> None:
    net = relu_interpolant([-1, 0, 1], [1, 0, 1])
    assert net.width == 2
    x = [Fraction(i, 50) for i in range(-50, 51)]
    assert list(net.exact(x)) == [abs(t) for t in x]


@settings(deadline=None)
@given(
    points=st.sets(st.fractions(-1, 1, max_denominator=40), min_size=2, max_size=8),
    coefficients=st.lists(st.fractions(-3, 3, max_denominator=9), min_size=8, max_size=8),
)
def test_no_polynomial_of_the_degree_comes_nearer(points: Any, coefficients: Any) -> None:
    limit = polynomial_limit(abs, sorted(points))
    assert limit.certificate().holds
    errors = [
        abs(abs(x) - sum(c * x**j for j, c in enumerate(coefficients[: limit.degree + 1])))
        for x in limit.points
    ]
    assert max(errors) >= limit.bound


@pytest.mark.parametrize("degree", [1, 2, 3, 6, 9, 12])
def test_alternation_gives_nearly_the_best_bound(degree: int) -> None:
    limit = polynomial_limit(abs, alternation_points(abs, degree))
    assert limit.degree >= degree
    # any polynomial gives an upper bound; Chebyshev interpolation is near the best
    nodes = np.cos(np.pi * (np.arange(degree + 2) + 0.5) / (degree + 2))
    x = np.linspace(-1, 1, 5001)
    fit = np.polynomial.Chebyshev.fit(nodes, np.abs(nodes), degree)
    assert 0 < limit.bound <= np.abs(fit(x) - np.abs(x)).max()
    assert limit.bound > Fraction(1, 5) / (limit.degree + 1)  # Bernstein: 0.28 / degree


def test_bad_points() -> None:
    with pytest.raises(AllmlpError, match="ascending"):
        polynomial_limit(abs, [0, 0])
