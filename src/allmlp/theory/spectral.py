"""Universal approximation on a cube by ONE hidden layer: cosines, each a function of one number.

A product of cosines is a sum of cosines of integer combinations κ·x, and `cos(π t)` with
t = κ·x is interpolated by ReLUs of that one number.
"""

import itertools
import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

from allmlp.errors import AllmlpError
from allmlp.theory.certificate import Claim, Theorem
from allmlp.theory.exact_net import ExactNet
from allmlp.theory.sup_error import sup_on_cube

__all__ = ["cosine_series", "spectral_net"]

_THEOREM = Theorem(
    "Universal approximation on a cube by one hidden layer (cosine series)",
    "allmlp, docs/theory/approximation.md; existence: Cybenko 1989",
)

Wave = tuple[int, ...]


def cosine_series(
    coefficients: Mapping[Wave, float], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`Σ_k a_k Π_j cos(π k_j x_j)` at points of shape (n, d)."""
    total = np.zeros(len(points))
    for wave, a in coefficients.items():
        total += a * np.cos(np.pi * points * np.array(wave)).prod(axis=1)
    return total


def spectral_net(
    coefficients: Mapping[Wave, float], *, error: float, tail: float = 0.0
) -> ExactNet:
    """One hidden ReLU layer within `error + tail` of a cosine series on [0, 1]^d.

    A ridge `a cos(π κ·x)` on N units errs by at most `|a| π² h² / 8` with `h = |κ|_1 / N`. The
    N are chosen so that these sum to `error` with the fewest units: N_κ in proportion to
    `(|a_κ| |κ|_1²)^(1/3)`.

    Args:
        coefficients: a_k by frequency k, d non-negative integers each, of the even continuation
            of f: `f(x) = Σ a_k Π_j cos(π k_j x_j)`.
        error: of the ridges together, positive.
        tail: a bound on `Σ |a_k|` over the frequencies left out, part of the promise.

    Raises:
        AllmlpError: no coefficients, frequencies of different lengths or negative, or an error
            that is not positive.

    Example:
        >>> net = spectral_net({(1, 0): 1.0, (1, 2): 0.5}, error=0.01)
        >>> net.depth, net.certificate().holds
        (2, True)
    """
    if len({len(wave) for wave in coefficients}) != 1 or any(
        k < 0 for w in coefficients for k in w
    ):
        raise AllmlpError(
            "a cosine series needs frequencies of one length with entries >= 0, but got "
            f"{list(coefficients)[:5]}; write them as tuples such as (1, 0)"
        )
    if not 0 < error < math.inf or not 0 <= tail < math.inf:
        raise AllmlpError(
            f"the error must be positive and the tail at least 0, but they are {error} and {tail}; "
            "allow some error"
        )
    dim = len(next(iter(coefficients)))
    ridges = _ridges(coefficients)
    constant = ridges.pop((0,) * dim, 0.0)
    sizes = {wave: sum(map(abs, wave)) for wave in ridges}
    budget = sum((abs(a) * sizes[wave] ** 2) ** (1 / 3) for wave, a in ridges.items())
    factor = math.sqrt(math.pi**2 * budget / (8 * error))

    weight: list[list[int]] = []
    bias: list[Fraction] = []
    outer: list[Fraction] = []
    offset, promised = Fraction(constant), tail
    for wave, a in ridges.items():
        units = max(1, math.ceil(factor * (abs(a) * sizes[wave] ** 2) ** (1 / 3)))
        start, h = sum(k for k in wave if k < 0), Fraction(sizes[wave], units)
        knots = [start + i * h for i in range(units + 1)]
        values = [Fraction(a * math.cos(math.pi * float(t))) for t in knots]
        slopes = [(v - u) / h for u, v in itertools.pairwise(values)]
        weight += [list(wave)] * units
        bias += [-t for t in knots[:-1]]
        outer += [slopes[0], *(t - s for s, t in itertools.pairwise(slopes))]
        offset += values[0]
        promised += abs(a) * math.pi**2 * float(h) ** 2 / 8
    if not weight:  # a constant still is a network with a hidden layer
        weight, bias, outer = [[0] * dim], [Fraction(0)], [Fraction(0)]

    def checks(net: ExactNet) -> list[Claim]:
        slope = sum(abs(a) * math.pi * math.hypot(*wave) for wave, a in ridges.items())
        per_axis = max(2, int(2e4 ** (1 / dim)))
        module = net.to_torch()

        def gap(x: NDArray[np.float64]) -> NDArray[np.float64]:
            with torch.no_grad():
                values: NDArray[np.float64] = module(torch.from_numpy(x))[:, 0].numpy()
            return cosine_series(coefficients, x) - values

        # both the series and its interpolant have this slope at most
        bracket = sup_on_cube(gap, 2 * slope, dim, per_axis)
        return [
            Claim("error", bracket.found + tail, promised=promised, evidence="float64"),
            Claim("error, gaps covered", bracket.certified + tail, evidence="float64"),
            Claim("ridges", attained=len(ridges)),
        ]

    return ExactNet(
        [(weight, bias), ([outer], [offset])],
        theorem=_THEOREM,
        checks=[checks],
        notes=["the error is the largest at the points of a grid; the promise is a proof"],
    )


def _ridges(coefficients: Mapping[Wave, float]) -> dict[Wave, float]:
    """`Π_j cos(θ_j)` as the mean of `cos(Σ ± θ_j)` over all signs but that of the first angle."""
    ridges: dict[Wave, float] = {}
    for wave, a in coefficients.items():
        free = [j for j, k in enumerate(wave) if k][1:]
        for signs in itertools.product((1, -1), repeat=len(free)):
            signed = list(wave)
            for j, sign in zip(free, signs, strict=True):
                signed[j] *= sign
            ridges[tuple(signed)] = ridges.get(tuple(signed), 0.0) + a / 2 ** len(free)
    return {wave: a for wave, a in ridges.items() if a}
