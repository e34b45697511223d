from typing import Any

import numpy as np
import pytest

from allmlp.errors import AllmlpError
from allmlp.theory import inner_functions, superpose


def smooth(x: Any) -> Any:
    return np.sin(3 * x[:, 0]) * np.cos(2 * x[:, 1]) + x[:, 0] * x[:, 1]


def test_inner_functions_increase_and_gaps_of_two_families_never_meet() -> None:
    inner = inner_functions((6, 120), families=5)
    t = np.linspace(0, 1, 20_001)
    gaps = np.zeros(len(t), dtype=int)
    for q in range(5):
        assert (np.diff(inner(q, t)) >= 0).all()
        stair = inner.stair(0, q, t)
        gaps += stair != np.floor(stair)
    assert gaps.max() == 1


@pytest.mark.parametrize("cells", [(6,), (5, 100), (2, 40, 800)])
def test_plateaus_of_different_squares_are_disjoint(cells: Any) -> None:
    inner = inner_functions(cells, families=5)
    sums = superpose(smooth, inner, samples=500)
    for rounds in sums.knots:
        for positions, _ in rounds:
            assert (np.diff(positions) >= 0).all()
            assert (np.diff(positions)[1::2] > 0).all()  # from one plateau to the next


def test_errors_fall_and_keep_the_bound_of_each_round() -> None:
    sums = superpose(smooth, inner_functions((6, 300), families=9))
    assert sums.certificate().holds
    first, second, third = sums.errors
    assert second < first / 2
    assert third < second
    # fresh points: the measured error is a maximum over 20,000 others, which misses a little
    x = np.random.default_rng(9).uniform(size=(5000, 2))
    assert np.abs(sums(x) - smooth(x)).max() <= 1.2 * third


def test_five_families_reduce_the_error_by_a_third() -> None:
    sums = superpose(smooth, inner_functions((10,), families=5))
    assert sums.certificate().holds
    assert sums.errors[1] < 0.75 * sums.errors[0]


def test_the_inner_functions_know_nothing_of_f() -> None:
    inner = inner_functions((5, 180))
    one, other = (superpose(f, inner, samples=200) for f in (smooth, lambda x: x[:, 0] - x[:, 1]))
    for a, b in zip(one.knots, other.knots, strict=True):
        for (at, _), (bt, _) in zip(a, b, strict=True):
            assert (at == bt).all()


@pytest.mark.parametrize(
    ("cells", "families", "message"),
    [
        ((6, 60), 4, "at least 5"),
        ((60, 6), 5, "ascending"),
        ((10, 1000, 100_000), 5, "float64"),
        ((6, 60), 5, "times finer"),
    ],
)
def test_bad_grids(cells: Any, families: int, message: str) -> None:
    with pytest.raises(AllmlpError, match=message):
        inner_functions(cells, families=families)
