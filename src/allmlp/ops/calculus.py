"""Derivatives of any order of the functions that bases are made of, without autograd.

Every basis states its own derivatives, so that a layer can be differentiated as often as a
differential equation asks for while it saves nothing but its input.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["compose", "gaussian_derivative", "tanh_derivative"]


def tanh_derivative(x: Float[Tensor, "*b"], order: int) -> Float[Tensor, "*b"]:
    """The `order`-th derivative of tanh: a polynomial in t = tanh(x), since t' = 1 - t^2.

    From the first on it is divided by 1 - t^2 = 1 / cosh(x)^2, which is computed without
    cancellation, so that the tails keep their digits.
    """
    t = x.tanh()
    if order == 0:
        return t
    # 4 e / (1 + e)^2 with e = exp(-2|x|)
    decay = (-2 * x.abs()).exp()
    slope = 4 * decay / (1 + decay).square()
    return slope * _horner(_tanh_polynomial(order), t)


def _tanh_polynomial(order: int) -> list[int]:
    # q with tanh^(n) = (1 - t^2) q(t);  q_1 = 1,  q_{n+1} = (1 - t^2) q_n' - 2 t q_n
    q = [1]
    for _ in range(order - 1):
        slope = [p * c for p, c in enumerate(q)][1:]
        new = [0] * (len(q) + 1)
        for p, c in enumerate(slope):
            new[p] += c
            new[p + 2] -= c
        for p, c in enumerate(q):
            new[p + 1] -= 2 * c
        q = new
    return q


def gaussian_derivative(u: Float[Tensor, "*b"], order: int) -> Float[Tensor, "*b"]:
    """The `order`-th derivative of exp(-u^2 / 2): (-1)^n He_n(u) exp(-u^2 / 2).

    Source: Abramowitz and Stegun 22.11.8 (He_n are the probabilists' Hermite polynomials).
    """
    previous, hermite = torch.zeros_like(u), torch.ones_like(u)
    for n in range(order):
        previous, hermite = hermite, u * hermite - n * previous
    return (-1) ** order * hermite * (-u.square() / 2).exp()


def compose(outer: Callable[[int], Tensor], inner: Callable[[int], Tensor], order: int) -> Tensor:
    """The `order`-th derivative of f(g(x)), by Faà di Bruno's formula.

    Args:
        outer: n -> f^(n) at g(x).
        inner: n -> g^(n) at x, asked for n >= 1 only.
        order: at least 0.
    """
    if order == 0:
        return outer(0)
    slopes = [inner(n) for n in range(1, order + 1)]
    # partial Bell polynomials: B_{n,j} = sum_i C(n-1, i-1) g^(i) B_{n-i,j-1}
    bell: dict[tuple[int, int], Tensor] = {}
    for j in range(1, order + 1):
        for n in range(j, order + 1):
            terms = [slopes[n - 1]] if j == 1 else []
            if j > 1:
                terms = [
                    math.comb(n - 1, i - 1) * slopes[i - 1] * bell[n - i, j - 1]
                    for i in range(1, n - j + 2)
                ]
            bell[n, j] = torch.stack(terms).sum(0) if len(terms) > 1 else terms[0]
    return sum((outer(j) * bell[order, j] for j in range(2, order + 1)), outer(1) * bell[order, 1])


def _horner(coefficients: list[int], x: Tensor) -> Tensor:
    value = torch.full_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        value = value * x + c
    return value
