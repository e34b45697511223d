"""How many regions a ReLU network can have, from its sizes alone. All numbers are exact integers.

Axes: n_0 inputs, n_l units of hidden layer l.
"""

from collections.abc import Sequence
from functools import cache
from math import comb, prod

import numpy as np

from allmlp.errors import AllmlpError, check_integers

__all__ = [
    "hinz_upper",
    "least_upper",
    "montufar_lower",
    "montufar_upper",
    "patterns_upper",
    "serra_upper",
    "zaslavsky",
]


def zaslavsky(hyperplanes: int, dim: int) -> int:
    """The regions of n hyperplanes of R^d in general position, `Σ_{j <= d} C(n, j)`; else fewer.

    Source: Zaslavsky 1975.

    Example:
        >>> zaslavsky(16, 2)
        137
    """
    check_integers("zaslavsky", minimum=0, hyperplanes=hyperplanes, dim=dim)
    return sum(comb(hyperplanes, j) for j in range(dim + 1))


def patterns_upper(widths: Sequence[int]) -> int:
    """Every pattern of every unit, `2^(n_1 + … + n_L)`: true, and hopelessly large."""
    return 2 ** sum(_checked(1, widths))


def montufar_lower(inputs: int, widths: Sequence[int]) -> int:
    """A network of these sizes has at least so many regions: `folding_net` is one.

    `Π_{l < L} floor(n_l / n_0)^{n_0} · Σ_{j <= n_0} C(n_L, j)`, for n_l >= n_0.

    Source: Montúfar, Pascanu, Cho & Bengio 2014, arXiv:1402.1869, theorem 4.

    Raises:
        AllmlpError: a hidden layer before the last is narrower than the input.

    Example:
        >>> montufar_lower(2, (16, 16))
        8768
    """
    widths = _checked(inputs, widths)
    if min(widths[:-1], default=inputs) < inputs:
        raise AllmlpError(
            f"the bound needs hidden layers at least as wide as the {inputs} inputs, but they are "
            f"{widths}; widen them"
        )
    folds = prod((n // inputs) ** inputs for n in widths[:-1])
    return folds * zaslavsky(widths[-1], inputs)


def montufar_upper(inputs: int, widths: Sequence[int]) -> int:
    """No network of these sizes has more: `Π_l Σ_{j <= min(n_0, …, n_l)} C(n_l, j)`.

    Source: Montúfar 2017.

    Example:
        >>> montufar_upper(2, (2, 2, 2))
        64
    """
    total, smallest = 1, inputs
    for n in _checked(inputs, widths):
        smallest = min(smallest, n)
        total *= zaslavsky(n, smallest)
    return total


def serra_upper(inputs: int, widths: Sequence[int]) -> int:
    """No network of these sizes has more, counting how many dimensions survive each layer.

    `Σ Π_l C(n_l, j_l)` over all `j_l <= min(n_0, n_1 - j_1, …, n_{l-1} - j_{l-1}, n_l)`.

    Source: Serra, Tjandraatmadja & Ramalingam 2018, arXiv:1711.02114, theorem 1. For one input it
    is `Π (n_l + 1)`, which is attained for widths of 3 and more.

    Example:
        >>> serra_upper(2, (2, 2, 2)), serra_upper(1, (4, 4, 4))
        (30, 125)
    """
    widths = _checked(inputs, widths)

    @cache
    def rest(layer: int, dim: int) -> int:
        if layer == len(widths):
            return 1
        n = widths[layer]
        return sum(comb(n, j) * rest(layer + 1, min(dim, n - j)) for j in range(min(dim, n) + 1))

    return rest(0, inputs)


def hinz_upper(inputs: int, widths: Sequence[int]) -> int:
    """Serra's number as a product of matrices that act on histograms of image dimensions.

    A region whose image has dimension i is cut by n hyperplanes into at most C(n, j) regions on
    which n - j units are active, j <= i, so that the image keeps dimension min(i, n - j).

    Source: Hinz & van de Geer 2019, arXiv:1806.01918, with the histograms of Serra et al.
    """
    widths = _checked(inputs, widths)
    histogram = np.zeros(inputs + 1, dtype=object)
    histogram[inputs] = 1
    for n in widths:
        step = np.zeros((inputs + 1, inputs + 1), dtype=object)
        for i in range(inputs + 1):
            for j in range(min(i, n) + 1):
                step[min(i, n - j), i] += comb(n, j)
        histogram = step @ histogram
    return int(histogram.sum())


def least_upper(inputs: int, widths: Sequence[int], *, leaky: bool) -> int:
    """The best bound here: Serra's needs units that are 0 on one side, Montúfar's does not.

    Args:
        inputs: n_0.
        widths: n_1 … n_L.
        leaky: whether some units have a slope on both sides, so that images keep their dimension.
    """
    return montufar_upper(inputs, widths) if leaky else serra_upper(inputs, widths)


def _checked(inputs: int, widths: Sequence[int]) -> tuple[int, ...]:
    check_integers("a region bound", minimum=1, inputs=inputs)
    for i, n in enumerate(widths):
        check_integers("a region bound", minimum=1, **{f"widths[{i}]": n})
    return tuple(widths)
