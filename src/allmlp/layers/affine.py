"""Scales and shifts per channel without statistics.

Axes: d width.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_integers

__all__ = ["Affine", "LayerScale"]


class Affine(nn.Module):
    """`alpha * x + beta` per channel: what is left of a LayerNorm without its statistics.

    Starts as the identity.

    Args:
        width: d.

    Shape:
        (..., d) -> (..., d).

    Raises:
        AllmlpError: `width` is no positive integer.

    Source: Touvron et al. 2021 (ResMLP), arXiv:2105.03404.

    Example:
        >>> Affine(2)(torch.ones(1, 2)).tolist()
        [[1.0, 1.0]]
    """

    def __init__(self, width: int):
        super().__init__()
        check_integers("Affine", minimum=1, width=width)
        self.alpha = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width))

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        return torch.addcmul(self.beta, x, self.alpha)

    def init_weights(self) -> None:
        """Become the identity again."""
        nn.init.ones_(self.alpha)
        nn.init.zeros_(self.beta)


class LayerScale(nn.Module):
    """Add a branch to the residual stream, scaled per channel: `x + gamma * branch`.

    The sum belongs to the layer because scale and sum then take one pass over memory.

    Args:
        width: d.
        start: every gamma at the start; small ones make a deep net start near the identity.

    Shape:
        (..., d), (..., d) -> (..., d).

    Raises:
        AllmlpError: `width` is no positive integer.

    Source: Touvron et al. 2021 (CaiT), arXiv:2103.17239.

    Example:
        >>> LayerScale(2, start=0.1)(torch.ones(1, 2), torch.ones(1, 2)).tolist()
        [[1.100000023841858, 1.100000023841858]]
    """

    def __init__(self, width: int, *, start: float):
        super().__init__()
        check_integers("LayerScale", minimum=1, width=width)
        self.start = start
        self.gamma = nn.Parameter(torch.full((width,), start))

    def forward(
        self, x: Float[Tensor, "*b d"], branch: Float[Tensor, "*b d"]
    ) -> Float[Tensor, "*b d"]:
        return torch.addcmul(x, branch, self.gamma)

    def init_weights(self) -> None:
        """Set every gamma back to `start`."""
        nn.init.constant_(self.gamma, self.start)

    def extra_repr(self) -> str:
        return f"width={len(self.gamma)}, start={self.start}"
