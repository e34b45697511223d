"""Whether two runs differ by more than luck: the same images, answered by both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from scipy.stats import binomtest

__all__ = ["McNemar", "holm", "mcnemar"]


@dataclass(frozen=True)
class McNemar:
    """A paired comparison of two classifiers.

    Args:
        count: images that both answered.
        only_first: that the first alone has right.
        only_second: that the second alone has right.
        p: probability of a split at least as uneven if both were equally good.
    """

    count: int
    only_first: int
    only_second: int
    p: float


def mcnemar(first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " n"]) -> McNemar:
    """The exact, two-sided test on the images that one has right and the other wrong.

    Args:
        first: whether the first classifier has each image right.
        second: the same images for the second.

    Source: McNemar 1947; exact by the binomial law, as Dietterich 1998 recommends for few of them.

    Example:
        >>> mcnemar(np.array([True] * 9), np.array([True] * 4 + [False] * 5)).p
        0.0625
    """
    a, b = int((first & ~second).sum()), int((second & ~first).sum())
    p = float(binomtest(a, a + b).pvalue) if a + b else 1.0
    return McNemar(len(first), a, b, p)


def holm(values: Sequence[float]) -> list[float]:
    """The p values of several tests such that any below 0.05 may be believed.

    Source: Holm 1979.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[i]))
        adjusted[i] = largest
    return adjusted
