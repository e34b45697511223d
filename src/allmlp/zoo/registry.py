"""Every model by name: one explicit table, no registration at import.

An architecture file knows its sizes (`VARIANTS`) and not its name; this file knows the names.
"""

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from torch import nn

from allmlp.errors import AllmlpError, unknown_name
from allmlp.models import (
    bilinear,
    convmixer,
    csmixer,
    cyclemlp,
    gmlp,
    image_bilinear,
    image_kan,
    image_mlp,
    kan,
    mixer,
    mlp,
    repmlp,
    resmlp,
    scaling_mlp,
)
from allmlp.models.contract import VisionModel
from allmlp.models.kan_config import KANConfig, as_tuples
from allmlp.models.mlp_config import MLPConfig

__all__ = [
    "ALIASES",
    "FAMILIES",
    "build_model",
    "build_vision_model",
    "config_fields",
    "family_of",
    "is_experimental",
    "list_models",
    "name_of",
    "parse_config",
    "variant_config",
    "variant_name",
]


@dataclass(frozen=True)
class Family:
    """One architecture: its classes, its named sizes and where it was published."""

    model: type[nn.Module]
    config: type[Any]
    variants: Mapping[str, Any]  # of vision models; others have no named sizes
    paper: str
    build: Callable[[Any], nn.Module]  # from a config
    experimental: Mapping[str, Any] = field(default_factory=dict)  # sizes nobody could verify


_BACKPROPAGATION = "doi:10.1038/323533a0"  # Rumelhart, Hinton and Williams 1986

FAMILIES: dict[str, Family] = {
    "mixer": Family(
        mixer.Mixer, mixer.MixerConfig, mixer.VARIANTS, "arXiv:2105.01601", mixer.Mixer
    ),
    "resmlp": Family(
        resmlp.ResMLP, resmlp.ResMLPConfig, resmlp.VARIANTS, "arXiv:2105.03404", resmlp.ResMLP
    ),
    "convmixer": Family(
        convmixer.ConvMixer,
        convmixer.ConvMixerConfig,
        convmixer.VARIANTS,
        "arXiv:2201.09792",
        convmixer.ConvMixer,
    ),
    "cyclemlp": Family(
        cyclemlp.CycleMLP,
        cyclemlp.CycleMLPConfig,
        cyclemlp.VARIANTS,
        "arXiv:2107.10224",
        cyclemlp.CycleMLP,
        cyclemlp.EXPERIMENTAL,
    ),
    "csmixer": Family(
        csmixer.CSMixer,
        csmixer.CSMixerConfig,
        csmixer.VARIANTS,
        "arXiv:2308.13363",
        csmixer.CSMixer,
    ),
    "repmlpnet": Family(
        repmlp.RepMLPNet,
        repmlp.RepMLPNetConfig,
        repmlp.VARIANTS,
        "arXiv:2112.11081",
        repmlp.RepMLPNet,
    ),
    "gmlp": Family(gmlp.GMLP, gmlp.GMLPConfig, gmlp.VARIANTS, "arXiv:2105.08050", gmlp.GMLP),
    "bilinear_mlp": Family(
        bilinear.BilinearMLP,
        bilinear.BilinearMLPConfig,
        {},
        "arXiv:2410.08417",
        bilinear.BilinearMLP.from_config,
    ),
    "image_bilinear": Family(
        image_bilinear.ImageBilinear,
        image_bilinear.ImageBilinearConfig,
        image_bilinear.VARIANTS,
        "arXiv:2410.08417",
        image_bilinear.ImageBilinear,
    ),
    "kan": Family(kan.KAN, KANConfig, {}, "arXiv:2404.19756", kan.KAN.from_config),
    "image_kan": Family(
        image_kan.ImageKAN,
        image_kan.ImageKANConfig,
        image_kan.VARIANTS,
        "arXiv:2404.19756",
        image_kan.ImageKAN,
    ),
    "mlp": Family(mlp.MLP, MLPConfig, {}, _BACKPROPAGATION, mlp.MLP.from_config),
    "image_mlp": Family(
        image_mlp.ImageMLP,
        image_mlp.ImageMLPConfig,
        image_mlp.VARIANTS,
        _BACKPROPAGATION,
        image_mlp.ImageMLP,
    ),
    "scaling_mlp": Family(
        scaling_mlp.ScalingMlp,
        scaling_mlp.ScalingMlpConfig,
        scaling_mlp.VARIANTS,
        "arXiv:2306.13575",
        scaling_mlp.ScalingMlp,
    ),
}

# timm's names of the same sizes
ALIASES: dict[str, str] = {
    f"mixer_{size}_224": f"mixer_{size}" for size in ("s32", "s16", "b32", "b16", "l32", "l16")
} | {
    "convmixer_1024_20_ks9_p14": "convmixer_1024_20",
    "gmlp_ti16_224": "gmlp_ti16",
    "gmlp_s16_224": "gmlp_s16",
    "gmlp_b16_224": "gmlp_b16",
    "resmlp_12_224": "resmlp_s12",
    "resmlp_24_224": "resmlp_s24",
    "resmlp_36_224": "resmlp_s36",
    "resmlp_big_24_224": "resmlp_b24_p8",
}


@cache
def _variants() -> dict[str, tuple[str, Any]]:
    table: dict[str, tuple[str, Any]] = {}
    for family_name, family in FAMILIES.items():
        for name, config in {**family.variants, **family.experimental}.items():
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


def list_models(pattern: str = "*", *, experimental: bool = False) -> list[str]:
    """All model names that match a shell pattern, sorted.

    Args:
        pattern: `*`, `?` and `[...]` as in a shell.
        experimental: list those as well whose sizes nobody could verify.

    Example:
        >>> list_models("mixer_b*")
        ['mixer_b16', 'mixer_b32']
    """
    names = fnmatch.filter(_variants(), pattern)
    return sorted(name for name in names if experimental or not is_experimental(name))


def is_experimental(name: str) -> bool:
    """Whether nobody could verify the sizes of a variant.

    Raises:
        AllmlpError: nobody has this name.
    """
    house = variant_name(name)
    family, _ = _variants()[house]
    return house in FAMILIES[family].experimental


def build_model(family: str, config: Mapping[str, Any]) -> nn.Module:
    """Build a model from the stored fields of its config (what `model.json` holds).

    Args:
        family: a key of `FAMILIES`.
        config: every field by name; lists stand for tuples, as JSON and YAML have none.

    Raises:
        AllmlpError: an unknown family or field, or sizes that do not fit.
    """
    parsed = parse_config(family, config)
    return FAMILIES[family].build(parsed)


def build_vision_model(family: str, config: Mapping[str, Any]) -> VisionModel:
    """As `build_model`, for families that take images.

    Raises:
        AllmlpError: as `build_model`; or a family that takes no images.
    """
    model = build_model(family, config)
    if not isinstance(model, VisionModel):
        raise AllmlpError(f"a {family} takes no images; load it with allmlp.zoo.load_model")
    return model


def parse_config(family: str, config: Mapping[str, Any]) -> Any:
    """The config dataclass of a family from its stored fields, as in `build_model`.

    Raises:
        AllmlpError: an unknown family or field, or sizes that do not fit.
    """
    if family not in FAMILIES:
        raise AllmlpError(unknown_name("model family", family, FAMILIES))
    return FAMILIES[family].config(**config_fields(family, config))


def variant_config(name: str) -> tuple[str, Any]:
    """Family and config of a named variant; timm's names are understood.

    Raises:
        AllmlpError: nobody has this name.
    """
    return _variants()[variant_name(name)]


def family_of(model: nn.Module) -> str:
    """The family a model belongs to, by its class.

    Raises:
        AllmlpError: it belongs to none.
    """
    for name, family in FAMILIES.items():
        if type(model) is family.model:
            return name
    raise AllmlpError(
        f"a {type(model).__name__} is none of the zoo's models: {', '.join(FAMILIES)}"
    )


def name_of(family: str, config: Any) -> str:
    """The variant that has the sizes of `config`, or the family's name if none has."""
    for name, (of, variant) in _variants().items():
        sizes = variant.SIZES
        if of == family and all(getattr(variant, s) == getattr(config, s) for s in sizes):
            return name
    return family


def config_fields(family: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Checked fields of a family's config; lists become tuples, a single image size a square.

    Raises:
        AllmlpError: an unknown field; the nearest is named.
    """
    config = FAMILIES[family].config
    known = [field.name for field in fields(config)]
    for key in given:
        if key not in known:
            raise AllmlpError(unknown_name(f"{config.__name__} field", key, known))
    clean: dict[str, Any] = as_tuples(dict(given))
    if isinstance(clean.get("img_size"), int):
        clean["img_size"] = (clean["img_size"], clean["img_size"])
    return clean
