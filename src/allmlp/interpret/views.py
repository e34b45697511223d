"""Everything that can be shown of a vision model and one image, chosen by the model's kind.

Axes: c channels, h w pixels (or tokens), n maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.attribution import integrated_gradients, occlusion
from allmlp.interpret.bilinear import effective_rank, eigenfeatures
from allmlp.interpret.modes import evaluating
from allmlp.interpret.receptive_field import area_share, effective_receptive_field
from allmlp.interpret.token_maps import token_maps
from allmlp.models.contract import VisionModel
from allmlp.models.image_bilinear import ImageBilinear

__all__ = ["View", "views"]

_SHOWN = 12  # maps of one kind


@dataclass(frozen=True, eq=False)
class View:
    """Maps that belong together, and how to read them.

    Attributes:
        title: short.
        text: what the maps show.
        images: signed, 0 in the middle of the colour scale.
        titles: one for each.
        facts: names and numbers that go with them.
    """

    title: str
    text: str
    images: Float[Tensor, "n h w"]
    titles: tuple[str, ...]
    facts: tuple[tuple[str, str], ...] = ()


def views(
    model: VisionModel, image: Float[Tensor, "c h w"], cls: int | None, classes: Sequence[str]
) -> list[View]:
    """What the model looks at in general, and in this image.

    Eigenfeatures of a bilinear network of one layer, token maps where there are, effective
    receptive fields where blocks have maps; integrated gradients and occlusion of any model.

    Args:
        model: on the image's device.
        image: prepared as the model wants it.
        cls: the class in question; None takes the one that the model answers.
        classes: names.

    Raises:
        AllmlpError: a class that does not exist.
    """
    if cls is not None and not 0 <= cls < len(classes):
        raise AllmlpError(f"there are {len(classes)} classes, {cls} is none; count from 0")
    with evaluating(model), torch.no_grad():
        logits = model(image[None])[0]
    target = int(logits.argmax()) if cls is None else cls
    found = [_image(model, image, target, classes, logits)]
    if isinstance(model, ImageBilinear) and model.config.depth == 1 and model.config.gate is None:
        found += _eigenfeatures(model, image, target, classes)
    found += _token_maps(model)
    found += _receptive_fields(model, image)
    return found


def _image(
    model: VisionModel, image: Tensor, target: int, classes: Sequence[str], logits: Tensor
) -> View:
    share = logits.softmax(0)
    side = max(1, min(image.shape[1:]) // 8)
    gradients = integrated_gradients(model, image[None], target, steps=64)
    covered = occlusion(model, image[None], target, size=2 * side, stride=side)
    return View(
        f"This image, for {classes[target]}",
        "Integrated gradients: what each pixel adds to the logit on the way from the mean image. "
        "Occlusion: how far the logit falls when a square around the pixel is covered. Red speaks "
        "for the class, blue against it.",
        torch.stack([image.mean(0), gradients.values[0].sum(0), covered[0]]).cpu(),
        ("image", "integrated gradients", "occlusion"),
        (
            ("answer", f"{classes[int(share.argmax())]} ({share.max().item():.1%})"),
            (f"probability of {classes[target]}", f"{share[target].item():.1%}"),
            ("logit", f"{logits[target].item():.3f}"),
            ("missing to the integral", f"{gradients.gap.item():.1e}"),
        ),
    )


def _eigenfeatures(
    model: ImageBilinear, image: Tensor, target: int, classes: Sequence[str]
) -> list[View]:
    features = eigenfeatures(model.to_mlp(), target)
    added = features.contributions(image.flatten())
    # directions of all channels, as their sum
    pictures = features.directions.unflatten(1, image.shape).sum(1).cpu()
    shown = []
    for sign, name in ((1, "for"), (-1, "against")):
        chosen = (sign * features.values > 0).nonzero().flatten()[: _SHOWN // 2].cpu()
        if len(chosen):
            shown.append(
                View(
                    f"Eigenfeatures {name} {classes[target]}",
                    "The logit is the sum over features of value times (direction · image + "
                    "offset)². Above each direction: its value, and what it adds to the logit of "
                    "this image.",
                    pictures[chosen],
                    tuple(f"{features.values[r]:.2f}: {added[r]:+.2f}" for r in chosen.tolist()),
                    (
                        ("features", str(len(features.values))),
                        ("effective rank", f"{effective_rank(features.values).item():.1f}"),
                        ("sum of all contributions", f"{added.sum().item():.3f}"),
                    ),
                )
            )
    return shown


def _token_maps(model: VisionModel) -> list[View]:
    try:
        layers = token_maps(model)
    except AllmlpError:
        return []
    names = list(layers)
    shown = []
    for name in dict.fromkeys((names[0], names[len(names) // 2], names[-1])):
        reads = layers[name].reads.cpu()
        strongest = reads.flatten(1).norm(dim=1).topk(min(_SHOWN, len(reads))).indices.sort().values
        shown.append(
            View(
                f"Token mixing: {name}",
                "The weights with which units read the tokens, as images of the token grid; the "
                f"{len(strongest)} strongest of {len(reads)}.",
                reads[strongest],
                tuple(f"unit {unit}" for unit in strongest.tolist()),
            )
        )
    return shown


def _receptive_fields(model: VisionModel, image: Tensor) -> list[View]:
    with evaluating(model), torch.no_grad():
        maps = model.forward_intermediates(image[None], intermediates_only=True)
    blocks = [
        i for i, found in enumerate(maps) if isinstance(found, Tensor) and found[0, 0].numel() > 1
    ]
    if not blocks:
        return []
    chosen = list(dict.fromkeys((blocks[0], blocks[len(blocks) // 2], blocks[-1])))
    fields = [effective_receptive_field(model, image[None], block=block).cpu() for block in chosen]
    return [
        View(
            "Effective receptive fields",
            "Where the central place of a block really looks in this image: absolute gradients, "
            "largest 1. Above: the block, and the share of the pixels that holds half of the sum.",
            torch.stack(fields),
            tuple(
                f"block {block}: {area_share(field):.0%}"
                for block, field in zip(chosen, fields, strict=True)
            ),
        )
    ]
