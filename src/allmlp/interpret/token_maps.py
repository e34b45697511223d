"""Token-mixing weights as images: what every hidden unit or token reads and writes.

Axes: n tokens, m units, s sets of channels with weights of their own, h w tokens along height and
width.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.layers.mlp import TokenMlp
from allmlp.layers.share_sets import InjectedMix, TrainingMix
from allmlp.layers.token_linear import TokenLinear
from allmlp.models.contract import VisionModel

__all__ = ["TokenMaps", "token_maps"]


@dataclass(frozen=True, eq=False)
class TokenMaps:
    """The maps of one token-mixing layer.

    Attributes:
        reads: (m, h, w), the weights with which each unit reads the tokens; (s, m, h, w) where
            channels fall into sets.
        writes: (m, h, w), the weights with which it adds to them; None where units are tokens, so
            that unit i writes token i alone.
    """

    reads: Float[Tensor, "*s m h w"]
    writes: Float[Tensor, "m h w"] | None


@torch.no_grad()
def token_maps(model: VisionModel) -> dict[str, TokenMaps]:
    """The token-mixing weights of a model, by the name of the layer that holds them.

    Args:
        model: one whose tokens are mixed by learned weights with fixed places. Units are hidden
            units of the token MLPs of a Mixer; tokens of ResMLP, gMLP and RepMLPNet. RepMLPNet has
            a matrix for each share-set, over the places of a tile; its convolution branches and
            batch norms are part of it, as at evaluation.

    Returns:
        In the order of the forward pass; detached, dtype of the weights.

    Raises:
        AllmlpError: no layer of the model mixes tokens so.

    Example:
        >>> import allmlp
        >>> maps = token_maps(allmlp.create_model("mixer_digits"))
        >>> maps["blocks.0.token_mlp"].reads.shape
        torch.Size([32, 4, 4])
    """
    found = {}
    tokens = getattr(model.config, "num_tokens", None)  # a class token is more than those
    for name, module in model.named_modules():
        if isinstance(module, TokenMlp):
            rows = model.config.grid[0]
            reads, writes = module.fc1.weight, module.fc2.weight.mT
            found[name] = TokenMaps(_images(reads, rows), _images(writes, rows))
        elif isinstance(module, TokenLinear) and module.weight.shape[1] == tokens:
            found[name] = TokenMaps(_images(module.weight, model.config.grid[0]), None)
        elif isinstance(module, TrainingMix):
            reads = module.merged()[0].to(module.places.weight)
            found[name] = TokenMaps(_images(reads, module.grid[0]), None)
        elif isinstance(module, InjectedMix):
            found[name] = TokenMaps(_images(module.places.weight, module.grid[0]), None)
    if not found:
        raise AllmlpError(
            f"a {type(model).__name__} has no token MLP whose weights could be shown as maps; "
            "effective_receptive_field and occlusion see through any model"
        )
    return found


def _images(weight: Float[Tensor, "*s m n"], rows: int) -> Float[Tensor, "*s m h w"]:
    return rearrange(weight.detach(), "... m (h w) -> ... m h w", h=rows)
