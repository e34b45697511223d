"""Bumps made of two ReLUs.

    B_j(x) = 16 / (end_j - start_j)^4 (relu(end_j - x) relu(x - start_j))^2

Paper: Qiu et al. 2024, ReLU-KAN, arXiv:2406.02075: no recursion, no exp, peaks of height 1.

Axes: b any leading axes, i inputs, m bumps.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.ops.outside import continued

__all__ = ["relu_bumps"]


def relu_bumps(
    x: Float[Tensor, "*b i"],
    starts: Float[Tensor, "m i"],
    ends: Float[Tensor, "m i"],
    *,
    k: int,
    outside: str = "zero",
    order: int = 0,
) -> Float[Tensor, "*b m i"]:
    """The `order`-th derivative of every bump at every x.

    Args:
        x: where to evaluate.
        starts: where the bumps of each input begin to differ from 0.
        ends: where they cease to, above `starts`.
        k: how many bumps begin before the grid does.
        outside: beyond the grid, [starts[k], ends[-k-1]], as in `bspline_basis`; `zero` leaves the
            bumps as they are.
        order: of the derivative; 0 gives values.

    Shape:
        (..., i) -> (..., m, i); output dtype = input dtype.
    """
    half = (ends - starts) / 2
    middle = (ends + starts) / 2

    def inside(x: Tensor, order: int) -> Tensor:
        # with v in [-1, 1] on the bump: (1 - v^2)^2 = 1 - 2 v^2 + v^4
        v = (x.unsqueeze(-2) - middle) / half
        value = torch.zeros_like(v)
        for p in range(4, order - 1, -1):
            value = value * v + math.perm(p, order) * (1, 0, -2, 0, 1)[p]
        value = value / half**order
        return torch.where(v.abs() > 1, torch.zeros_like(v), value)

    return continued(inside, x, starts[k], ends[-k - 1], outside, order)
