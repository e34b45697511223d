"""What a model costs and what is known about it."""

from dataclasses import dataclass
from typing import Any

import torch

from allmlp.zoo.create import create_model
from allmlp.zoo.macs import count_macs
from allmlp.zoo.published import PUBLISHED, PublishedResult
from allmlp.zoo.records import RECORDS, WeightRecord
from allmlp.zoo.registry import FAMILIES, is_experimental, variant_config, variant_name

__all__ = ["ModelInfo", "model_info"]


@dataclass(frozen=True)
class ModelInfo:
    """What a model costs and what is known about it."""

    name: str
    family: str
    paper: str
    input_shape: tuple[int, int, int]  # channels, height, width
    num_classes: int
    parameters: int
    parameters_without_head: int
    macs: int  # one image, multiply-accumulates of products
    published: tuple[PublishedResult, ...]
    weights: tuple[WeightRecord, ...]  # files that `pretrained=TAG` fetches
    config: Any
    experimental: bool  # nobody could verify the sizes


def model_info(name: str, **overrides: Any) -> ModelInfo:
    """Parameters, MACs, input and published accuracy of a model, without allocating it.

    Args:
        name: as in `list_models()`.
        **overrides: as in `create_model`; published results are those of the named size.

    Raises:
        AllmlpError: an unknown name or field.

    Example:
        >>> model_info("mixer_b16").parameters
        59880472
    """
    house = variant_name(name)
    family, _ = variant_config(house)
    with torch.device("meta"):
        model = create_model(house, **overrides)
    config = model.config
    shape = (config.in_chans, *config.img_size)
    head = sum(p.numel() for p in model.get_classifier().parameters())
    total = sum(p.numel() for p in model.parameters())
    return ModelInfo(
        name=house,
        family=family,
        paper=FAMILIES[family].paper,
        input_shape=shape,
        num_classes=config.num_classes,
        parameters=total,
        parameters_without_head=total - head,
        macs=count_macs(model, shape),
        published=PUBLISHED.get(house, ()),
        weights=tuple(record for record in RECORDS.values() if record.model == house),
        config=config,
        experimental=is_experimental(house),
    )
