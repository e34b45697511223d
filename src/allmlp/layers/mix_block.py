"""The block of pyramids that mix maps: places first, channels second.

Axes: b batch, h w rows and columns, d width.
"""

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.layers.drop_path import DropPath
from allmlp.layers.hooked import hooked
from allmlp.layers.mlp import Mlp

__all__ = ["MixBlock"]


class MixBlock(nn.Module):
    """Pre-norm residual mixing of places, then an MLP over channels.

    Args:
        width: d.
        mix: (b, h, w, d) -> (b, h, w, d), mixes places.
        channel_mlp: (..., d) -> (..., d), mixes channels.
        drop_path_rate: probability that a sample skips a branch, in [0, 1).

    Shape:
        (b, h, w, d) -> (b, h, w, d); dtype unchanged.

    Example:
        >>> import torch
        >>> block = MixBlock(width=4, mix=nn.Identity(), channel_mlp=Mlp(4, 8))
        >>> block(torch.zeros(1, 2, 3, 4)).shape
        torch.Size([1, 2, 3, 4])
    """

    def __init__(
        self, *, width: int, mix: nn.Module, channel_mlp: nn.Module, drop_path_rate: float = 0.0
    ):
        super().__init__()
        self.mix_norm = nn.LayerNorm(width)
        self.mix = mix
        self.channel_norm = nn.LayerNorm(width)
        self.channel_mlp = channel_mlp
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Float[Tensor, "b h w d"]) -> Float[Tensor, "b h w d"]:
        x = x + self.drop_path(self.mix(self.mix_norm(x)))
        normed, mlp = self.channel_norm(x), self.channel_mlp
        dropped = self.training and self.drop_path.rate > 0
        if isinstance(mlp, Mlp) and not dropped and not hooked(self.drop_path):
            return mlp.join(x, normed)
        return x + self.drop_path(mlp(normed))
