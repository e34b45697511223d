"""Every model by name: one explicit table, no registration at import.

An architecture file knows its sizes (`VARIANTS`) and not its name; this file knows the names.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, Literal, overload

import torch

from allmlp.errors import AllmlpError, unknown_name
from allmlp.models import mixer
from allmlp.models.contract import VisionModel
from allmlp.zoo.features import FeatureBackbone
from allmlp.zoo.macs import count_macs
from allmlp.zoo.published import PUBLISHED, PublishedResult

__all__ = [
    "ALIASES",
    "FAMILIES",
    "ModelInfo",
    "build_model",
    "create_model",
    "family_of",
    "list_models",
    "model_info",
    "variant_name",
]


@dataclass(frozen=True)
class Family:
    """One architecture: its classes, its named sizes and where it was published."""

    model: type[VisionModel]
    config: type[Any]
    variants: Mapping[str, Any]
    paper: str


FAMILIES: dict[str, Family] = {
    "mixer": Family(mixer.Mixer, mixer.MixerConfig, mixer.VARIANTS, "arXiv:2105.01601"),
}

# timm's names of the same sizes
ALIASES: dict[str, str] = {
    f"mixer_{size}_224": f"mixer_{size}" for size in ("s32", "s16", "b32", "b16", "l32", "l16")
}


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
    config: Any


@cache
def _variants() -> dict[str, tuple[str, Any]]:
    table: dict[str, tuple[str, Any]] = {}
    for family_name, family in FAMILIES.items():
        for name, config in family.variants.items():
            if name in table or name in ALIASES:
                raise RuntimeError(f"two models are called {name}")
            table[name] = (family_name, config)
    return table


def variant_name(name: str) -> str:
    """The house name of a model, timm's names included.

    Raises:
        AllmlpError: nobody has this name; the nearest are listed.
    """
    house = ALIASES.get(name, name)
    if house not in _variants():
        raise AllmlpError(unknown_name("model", name, [*_variants(), *ALIASES]))
    return house


def list_models(pattern: str = "*") -> list[str]:
    """All model names that match a shell pattern, sorted.

    Args:
        pattern: `*`, `?` and `[...]` as in a shell.

    Example:
        >>> list_models("mixer_b*")
        ['mixer_b16', 'mixer_b32']
    """
    return sorted(fnmatch.filter(_variants(), pattern))


@overload
def create_model(
    name: str,
    *,
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
    num_classes: int | None = None,
    in_chans: int | None = None,
    img_size: int | tuple[int, int] | None = None,
    drop_path_rate: float | None = None,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    **overrides: Any,
) -> VisionModel | FeatureBackbone:
    """Build a vision model by name, with fresh weights from torch's global random state.

    Args:
        name: as in `list_models()`; timm's names are understood.
        num_classes: outputs; 0 leaves the head out; None keeps the variant's.
        in_chans: image channels; None keeps the variant's.
        img_size: pixels, one side of a square or (height, width); None keeps the variant's.
        drop_path_rate: of the last block, in [0, 1); None keeps the variant's.
        features_only: return a `FeatureBackbone` that gives feature maps.
        out_indices: with `features_only`, the blocks whose maps are wanted; None for all.
        **overrides: any other field of the model's config.

    Returns:
        The model in training mode.

    Raises:
        AllmlpError: an unknown name or field (the nearest are listed), or sizes that do not fit.

    Example:
        >>> create_model("mixer_digits", num_classes=3)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 3])
    """
    common = {
        "num_classes": num_classes,
        "in_chans": in_chans,
        "img_size": img_size,
        "drop_path_rate": drop_path_rate,
    }
    given = {key: value for key, value in common.items() if value is not None}
    family_name, config = _variants()[variant_name(name)]
    family = FAMILIES[family_name]
    model = family.model(replace(config, **_fields(family, {**given, **overrides})))
    if features_only:
        return FeatureBackbone(model, out_indices)
    if out_indices is not None:
        raise AllmlpError("out_indices needs features_only=True")
    return model


def build_model(family: str, config: Mapping[str, Any]) -> VisionModel:
    """Build a model from the stored fields of its config (what `model.json` holds).

    Args:
        family: a key of `FAMILIES`.
        config: every field by name; lists stand for tuples, as JSON and YAML have none.

    Raises:
        AllmlpError: an unknown family or field, or sizes that do not fit.
    """
    if family not in FAMILIES:
        raise AllmlpError(unknown_name("model family", family, FAMILIES))
    found = FAMILIES[family]
    return found.model(found.config(**_fields(found, config)))


def family_of(model: VisionModel) -> str:
    """The family a model belongs to, by its class."""
    return next(name for name, family in FAMILIES.items() if type(model) is family.model)


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
    family_name, _ = _variants()[house]
    with torch.device("meta"):
        model = create_model(house, **overrides)
    config = model.config
    shape = (config.in_chans, *config.img_size)
    head = sum(p.numel() for p in model.get_classifier().parameters())
    total = sum(p.numel() for p in model.parameters())
    return ModelInfo(
        name=house,
        family=family_name,
        paper=FAMILIES[family_name].paper,
        input_shape=shape,
        num_classes=config.num_classes,
        parameters=total,
        parameters_without_head=total - head,
        macs=count_macs(model, shape),
        published=PUBLISHED.get(house, ()),
        config=config,
    )


def _fields(family: Family, given: Mapping[str, Any]) -> dict[str, Any]:
    known = [field.name for field in fields(family.config)]
    for key in given:
        if key not in known:
            raise AllmlpError(unknown_name(f"{family.config.__name__} field", key, known))
    clean = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    if isinstance(clean.get("img_size"), int):
        clean["img_size"] = (clean["img_size"], clean["img_size"])
    return clean
