import random
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allmlp.errors import AllmlpError
from allmlp.theory import (
    PiecewiseLinear,
    graph,
    l1_distance,
    sawtooth,
    shallow_l1_bound,
    units_for_l1_error,
)


@pytest.mark.parametrize("n", range(1, 11))
def test_sizes_pieces_and_grid_values(n: int) -> None:
    net = sawtooth(n)
    assert (net.width, net.depth, net.parameters) == (2, n + 1, 6 * n + 1)
    assert graph(net).num_pieces == 2**n
    assert net.certificate().holds
    midpoints = [Fraction(2 * i + 1, 2 ** (n + 1)) for i in range(2**n)]
    assert set(net.exact(midpoints)) == {Fraction(1, 2)}


@pytest.mark.parametrize(("n", "pieces"), [(1, 3), (3, 10), (6, 66)])
def test_pieces_on_the_line(n: int, pieces: int) -> None:
    assert graph(sawtooth(n), -1, 2).num_pieces == pieces


def test_float64_is_exact_at_dyadic_points_for_fifty_iterates() -> None:
    rng = random.Random(0)
    x = [rng.randrange(2**52) / 2**52 for _ in range(200)]
    net = sawtooth(50)
    assert net.to_torch()(torch.tensor(x, dtype=torch.float64)[:, None])[:, 0].tolist() == [
        float(value) for value in net.exact(x)
    ]


@settings(deadline=None)
@given(
    n=st.integers(2, 6),
    cuts=st.sets(st.fractions(0, 1, max_denominator=64), max_size=20),
    seed=st.integers(0, 99),
)
def test_no_piecewise_linear_function_beats_the_bound(n: int, cuts: Any, seed: int) -> None:
    rng = random.Random(seed)
    knots = tuple(sorted({Fraction(0), Fraction(1), *cuts}))
    g = PiecewiseLinear(knots, tuple(Fraction(rng.randrange(-1, 4), 2) for _ in knots))
    assert l1_distance(graph(sawtooth(n)), g) >= shallow_l1_bound(n, g.num_pieces)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 5, 12, 20, 120, 2000])  # beyond float64 at the end
@pytest.mark.parametrize("error", [Fraction(0), Fraction(1, 17), Fraction(1, 16)])
def test_units_are_the_fewest_the_bound_allows(n: int, layers: Any, error: Fraction) -> None:
    units = units_for_l1_error(n, error, layers=layers)
    # in pieces, because the bound itself is cut off at 0
    needed = 2 ** (n + 2) * (Fraction(1, 8) - error) - 1
    assert (units + 1) ** layers > needed
    assert units == 0 or units**layers <= needed
    if units > 0 and error > 0:
        assert shallow_l1_bound(n, (units + 1) ** layers) < error
        assert shallow_l1_bound(n, units**layers) >= error


def test_one_layer_needs_exponentially_many() -> None:
    counts = [units_for_l1_error(n) for n in range(3, 30)]
    assert counts == [2 ** (n - 2) - 1 for n in range(3, 30)]
    assert all(b == 2 * a + 1 for a, b in pairwise(counts))


@pytest.mark.parametrize("n", [0, -1])
def test_bad_iterates(n: int) -> None:
    with pytest.raises(AllmlpError, match="integer n of at least 1"):
        sawtooth(n)


def test_the_bound_says_nothing_about_large_errors() -> None:
    with pytest.raises(AllmlpError, match="1/8"):
        units_for_l1_error(5, Fraction(1, 8))
