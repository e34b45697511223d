"""Pooling by a class token that reads all patches by linear maps.

Paper: Touvron et al. 2021 (ResMLP), arXiv:2105.03404, §2 and table 3.
Axes: b batch, n tokens, d width.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.layers.norm import norm_factory
from allmlp.layers.token_linear import TokenLinear

__all__ = ["ClassMlpLayer", "ClassMlpPool"]

AFFINE = norm_factory("affine")


class ClassMlpLayer(nn.Module):
    """A class token reads itself and all patches by one linear map, then passes an MLP.

    The patches stay as they are: CaiT's class attention with a linear map for the attention. The
    paper describes this in words and no code was published: that one Aff serves class token and
    patches, and that the class token comes first, is our reading, with the paper's number of
    parameters.

    Args:
        num_tokens: n, patches.
        width: d.
        channel_mlp: (..., d) -> (..., d).
        residual: from the width to what joins token and branch.
        norm: from the width to a norm over channels.

    Shape:
        class token (b, 1, d), patches (b, n, d) -> class token (b, 1, d); dtype unchanged.
    """

    def __init__(
        self,
        *,
        num_tokens: int,
        width: int,
        channel_mlp: nn.Module,
        residual: Callable[[int], nn.Module],
        norm: Callable[[int], nn.Module] = AFFINE,
    ):
        super().__init__()
        self.token_norm = norm(width)
        self.token_linear = TokenLinear(1 + num_tokens, 1)  # the class token first
        self.token_residual = residual(width)
        self.channel_norm = norm(width)
        self.channel_mlp = channel_mlp
        self.channel_residual = residual(width)

    def forward(
        self, token: Float[Tensor, "b 1 d"], patches: Float[Tensor, "b n d"]
    ) -> Float[Tensor, "b 1 d"]:
        read = self.token_linear(self.token_norm(torch.cat([token, patches], dim=1)))
        token = self.token_residual(token, read)
        return self.channel_residual(token, self.channel_mlp(self.channel_norm(token)))


class ClassMlpPool(nn.Module):
    """A learned class token after `layers`, instead of the mean over tokens.

    Args:
        layers: `ClassMlpLayer`s.
        width: d.

    Shape:
        (b, n, d) -> (b, d); dtype unchanged.
    """

    def __init__(self, layers: Sequence[nn.Module], *, width: int):
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(width))
        self.layers = nn.ModuleList(layers)

    def forward(self, patches: Float[Tensor, "b n d"]) -> Float[Tensor, "b d"]:
        token = self.class_token.repeat(patches.shape[0], 1, 1)
        for layer in self.layers:
            token = layer(token, patches)
        return token[:, 0]

    def init_weights(self) -> None:
        """Draw the class token anew, normal of std 0.02 as in CaiT."""
        nn.init.trunc_normal_(self.class_token, std=0.02)
