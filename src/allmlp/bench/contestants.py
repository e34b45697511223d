"""Who is measured: models of the zoo, and timm's transformers and residual nets beside them."""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from allmlp.errors import AllmlpError, first_line
from allmlp.zoo import create_model, list_models
from allmlp.zoo.published import PUBLISHED, PublishedResult
from allmlp.zoo.registry import variant_config, variant_name

__all__ = ["DEFAULT_MODELS", "PEERS", "Contestant", "find_models", "find_peers"]

# the smallest of each family that was made for photographs, and the Mixer of ResMLP's cost
DEFAULT_MODELS = (
    "mixer_s32",
    "mixer_s16",
    "resmlp_s12",
    "gmlp_ti16",
    "cyclemlp_b1",
    "csmixer_t",
    "repmlpnet_t224",
    "convmixer_1024_20",
    "scaling_mlp_b6_w512",
)

_ALONE = "none (ImageNet-1k alone)"


def _by_timm(top1: float, weights: str) -> PublishedResult:
    # of the file that timm publishes, evaluated by timm: results/results-imagenet.csv, aa4b5850
    source = f"timm's results-imagenet.csv, {weights}"
    return PublishedResult(top1, _ALONE, 224, source)


# timm's name -> accuracy of the weights that saw ImageNet-1k alone, at 224 pixels
PEERS: dict[str, PublishedResult] = {
    "deit_tiny_patch16_224": _by_timm(72.190, "deit_tiny_patch16_224.fb_in1k"),
    "deit_small_patch16_224": _by_timm(79.856, "deit_small_patch16_224.fb_in1k"),
    "vit_base_patch16_224": _by_timm(79.154, "vit_base_patch16_224.augreg_in1k"),
    "resnet18": _by_timm(71.504, "resnet18.a1_in1k"),
    "resnet50": _by_timm(80.382, "resnet50.a1_in1k"),
}


@dataclass(frozen=True)
class Contestant:
    """A network that can be built anew, in another process as well.

    Args:
        name: of the model.
        library: whose it is.
        build: makes it, in training mode. Its peak memory is measured in a fresh process, which
            finds `build` by its name: a function or class of a module (or `functools.partial` of
            one), no lambda.
        input_shape: channels, height and width of one image.
        published: an accuracy that somebody else measured, if there is one.
    """

    name: str
    library: str
    build: Callable[[], nn.Module]
    input_shape: tuple[int, int, int]
    published: PublishedResult | None = None


def find_models(patterns: Iterable[str] = (), *, img_size: int | None = None) -> list[Contestant]:
    """Models of the zoo, each once.

    Args:
        patterns: names, or shell patterns as `list_models` takes them; none for one small model of
            each family.
        img_size: pixels, one side of a square; None for each model's own.

    Raises:
        AllmlpError: nobody has such a name; the nearest are listed.

    Example:
        >>> [found.name for found in find_models(["mixer_b*", "mixer_b16"])]
        ['mixer_b16', 'mixer_b32']
    """
    names: dict[str, None] = {}
    for pattern in tuple(patterns) or DEFAULT_MODELS:
        if any(c in pattern for c in "*?["):
            found = list_models(pattern)
            if not found:
                raise AllmlpError(f"no model matches {pattern!r}; `allmlp models` lists all")
        else:
            found = [variant_name(pattern)]
        names |= dict.fromkeys(found)
    return [_of_zoo(name, img_size) for name in names]


def _of_zoo(name: str, img_size: int | None) -> Contestant:
    _, config = variant_config(name)
    size = config.img_size if img_size is None else (img_size, img_size)
    published = PUBLISHED.get(name, ())[:1]
    return Contestant(
        name,
        "allmlp",
        partial(create_model, name, img_size=img_size),
        (config.in_chans, *size),
        published[0] if published and img_size is None else None,
    )


def find_peers(*, img_size: int | None = None) -> list[Contestant]:
    """DeiT, ViT and ResNet, as timm builds them.

    Args:
        img_size: as in `find_models`.

    Raises:
        AllmlpError: timm is missing or cannot be imported here.
    """
    try:
        importlib.import_module("timm")
    except ModuleNotFoundError as e:
        raise AllmlpError(
            f"the peers are built by timm, and {e.name} is missing; pip install timm"
        ) from e
    except Exception as e:  # a torchvision for another torch: RuntimeError
        raise AllmlpError(
            f"the peers are built by timm, which cannot be imported ({first_line(e)}); "
            "install a timm and a torchvision that are made for this torch"
        ) from e
    side = img_size or 224
    return [
        Contestant(
            name,
            "timm",
            partial(_build_peer, name, img_size),
            (3, side, side),
            published if img_size is None else None,
        )
        for name, published in PEERS.items()
    ]


def _build_peer(name: str, img_size: int | None) -> nn.Module:
    import timm

    # a ResNet takes any size and no such argument
    options: dict[str, Any] = (
        {} if img_size is None or name.startswith("resnet") else {"img_size": img_size}
    )
    model: nn.Module = timm.create_model(name, **options)
    return model
