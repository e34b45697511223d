"""McNemar and Holm against scipy and by hand."""

import numpy as np
import pytest
from scipy.stats import binom

from allmlp.runs.compare import holm, mcnemar


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (5, 5), (9, 2), (40, 60)])
def test_mcnemar_is_the_exact_binomial_test(a: int, b: int) -> None:
    first = np.array([True] * a + [False] * b + [True] * 7 + [False] * 3)
    second = np.array([False] * a + [True] * b + [True] * 7 + [False] * 3)
    test = mcnemar(first, second)
    assert (test.count, test.only_first, test.only_second) == (a + b + 10, a, b)
    tail = 2 * binom.cdf(min(a, b), a + b, 0.5)
    assert test.p == pytest.approx(min(1, tail))
    assert mcnemar(second, first).p == pytest.approx(test.p)


def test_holm_is_monotone_and_never_above_bonferroni() -> None:
    p = [0.001, 0.5, 0.02, 0.9, 0.011]
    adjusted = holm(p)
    assert adjusted == pytest.approx([0.005, 1.0, 0.06, 1.0, 0.044])
    assert holm([]) == []
