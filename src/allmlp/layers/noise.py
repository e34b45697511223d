"""Gaussian noise on the input while a network learns.

Axes: any.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError

__all__ = ["GaussianNoise"]


class GaussianNoise(nn.Module):
    """`x + std * n`, n standard normal and new at every call, in training mode; else `x`.

    Args:
        std: in units of x.

    Shape:
        any; dtype unchanged.

    Raises:
        AllmlpError: `std` is negative or no number.
    """

    def __init__(self, std: float):
        super().__init__()
        if not 0 <= std < float("inf"):
            raise AllmlpError(f"GaussianNoise needs a std of at least 0, got {std}")
        self.std = std

    def forward(self, x: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        if not self.training or self.std == 0:
            return x
        return x + self.std * torch.randn_like(x)

    def extra_repr(self) -> str:
        return f"std={self.std}"
