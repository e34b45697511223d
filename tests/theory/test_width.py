import random
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allmlp.errors import AllmlpError
from allmlp.theory import (
    ExactNet,
    minimal_widths,
    monotone_limit,
    on_segment,
    pyramid_net,
    shallow_to_narrow,
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


@pytest.mark.parametrize(("dim", "units"), [(1, 5), (2, 7), (3, 9)])
def test_shallow_and_narrow_agree_exactly(dim: int, units: int) -> None:
    wide = ExactNet(rational_layers(dim, (dim, units, 1)))
    narrow = shallow_to_narrow(wide, radius=2)
    assert (narrow.width, narrow.depth) == (dim + 2, units + 2)
    rng = random.Random(dim)
    points = [[Fraction(rng.randrange(-200, 201), 100) for _ in range(dim)] for _ in range(100)]
    assert list(narrow.exact(points)) == list(wide.exact(points))
    assert narrow.certificate().holds


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 5))
def test_width_one_is_monotone_along_every_line(seed: int, depth: int) -> None:
    net = ExactNet(rational_layers(seed, (3, *[1] * depth, 1)))
    rng = random.Random(seed)
    start, end = ([Fraction(rng.randrange(-9, 10)) for _ in range(3)] for _ in range(2))
    values = on_segment(net, start, end).exact([Fraction(i, 20) for i in range(21)])
    steps = [b - a for a, b in pairwise(values)]
    assert all(s >= 0 for s in steps) or all(s <= 0 for s in steps)
    # so three collinear points labelled 0, 1, 0 stay half a label away
    assert max(abs(v - y) for v, y in zip(values[::10], (0, 1, 0), strict=True)) >= monotone_limit(
        [0, 1, 0]
    )


def test_a_wrong_conversion_breaks_its_certificate() -> None:
    narrow = shallow_to_narrow(ExactNet(rational_layers(2, (2, 5, 1))), radius=2)
    *hidden, (rows, bias) = narrow.layers
    moved = ExactNet([*hidden, (rows, [bias[0] + 1])], checks=narrow.checks)
    assert not moved.certificate()["values equal"].holds


@settings(deadline=None)
@given(values=st.lists(st.integers(-5, 5), min_size=1, max_size=8))
def test_the_monotone_limit_is_attained(values: Any) -> None:
    limit = monotone_limit(values)
    # midway between the running maximum and the later minimum is the nearest increasing sequence
    rising = [Fraction(max(values[: i + 1]) + min(values[i:]), 2) for i in range(len(values))]
    falling = [Fraction(min(values[: i + 1]) + max(values[i:]), 2) for i in range(len(values))]
    errors = [
        max(abs(a - b) for a, b in zip(fit, values, strict=True)) for fit in (rising, falling)
    ]
    assert min(errors) == limit


def test_the_pyramid() -> None:
    assert pyramid_net().certificate().holds


def test_minimal_widths_carry_their_norm() -> None:
    rows = {(row.space, row.activation): row for row in minimal_widths(3, 1)}
    assert rows["L^p on the unit cube", "ReLU-like"].upper == 3
    assert rows["L^p on R^d", "ReLU"].lower == 4
    assert rows["uniform on compacts", "ReLU"].lower == 4
    assert all(row.upper is None or row.lower <= row.upper for row in minimal_widths(2, 4))
    uniform = {dims: minimal_widths(*dims)[-1] for dims in ((3, 4), (3, 2), (3, 7), (1, 2))}
    assert {dims: (row.lower, row.upper) for dims, row in uniform.items()} == {
        (3, 4): (5, 7),
        (3, 2): (4, 5),
        (3, 7): (7, 10),
        (1, 2): (3, 3),
    }


def test_bad_arguments() -> None:
    with pytest.raises(AllmlpError, match="depth 2"):
        shallow_to_narrow(ExactNet(rational_layers(0, (2, 3, 3, 1))), radius=1)
    with pytest.raises(AllmlpError, match="integer dim_in of at least 1"):
        minimal_widths(0, 1)
