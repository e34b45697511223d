import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allmlp.errors import AllmlpError
from allmlp.theory import sup_on_cube, sup_on_interval


@settings(deadline=None)
@given(a=st.floats(0.1, 30), phase=st.floats(0, 6))
def test_the_bracket_holds_the_supremum_of_a_sine(a: Any, phase: Any) -> None:
    bracket = sup_on_interval(lambda x: np.sin(a * x + phase), a, -1.0, 1.0)
    inside = math.floor((a + phase - math.pi / 2) / math.pi) >= math.ceil(
        (-a + phase - math.pi / 2) / math.pi
    )
    truth = 1.0 if inside else max(abs(math.sin(a + phase)), abs(math.sin(-a + phase)))
    assert bracket.found <= truth + 1e-12
    assert bracket.certified >= truth - 1e-12
    assert bracket.certified <= 1.011 * bracket.found + 1e-9


def test_a_needle_between_samples_cannot_hide() -> None:
    # height 1e-4 and slope 1, narrower than the first grid
    bracket = sup_on_interval(lambda x: np.maximum(1e-4 - np.abs(x - 0.123456), 0), 1.0, 0.0, 1.0)
    assert bracket.found >= 0.99e-4


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_cube(dim: int) -> None:
    bracket = sup_on_cube(lambda x: x.sum(axis=1), math.sqrt(dim), dim, per_axis=20)
    assert bracket.found <= dim <= bracket.certified + 1e-12


def test_a_grid_too_large() -> None:
    with pytest.raises(AllmlpError, match="fewer cells"):
        sup_on_cube(lambda x: x[:, 0], 1.0, 10, per_axis=100)
