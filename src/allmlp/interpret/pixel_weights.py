"""The first layer of a network on pixels, as images.

Axes: m units of the first layer, c channels, h w pixels, i = c h w of them, f basis functions.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.interpret.kan.curves import layers_of
from allmlp.layers.bilinear import GatedLinear
from allmlp.layers.kan import KANLinear
from allmlp.layers.mlp_block import PlainLayer
from allmlp.models.contract import VisionModel
from allmlp.models.image_bilinear import ImageBilinear
from allmlp.models.image_kan import ImageKAN
from allmlp.models.image_mlp import ImageMLP
from allmlp.models.scaling_mlp import ScalingMlp

__all__ = ["pixel_weights"]


@torch.no_grad()
def pixel_weights(model: VisionModel) -> Float[Tensor, "m c h w"]:
    """What a unit of the first layer gains when a pixel rises by one, for every unit and pixel.

    These are the weights of a linear layer. The functions on a KAN's edges have no single slope:
    theirs is the mean one from a deviation below the mean image to a deviation above,
    (f(1) - f(-1)) / 2.

    Args:
        model: an MLP, bilinear MLP, KAN or Scaling MLP on images. Of a bilinear layer or a gated
            one the units of the left factor come first, then those of the right one.

    Returns:
        Detached; dtype of the weights.

    Raises:
        AllmlpError: another model, or a KAN whose first layer normalises the image, so that no unit
            depends on a pixel by itself.

    Example:
        >>> import allmlp
        >>> pixel_weights(allmlp.create_model("mlp", img_size=8, widths=(20,))).shape
        torch.Size([20, 1, 8, 8])
    """
    rows = _rows(model)
    return rows.detach().unflatten(1, (model.config.in_chans, *model.config.img_size))


def _rows(model: VisionModel) -> Float[Tensor, "m i"]:
    if isinstance(model, ScalingMlp):
        return model.embed.weight
    if isinstance(model, ImageBilinear):
        if isinstance(model.embed, nn.Linear):
            return model.embed.weight
        first = cast(GatedLinear, model.blocks[0])
        return torch.cat([first.left.weight, first.right.weight])
    if isinstance(model, ImageMLP):
        stem = model.features.stem
        if isinstance(stem, nn.Linear):
            return stem.weight
        return cast(PlainLayer, model.features.blocks[0]).linear.weight
    if isinstance(model, ImageKAN) and not model.config.norm:
        return _mean_slopes(layers_of(model.body)[0].numeric)
    raise AllmlpError(
        f"a {type(model).__name__} has no first layer with a weight for every pixel; "
        "token_maps, effective_receptive_field and occlusion show other models"
    )


def _mean_slopes(layer: KANLinear) -> Float[Tensor, "o i"]:
    weights = layer.edge_weights()
    ends = weights.new_tensor([[1.0], [-1.0]]).expand(2, weights.shape[1])
    above, below = layer.edge_functions(ends)
    return (weights * (above - below) / 2).sum(-1)
