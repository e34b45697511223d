"""A vision model by name."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, overload

from allmlp.errors import AllmlpError
from allmlp.models.contract import VisionModel
from allmlp.zoo.features import FeatureBackbone
from allmlp.zoo.pretrained import Resize, build_pretrained, find_weights
from allmlp.zoo.registry import build_vision_model, variant_config, variant_name

__all__ = ["create_model"]


@overload
def create_model(
    name: str,
    *,
    pretrained: str | Path | None = ...,
    resize: Resize | None = ...,
    num_classes: int | None = ...,
    in_chans: int | None = ...,
    img_size: int | tuple[int, int] | None = ...,
    drop_path_rate: float | None = ...,
    features_only: Literal[False] = ...,
    **overrides: Any,
) -> VisionModel: ...


@overload
def create_model(
    name: str,
    *,
    pretrained: str | Path | None = ...,
    resize: Resize | None = ...,
    num_classes: int | None = ...,
    in_chans: int | None = ...,
    img_size: int | tuple[int, int] | None = ...,
    drop_path_rate: float | None = ...,
    features_only: Literal[True],
    out_indices: Sequence[int] | None = ...,
    **overrides: Any,
) -> FeatureBackbone: ...


def create_model(
    name: str,
    *,
    pretrained: str | Path | None = None,
    resize: Resize | None = None,
    num_classes: int | None = None,
    in_chans: int | None = None,
    img_size: int | tuple[int, int] | None = None,
    drop_path_rate: float | None = None,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    **overrides: Any,
) -> VisionModel | FeatureBackbone:
    """Build a vision model by name, with fresh weights or with somebody's.

    Fresh weights are drawn from torch's global random state.

    Args:
        name: as in `list_models()`; timm's names are understood. `name.tag` is short for
            `pretrained=tag`.
        pretrained: a tag of a published file (`model_info(name).weights` lists them), the path of a
            weight file of any known format, of a run or of a converted folder, or `hf:ORG/NAME`.
            Only tags and `hf:` touch the network, and only if the file is not in the cache.
        resize: how weights made for another image size move to `img_size`: `block` (the Mixer
            paper's rule: whole multiples, exact, wider token MLPs) or `interpolate` (any size).
        num_classes: outputs; 0 leaves the head out; None keeps the variant's. With
            `pretrained`, another number than that of the weights gives a fresh head.
        in_chans: image channels; None keeps the variant's.
        img_size: pixels, one side of a square or (height, width); None keeps the variant's.
        drop_path_rate: of the last block, in [0, 1); None keeps the variant's.
        features_only: return a `FeatureBackbone` that gives feature maps.
        out_indices: with `features_only`, the blocks whose maps are wanted; None for all.
        **overrides: any other field of the model's config.

    Returns:
        The model in training mode.

    Raises:
        AllmlpError: an unknown name or field (the nearest are listed), sizes that do not fit, or
            weights that are missing, damaged or of another network.

    Example:
        >>> import torch
        >>> create_model("mixer_digits", num_classes=3)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 3])
    """
    common = {
        "num_classes": num_classes,
        "in_chans": in_chans,
        "img_size": img_size,
        "drop_path_rate": drop_path_rate,
    }
    given = {key: value for key, value in common.items() if value is not None} | overrides
    name, _, tag = name.partition(".")
    if tag and pretrained is not None:
        raise AllmlpError(f"{name}.{tag} names weights already; leave out pretrained=")
    source = pretrained if pretrained is not None else tag
    house = variant_name(name)
    if source:
        model = build_pretrained(house, find_weights(house, source), given, resize)
    else:
        if resize is not None:
            raise AllmlpError("resize= moves pretrained weights; pass pretrained= as well")
        family, config = variant_config(house)
        model = build_vision_model(family, {**asdict(config), **given})
    if features_only:
        return FeatureBackbone(model, out_indices)
    if out_indices is not None:
        raise AllmlpError("out_indices needs features_only=True")
    return model
