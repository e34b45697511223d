"""Gated linear units: one half of the units, times an activation of the other.

Paper: Shazeer 2020, arXiv:2002.05202. With sigmoid this is GLU, with ReLU ReGLU, with GELU GEGLU,
with SiLU SwiGLU, with the identity the bilinear layer.
Axes: h units.
"""

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Gate", "matched_units"]


class Gate(nn.Module):
    """`value * activation(gate)`, where `value, gate` are the two halves of the input.

    Args:
        activation: of the gate.

    Shape:
        (..., 2 h) -> (..., h); dtype unchanged.

    Example:
        >>> import torch
        >>> Gate(nn.ReLU())(torch.tensor([[2.0, 3.0, -1.0, 4.0]])).tolist()
        [[0.0, 12.0]]
    """

    def __init__(self, activation: nn.Module):
        super().__init__()
        self.activation = activation

    def forward(self, x: Float[Tensor, "*b h2"]) -> Float[Tensor, "*b h"]:
        value, gate = x.chunk(2, dim=-1)
        return value * self.activation(gate)


def matched_units(units: int, share: float) -> int:
    """Gated units that cost about as many weights as `units` without a gate.

    Args:
        units: without a gate.
        share: 2/3 between two matrices, where gating makes three of them (arXiv:2002.05202, §2).

    Returns:
        The nearest multiple of 8, or the nearest integer below 32 units.

    Example:
        >>> matched_units(3072, 2 / 3), matched_units(16, 2 / 3)
        (2048, 11)
    """
    step = 8 if units >= 32 else 1
    return max(step * round(units * share / step), 1)
