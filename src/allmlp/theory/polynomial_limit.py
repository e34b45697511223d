"""Why the activation must not be a polynomial: a bound that no width can beat.

With a polynomial activation of degree k every network of one hidden layer is a polynomial of
degree at most k, however wide. A signed measure on finitely many points that annihilates all
such polynomials but not f keeps every one of them away from f.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np

from allmlp.errors import AllmlpError
from allmlp.theory.certificate import Certificate, Claim, Theorem
from allmlp.theory.exact_net import Rational

__all__ = ["PolynomialLimit", "alternation_points", "polynomial_limit"]

_THEOREM = Theorem(
    "A polynomial activation is not universal (necessity)",
    "Leshno, Lin, Pinkus & Schocken 1993; certificate: allmlp, docs/theory/approximation.md",
)


@dataclass(frozen=True)
class PolynomialLimit:
    """Every polynomial of degree at most `degree` is at least `bound` away from f.

    Args:
        points: x_0 < … < x_{degree+1}.
        weights: c with `Σ c_i x_i^j = 0` for all j up to the degree, `Σ |c_i| = 1`.
        values: f(x_i).
    """

    points: tuple[Fraction, ...]
    weights: tuple[Fraction, ...]
    values: tuple[Fraction, ...]

    @property
    def degree(self) -> int:
        """Of the polynomials that are kept away."""
        return len(self.points) - 2

    @property
    def bound(self) -> Fraction:
        """`|Σ c_i f(x_i)| / Σ |c_i|`: for a polynomial p, `Σ c_i (f - p)(x_i)` is the same sum."""
        total = sum((c * y for c, y in zip(self.weights, self.values, strict=True)), Fraction(0))
        return abs(total) / sum(abs(c) for c in self.weights)

    def certificate(self) -> Certificate:
        """Recomputes every annihilated moment, in rationals."""
        moments = [
            sum((c * x**j for c, x in zip(self.weights, self.points, strict=True)), Fraction(0))
            for j in range(self.degree + 1)
        ]
        vanishing = sum(moment == 0 for moment in moments)
        return Certificate(
            _THEOREM,
            (
                Claim("degree", attained=self.degree),
                Claim("vanishing moments", vanishing, promised=self.degree + 1, relation="=="),
                Claim("sup error of any width, at least", self.bound),
            ),
        )


def polynomial_limit(
    f: Callable[[Fraction], Rational], points: Sequence[Rational]
) -> PolynomialLimit:
    """The bound that divided differences on the given points give, exactly.

    Args:
        f: takes and returns rationals.
        points: k + 2 of them for polynomials of degree k, ascending.

    Raises:
        AllmlpError: fewer than two points, or points that do not ascend.

    Example:
        >>> limit = polynomial_limit(abs, [-1, Fraction(-1, 2), 0, Fraction(1, 2), 1])
        >>> limit.degree, limit.bound  # attained by x² + 1/8
        (3, Fraction(1, 8))
    """
    nodes = [Fraction(x) for x in points]
    if len(nodes) < 2 or any(b <= a for a, b in pairwise(nodes)):
        raise AllmlpError(
            f"the bound needs two or more ascending points, but got {list(map(str, nodes))}; "
            "sort them and drop duplicates"
        )
    weights = []
    for i, x in enumerate(nodes):
        weight = Fraction(1)
        for j, other in enumerate(nodes):
            if j != i:
                weight /= x - other
        weights.append(weight)
    total = sum(abs(weight) for weight in weights)
    return PolynomialLimit(
        tuple(nodes),
        tuple(weight / total for weight in weights),
        tuple(Fraction(f(x)) for x in nodes),
    )


def alternation_points(
    f: Callable[[Fraction], Rational], degree: int, *, low: Rational = -1, high: Rational = 1
) -> list[Fraction]:
    """Points near those where the best polynomial's error alternates, for `polynomial_limit`.

    Remez' exchange on a grid of 4,001 points. The points only make the bound good: that it holds
    is checked in rationals afterwards, whatever they are.

    Args:
        f: takes and returns rationals.
        degree: of the polynomials, at least 0.
        low: left end.
        high: right end.

    Returns:
        degree + 2 points; one more where these give the larger bound, as for even functions and
        even degrees, whose best polynomial has a lower degree.

    Example:
        >>> limit = polynomial_limit(abs, alternation_points(abs, 9))
        >>> 0.02 < limit.bound < 0.04  # Bernstein: about 0.28 / degree
        True
    """
    candidates = [_exchange(f, k, Fraction(low), Fraction(high)) for k in (degree, degree + 1)]
    return max(candidates, key=lambda points: polynomial_limit(f, points).bound)


def _exchange(
    f: Callable[[Fraction], Rational], degree: int, low: Fraction, high: Fraction
) -> list[Fraction]:
    cells = 4000
    grid = [low + (high - low) * i / cells for i in range(cells + 1)]
    target = np.array([float(f(x)) for x in grid])
    scaled = np.linspace(-1.0, 1.0, cells + 1)
    chebyshev = -np.cos(np.pi * np.arange(degree + 2) / (degree + 1))
    chosen = np.round((chebyshev + 1) / 2 * cells).astype(int)
    signs = (-1.0) ** np.arange(degree + 2)
    for _ in range(50):
        system = np.column_stack(
            [np.polynomial.chebyshev.chebvander(scaled[chosen], degree), signs]
        )
        coefficients = np.linalg.solve(system, target[chosen])[:-1]
        residual = target - np.polynomial.chebyshev.chebval(scaled, coefficients)
        # one extremum of every run of equal sign
        starts = np.flatnonzero(np.diff(np.signbit(residual))) + 1
        runs = np.split(np.arange(cells + 1), starts)
        peaks = np.array([run[np.argmax(np.abs(residual[run]))] for run in runs])
        while len(peaks) > degree + 2:  # drop the smaller end
            ends = np.abs(residual[peaks[[0, -1]]])
            peaks = peaks[1:] if ends[0] < ends[1] else peaks[:-1]
        if len(peaks) < degree + 2 or np.array_equal(peaks, chosen):
            break
        chosen = peaks
    return [grid[i] for i in chosen]
