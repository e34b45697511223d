"""Orthogonal polynomials and Bernstein polynomials of a squashed input.

All but Bernstein's obey a recurrence p_{n+1} = (a_n z + b_n) p_n - c_n p_{n-1}, computed as it
stands: the arccos form of Chebyshev's polynomials has no gradient at |z| = 1, which tanh reaches
in float32 at x = 10. Differentiating the recurrence r times gives that of the r-th derivatives.

Sources: DLMF 18.9 (recurrences); SynodicMonth/ChebyKAN and IvanDrokin/torch-conv-kan for the bases
that are in use.
DIFF: torch-conv-kan's Gram recurrence has trainable coefficients; here it is that of the
orthonormal polynomials.

Axes: b any leading axes, i inputs, m = degree + 1 polynomials.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.ops.calculus import compose, tanh_derivative
from allmlp.ops.outside import continued

__all__ = ["POLYNOMIALS", "polynomials"]

POLYNOMIALS = ("bernstein", "chebyshev", "gram", "jacobi", "legendre")

# a_n, b_n, c_n
Step = tuple[float, float, float]


def polynomials(
    x: Float[Tensor, "*b i"],
    *,
    family: str,
    degree: int,
    squash: str | None = "tanh",
    outside: str = "zero",
    alpha: float = 1.0,
    beta: float = 1.0,
    order: int = 0,
) -> Float[Tensor, "*b m i"]:
    """The `order`-th derivative of the polynomials of degree 0 to `degree` of z.

    Args:
        x: where to evaluate.
        family: one of `POLYNOMIALS`. Gram's polynomials are orthonormal on degree + 1 evenly spaced
            points of [-1, 1]; Bernstein's live on the same interval.
        degree: d, at least 0 (1 for `gram`).
        squash: `tanh`, z = tanh(x); or None, z = x.
        outside: beyond [-1, 1] without a squash, as in `bspline_basis`; `zero` lets the polynomials
            grow.
        alpha: of Jacobi's polynomials, above -1.
        beta: of Jacobi's polynomials, above -1.
        order: of the derivative; 0 gives values.

    Shape:
        (..., i) -> (..., m, i); output dtype = input dtype.

    Example:
        >>> x = torch.tensor([[0.5]])
        >>> polynomials(x, family="chebyshev", degree=3, squash=None)[0, :, 0]
        tensor([ 1.0000,  0.5000, -0.5000, -1.0000])
    """

    def of_z(z: Tensor, order: int) -> Tensor:
        if family == "bernstein":
            return _bernstein(z, degree, order)
        return _recur(z, list(_steps(family, degree, alpha, beta)), order)

    if squash is None:
        one = x.new_ones(x.shape[-1])
        return continued(of_z, x, -one, one, outside, order)
    z = x.tanh()
    return compose(lambda n: of_z(z, n), lambda n: tanh_derivative(x, n).unsqueeze(-2), order)


def _recur(z: Tensor, steps: list[Step], order: int) -> Tensor:
    # rows[n][r] = p_n^(r):  p_{n+1}^(r) = (a z + b) p_n^(r) + r a p_n^(r-1) - c p_{n-1}^(r)
    zero, one = torch.zeros_like(z), torch.ones_like(z)
    before = [zero] * (order + 1)
    here = [one] + [zero] * order
    found = [here[order]]
    for a, b, c in steps:
        line = a * z + b
        after = [
            line * here[r] + (r * a * here[r - 1] if r else 0) - c * before[r]
            for r in range(order + 1)
        ]
        before, here = here, after
        found.append(here[order])
    return torch.stack(found, dim=-2)


def _steps(family: str, degree: int, alpha: float, beta: float) -> Iterator[Step]:
    for n in range(degree):
        if family == "chebyshev":
            yield (2.0 if n else 1.0), 0.0, 1.0
        elif family == "legendre":
            yield (2 * n + 1) / (n + 1), 0.0, n / (n + 1)
        elif family == "gram":
            yield _gram_step(n, degree)
        else:
            yield _jacobi_step(n, alpha, beta)


def _jacobi_step(n: int, alpha: float, beta: float) -> Step:
    # DLMF 18.9.2; n = 0 apart, where numerator and denominator may vanish together
    total = alpha + beta
    if n == 0:
        return (total + 2) / 2, (alpha - beta) / 2, 0.0
    k = 2 * n + total
    below = 2 * (n + 1) * (n + total + 1)
    return (
        (k + 1) * (k + 2) / below,
        (alpha**2 - beta**2) * (k + 1) / (below * k),
        2 * (n + alpha) * (n + beta) * (k + 2) / (below * k),
    )


def _gram_step(n: int, degree: int) -> Step:
    # Discrete Chebyshev polynomials on N = degree + 1 points z_j = -1 + 2 j / degree, made
    # orthonormal for the mean over the points: z p_n = g_{n+1} p_{n+1} + g_n p_{n-1},
    # g_n = n / degree sqrt((N^2 - n^2) / (4 n^2 - 1))  (Barnard et al. 1998, scaled to [-1, 1]).
    def norm(k: int) -> float:
        return k / degree * math.sqrt(((degree + 1) ** 2 - k**2) / (4 * k**2 - 1)) if k else 0.0

    return 1 / norm(n + 1), 0.0, norm(n) / norm(n + 1)


def _bernstein(z: Tensor, degree: int, order: int) -> Tensor:
    # C(d, j) t^j (1 - t)^(d-j), t = (1 + z) / 2; derivatives are differences of lower degrees
    if order > degree:
        return z.new_zeros(*z.shape[:-1], degree + 1, z.shape[-1])
    t, lower = (1 + z) / 2, degree - order
    powers, falls = [torch.ones_like(t)], [torch.ones_like(t)]
    for _ in range(lower):
        powers.append(powers[-1] * t)
        falls.append(falls[-1] * (1 - t))
    rows = [math.comb(lower, j) * powers[j] * falls[lower - j] for j in range(lower + 1)]
    for _ in range(order):
        zero = torch.zeros_like(t)
        rows = [low - high for low, high in pairwise([zero, *rows, zero])]
    # one factor 1/2 for each derivative, from t
    return math.perm(degree, order) / 2**order * torch.stack(rows, dim=-2)
