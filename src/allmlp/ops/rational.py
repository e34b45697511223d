"""Rational functions P(x) / Q(x) with coefficients per group of channels.

Two denominators are in use, and the coefficients of one are not those of the other:
- `abs_sum`:  Q = 1 + |b_1 x + ... + b_n x^n|   (safe Padé; what released starts were fitted for)
- `sum_abs`:  Q = 1 + |b_1 x| + ... + |b_n x^n|  (what KAT's kernels compute)

Papers: Molina et al. 2020, Padé Activation Units, arXiv:1907.06732; Yang and Wang 2024,
Kolmogorov-Arnold Transformer, arXiv:2409.10594.

Axes: b any leading axes, d channels, g groups, p numerator and q denominator coefficients.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["DENOMINATORS", "rational"]

DENOMINATORS = ("abs_sum", "sum_abs")


def rational(
    x: Float[Tensor, "*b d"],
    numerator: Float[Tensor, "g p"],
    denominator: Float[Tensor, "g q"],
    *,
    form: str,
    order: int = 0,
) -> Float[Tensor, "*b d"]:
    """The `order`-th derivative of P / Q, channels sharing coefficients in g equal groups.

    Args:
        x: where to evaluate; channel c belongs to group c // (d / g).
        numerator: coefficients of 1, x, ..., x^(p-1).
        denominator: coefficients of x, ..., x^q.
        form: one of `DENOMINATORS`.
        order: of the derivative; 0 gives values.

    Shape:
        (..., d) -> (..., d); output dtype = input dtype.

    Example:
        >>> one, x = torch.ones(1, 1), torch.tensor([[-2.0]])
        >>> rational(x, one, one, form="sum_abs")
        tensor([[0.3333]])
    """
    groups = denominator.shape[0]
    z = x.unflatten(-1, (groups, -1))
    above = [_polynomial(z, numerator, r) for r in range(order + 1)]
    ones = denominator.new_zeros(groups, 1)
    if form == "abs_sum":
        inner = torch.cat([ones, denominator], dim=1)
        sign = _polynomial(z, inner, 0).sign()
        below = [sign * _polynomial(z, inner, r) for r in range(order + 1)]
    else:
        # the absolute values of all terms are a polynomial in |x|; each derivative turns the sign
        inner = torch.cat([ones, denominator.abs()], dim=1)
        size, sign = z.abs(), z.sign()
        below = [sign**r * _polynomial(size, inner, r) for r in range(order + 1)]
    below[0] = 1 + below[0]
    # Q y = P, differentiated n times: y^(n) = (P^(n) - sum_r C(n, r) Q^(r) y^(n-r)) / Q
    found: list[Tensor] = []
    for n in range(order + 1):
        rest = above[n]
        for r in range(1, n + 1):
            rest = rest - math.comb(n, r) * below[r] * found[n - r]
        found.append(rest / below[0])
    return found[order].flatten(-2)


def _polynomial(
    z: Float[Tensor, "*b g c"], coefficients: Float[Tensor, "g p"], order: int
) -> Float[Tensor, "*b g c"]:
    value = torch.zeros_like(z)
    for p in range(coefficients.shape[1] - 1, order - 1, -1):  # Horner
        value = value * z + math.perm(p, order) * coefficients[:, p, None]
    return value
