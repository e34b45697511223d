"""Smooth activations and their derivatives of any order.

Axes: any.
"""

import math

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from allmlp.ops.calculus import gaussian_derivative, tanh_derivative

__all__ = ["ACTIVATIONS", "gelu", "identity", "silu"]


def silu(x: Float[Tensor, "*b"], *, order: int = 0) -> Float[Tensor, "*b"]:
    """The `order`-th derivative of x / (1 + exp(-x)), also known as swish.

    With s = sigmoid(x) it is x s^(n) + n s^(n-1), and s = (1 + tanh(x / 2)) / 2.
    """
    if order == 0:
        return F.silu(x)
    if order == 1:
        s = x.sigmoid()
        return s * (1 + x * (1 - s))
    return x * _sigmoid_derivative(x, order) + order * _sigmoid_derivative(x, order - 1)


def gelu(x: Float[Tensor, "*b"], *, order: int = 0) -> Float[Tensor, "*b"]:
    """The `order`-th derivative of x Φ(x), Φ the normal distribution function (the erf form).

    It is x Φ^(n) + n Φ^(n-1).
    """
    if order == 0:
        return F.gelu(x)
    previous = (1 + (x / math.sqrt(2)).erf()) / 2 if order == 1 else _normal(x, order - 1)
    return x * _normal(x, order) + order * previous


def identity(x: Float[Tensor, "*b"], *, order: int = 0) -> Float[Tensor, "*b"]:
    """The input itself, 1, and 0 from the second derivative on."""
    return x if order == 0 else x.new_full(x.shape, float(order == 1))


def _sigmoid_derivative(x: Tensor, order: int) -> Tensor:
    return tanh_derivative(x / 2, order) / 2 ** (order + 1)


def _normal(x: Tensor, order: int) -> Tensor:
    # derivatives of Φ, from the first on
    return gaussian_derivative(x, order - 1) / math.sqrt(2 * math.pi)


ACTIVATIONS = {"silu": silu, "gelu": gelu, "identity": identity}
