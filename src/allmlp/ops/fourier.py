"""Sines and cosines of whole multiples of the input.

Source: GistNoesis/FourierKAN. The multiples come from the addition theorem, one rotation at a time:
one sine and one cosine per input whatever the number of frequencies.

Axes: b any leading axes, i inputs, m = 2 * frequencies functions.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["harmonics"]


def harmonics(
    x: Float[Tensor, "*b i"], *, frequencies: int, order: int = 0
) -> Float[Tensor, "*b m i"]:
    """The `order`-th derivative of cos(n x), n = 1 ... frequencies, then of sin(n x).

    Shape:
        (..., i) -> (..., m, i); output dtype = input dtype.

    Example:
        >>> harmonics(torch.tensor([[0.0]]), frequencies=2)[0, :, 0]
        tensor([1., 1., 0., 0.])
    """
    cos, sin = x.cos(), x.sin()
    cosines, sines = [cos], [sin]
    for _ in range(frequencies - 1):
        c, s = cosines[-1], sines[-1]
        cosines.append(c * cos - s * sin)
        sines.append(s * cos + c * sin)
    # (cos, sin)' = n (-sin, cos): the pair turns by a quarter with every derivative
    turns = {0: (cosines, sines, 1, 1), 1: (sines, cosines, -1, 1)}
    first, second, plus, minus = turns[order % 2]
    sign = (-1) ** (order // 2)
    factors = [sign * math.pow(n, order) for n in range(1, frequencies + 1)]
    rows = [plus * f * row for f, row in zip(factors, first, strict=True)]
    rows += [minus * f * row for f, row in zip(factors, second, strict=True)]
    return torch.stack(rows, dim=-2)
