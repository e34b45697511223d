import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allmlp.errors import AllmlpError
from allmlp.theory import (
    folding_net,
    hinz_upper,
    montufar_lower,
    montufar_upper,
    patterns_upper,
    serra_upper,
    zaslavsky,
)


def arrangement(planes: Any, dim: int) -> int:
    """Regions of hyperplanes by deletion and restriction, in rationals."""
    distinct: dict[Any, None] = {}
    for a, c in planes:
        if any(a):
            p = next(x for x in a if x)
            distinct[tuple(x / p for x in a), c / p] = None
    if not distinct:
        return 1
    if dim == 1:
        return len(distinct) + 1
    (a, c), *rest = distinct
    k = next(i for i, x in enumerate(a) if x)
    restricted = [
        (tuple(b[i] - b[k] / a[k] * a[i] for i in range(dim) if i != k), e - b[k] / a[k] * c)
        for b, e in rest
    ]
    return arrangement(rest, dim) + arrangement(restricted, dim - 1)


@pytest.mark.parametrize(("n", "dim"), [(6, 2), (7, 3), (8, 4), (2, 3), (0, 2)])
def test_zaslavsky_is_deletion_and_restriction(n: int, dim: int) -> None:
    rng = random.Random(n)
    planes = [
        (tuple(Fraction(rng.randrange(-99, 100)) for _ in range(dim)), rng.randrange(-99, 100))
        for _ in range(n)
    ]
    assert arrangement(planes, dim) == zaslavsky(n, dim)


# docs/theory/regions.md
@pytest.mark.parametrize(
    ("widths", "lower", "serra", "upper"),
    [
        ((16,), 137, 137, 137),
        ((8, 8), 592, 1369, 1369),
        ((16, 16), 8768, 18_769, 18_769),
        ((64, 64, 64), 2_182_086_656, 9_011_897_441, 9_011_897_441),
        ((2, 2, 2), 4, 30, 64),
    ],
)
def test_known_bounds_of_the_plane(widths: Any, lower: int, serra: int, upper: int) -> None:
    assert montufar_lower(2, widths) == lower
    assert serra_upper(2, widths) == serra
    assert montufar_upper(2, widths) == upper


def test_one_input_has_a_product() -> None:
    assert serra_upper(1, (4, 4, 4)) == 125 != 4**3


@settings(deadline=None, max_examples=300)
@given(inputs=st.integers(1, 6), widths=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_the_bounds_are_ordered_and_hinz_is_serra(inputs: int, widths: Any) -> None:
    serra = serra_upper(inputs, widths)
    assert hinz_upper(inputs, widths) == serra
    assert serra <= montufar_upper(inputs, widths)
    assert serra <= patterns_upper(widths)
    if min(widths[:-1], default=inputs) >= inputs:
        assert montufar_lower(inputs, widths) <= serra


@pytest.mark.parametrize(
    ("inputs", "widths"),
    [(1, (3, 4, 5)), (2, (4, 5)), (2, (5, 4, 6)), (2, (8, 8)), (3, (3, 4)), (2, (2, 1))],
)
def test_folding_attains_the_lower_bound(inputs: int, widths: Any) -> None:
    certificate = folding_net(inputs, widths).certificate()
    assert certificate["activation regions"].attained == montufar_lower(inputs, widths)
    assert certificate.holds


def test_bad_sizes() -> None:
    with pytest.raises(AllmlpError, match="at least as wide"):
        folding_net(3, (2, 4))
    with pytest.raises(AllmlpError, match=r"widths\[1\] of at least 1"):
        serra_upper(2, (3, 0))
    with pytest.raises(AllmlpError, match="inputs of at least 1"):
        montufar_upper(0, (3,))
