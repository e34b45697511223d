"""Everything that can be said of what a vision model looks at, chosen by the model's kind.

Axes: b batch, c channels, h w pixels, k classes, m units.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.attribution import integrated_gradients, occlusion
from allmlp.interpret.bilinear import (
    EigenFeatures,
    Explanation,
    NestedFeatures,
    eigenfeatures,
    explain,
    nested,
)
from allmlp.interpret.modes import evaluating
from allmlp.interpret.pixel_weights import pixel_weights
from allmlp.interpret.reach import Reach, mixing_reach
from allmlp.interpret.receptive_field import effective_receptive_field
from allmlp.interpret.token_maps import TokenMaps, token_maps
from allmlp.models.contract import VisionModel
from allmlp.models.image_bilinear import ImageBilinear

__all__ = ["Answer", "Overview", "overview"]

_NODES = 64  # of the integrals: gaps of the nets looked at stayed below a thousandth of the logit
_SQUARES = 8  # covered squares along the shorter side
_BEAM = 64  # features kept of each layer of a deep bilinear network

Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says of one image, and on which pixels a class depends.

    Attributes:
        image: as the model reads it.
        logits: (k,).
        at_mean: logit of the class in question for the mean image, where the integral begins.
        gradients: (h, w), integrated gradients, summed over channels; they add up to the logit
            minus `at_mean`.
        gap: what is missing to that sum.
        covered: (h, w), fall of the logit when squares around a pixel are covered.
        square: pixels along the side of those.
        features: (r,), what each eigenfeature of a bilinear network adds to the logit; of the last
            layer, if it has several; None for other models.
        pairs: a bilinear layer's logit taken apart by pairs of pixels; None for other models.
    """

    image: Float[Tensor, "c h w"]
    logits: Float[Tensor, " k"]
    at_mean: float
    gradients: Float[Tensor, "h w"]
    gap: float
    covered: Float[Tensor, "h w"]
    square: int
    features: Float[Tensor, " r"] | None
    pairs: Explanation | None


@dataclass(frozen=True, eq=False)
class Overview:
    """What there is to see of a model; None and empty for what its kind does not have.

    Attributes:
        target: number of the class in question.
        answer: to an image, if there was one.
        eigen: the class taken apart, of a bilinear network of one layer.
        nested: the same of several layers.
        tokens: token-mixing weights by layer.
        reach: what one place reads, by layer.
        fields: (h, w), effective receptive fields by block, over the images that there were.
        pixels: (m, c, h, w), weights of the first layer.
    """

    target: int
    answer: Answer | None
    eigen: EigenFeatures | None
    nested: NestedFeatures | None
    tokens: dict[str, TokenMaps]
    reach: dict[str, Reach]
    fields: dict[int, Float[Tensor, "h w"]]
    pixels: Float[Tensor, "m c h w"] | None


def overview(
    model: VisionModel,
    target: int | None = None,
    *,
    image: Float[Tensor, "c h w"] | None = None,
    images: Float[Tensor, "b c h w"] | None = None,
) -> Overview:
    """Look at a model, and at an image with its eyes.

    Args:
        model: with a head; it is read and never changed.
        target: the class in question; None takes the model's answer to the image, or class 0.
        image: to be explained, prepared as the model wants it, on its device.
        images: to see receptive fields with, likewise.

    Returns:
        Tensors on the CPU.

    Raises:
        AllmlpError: a class that does not exist, or a model without any.

    Example:
        >>> import allmlp
        >>> model = allmlp.create_model("mixer_digits", img_size=8)
        >>> found = overview(model, image=torch.zeros(1, 8, 8))
        >>> len(found.tokens), found.answer.gradients.shape, found.eigen
        (4, torch.Size([8, 8]), None)
    """
    classes = model.config.num_classes
    if not classes:
        raise AllmlpError("a model without classes says nothing of an image; give it a head first")
    if target is not None and not 0 <= target < classes:
        raise AllmlpError(f"the model has {classes} classes, there is no class {target}")
    if target is None:
        target = 0
        if image is not None:
            with evaluating(model), torch.no_grad():
                target = int(model(image[None]).argmax())
    eigen, deep = _bilinear(model, target)
    return Overview(
        target,
        None if image is None else _answer(model, image, target, eigen, deep),
        eigen,
        deep,
        _if_any(token_maps, model) or {},
        _if_any(mixing_reach, model) or {},
        {} if images is None else _fields(model, images),
        _if_any(pixel_weights, model),
    )


def _if_any(function: Callable[[VisionModel], Found], model: VisionModel) -> Found | None:
    """What a function of some kinds of models finds, on any."""
    try:
        return function(model)
    except AllmlpError:
        return None


def _bilinear(
    model: VisionModel, target: int
) -> tuple[EigenFeatures | None, NestedFeatures | None]:
    if not isinstance(model, ImageBilinear) or model.config.gate is not None:
        return None, None
    network = model.to_mlp().cpu()
    if model.config.depth == 1:
        return eigenfeatures(network, target), None
    return None, nested(network, target, beam=_BEAM)


def _answer(
    model: VisionModel,
    image: Tensor,
    target: int,
    eigen: EigenFeatures | None,
    deep: NestedFeatures | None,
) -> Answer:
    square = max(1, min(image.shape[1:]) // _SQUARES)
    batch = image[None]
    with evaluating(model), torch.no_grad():
        logits, at_mean = model(torch.cat([batch, torch.zeros_like(batch)])).cpu()
    gradients = integrated_gradients(model, batch, target, steps=_NODES)
    covered = occlusion(model, batch, target, size=2 * square, stride=square)
    flat = image.detach().cpu().flatten()
    decomposed = eigen or deep
    return Answer(
        image.detach().cpu(),
        logits,
        at_mean[target].item(),
        gradients.values[0].sum(0).cpu(),
        gradients.gap.item(),
        covered[0].cpu(),
        2 * square,
        None if decomposed is None else decomposed.contributions(flat),
        explain(model.to_mlp().cpu(), flat)
        if eigen is not None and isinstance(model, ImageBilinear)
        else None,
    )


def _fields(model: VisionModel, images: Tensor) -> dict[int, Tensor]:
    """Of the first block, the middle one and the last one whose maps have several places."""
    with evaluating(model), torch.no_grad():
        maps = model.forward_intermediates(images[:1], intermediates_only=True)
    blocks = [
        i for i, found in enumerate(maps) if isinstance(found, Tensor) and found[0, 0].numel() > 1
    ]
    if not blocks:
        return {}
    chosen = dict.fromkeys((blocks[0], blocks[len(blocks) // 2], blocks[-1]))
    return {block: effective_receptive_field(model, images, block=block).cpu() for block in chosen}
