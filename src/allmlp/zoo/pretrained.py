"""From what `pretrained=` names to a model with those weights, fitted to another head or size."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from allmlp.data import Preprocess
from allmlp.errors import AllmlpError, listing
from allmlp.models.contract import VisionModel
from allmlp.zoo.convert import convert_state
from allmlp.zoo.download import fetch_hub, fetch_url
from allmlp.zoo.records import WeightRecord, find_record, tags_of
from allmlp.zoo.registry import (
    FAMILIES,
    build_vision_model,
    config_fields,
    variant_config,
    variant_name,
)
from allmlp.zoo.stored import RECORD, load_state, read_stored
from allmlp.zoo.tensors import read_settings, read_tensors

__all__ = ["Resize", "Weights", "build_pretrained", "find_weights", "read_weights"]

Resize = Literal["block", "interpolate"]


@dataclass(frozen=True, eq=False)
class Weights:
    """Tensors under our names, and what they were made for."""

    source: str  # as in messages
    family: str
    config: Any
    state: dict[str, Tensor]
    name: str | None = None  # the variant, where the source says it
    preprocess: Preprocess | None = None
    classes: tuple[str, ...] | None = None
    format: str = "allmlp"
    renamed: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def find_weights(model: str, pretrained: str | Path) -> Weights:
    """The weights that `pretrained=` names, from disk, cache or network.

    Args:
        model: the variant they shall fit.
        pretrained: a tag of a published file (`google_in1k`), the path of a weight file, of a run
            or of a converted folder, or `hf:ORG/NAME`. Only a tag and `hf:` ever touch the network,
            and only when the file is not in the cache.

    Raises:
        AllmlpError: nothing is there, the file is damaged or of another network, or no connection.
    """
    if isinstance(pretrained, bool):
        tags = tags_of(variant_name(model))
        raise AllmlpError(
            f"pretrained= names weights: a tag of {model} ({listing(tags, 9) or 'it has none'}), a "
            f"file, a run or hf:ORG/NAME; got {pretrained}"
        )
    text = str(pretrained)
    if text.startswith("hf:"):
        path, hub_config = fetch_hub(text.removeprefix("hf:"))
        weights = _from_file(path)
        _announce(f"{text}: see the model card there for its licence")
        return replace(weights, source=text, preprocess=_hub_preprocess(hub_config, weights))
    if Path(pretrained).exists():
        return read_weights(Path(pretrained))
    if "/" in text or Path(text).suffix:
        raise AllmlpError(f"no weights at {text}; give a file, a run, a tag or hf:ORG/NAME")
    record = find_record(variant_name(model), text)
    weights = _from_file(fetch_url(record.url, record.sha256))
    _announce(f"{record.name}: {record.origin}; {record.pretraining}; licence {record.licence}")
    return replace(weights, source=record.name, preprocess=_record_preprocess(record))


def read_weights(path: Path, img_size: tuple[int, int] | None = None) -> Weights:
    """The weights of a file, of a run or of a converted folder.

    Args:
        path: a `.safetensors`, `.npz` or PyTorch file of any known format, or a folder with
            `model.json`.
        img_size: (height, width) in pixels that a foreign file was made for, where it is no square.

    Raises:
        AllmlpError: nothing is there, it is damaged, or of no known network.
    """
    # our own file within a run or a converted folder is better read with what stands beside it
    folder = path if path.is_dir() else path.parent
    if path.is_dir() or (path.name == "model.safetensors" and (folder / RECORD).is_file()):
        stored = read_stored(folder)
        return Weights(
            source=str(path),
            family=stored.record.family,
            config=stored.record.config,
            state=stored.state,
            name=stored.record.name,
            preprocess=stored.record.preprocess,
            classes=stored.record.classes,
        )
    return _from_file(path, img_size)


def build_pretrained(
    name: str, weights: Weights, given: Mapping[str, Any], resize: Resize | None
) -> VisionModel:
    """A variant with somebody's weights.

    The head is kept where the number of classes agrees and is fresh where it does not.

    Args:
        name: the variant.
        weights: as `find_weights` gives them.
        given: config fields that the caller wants different from those of the weights.
        resize: how the weights move to another image size; needed only if `img_size` differs and
            weights depend on it.

    Raises:
        AllmlpError: weights of another variant, an unknown field, another image size without
            `resize`, or fields that the weights contradict.
    """
    family, variant = variant_config(name)
    _require_same_sizes(name, family, variant, weights)
    fields = config_fields(family, given)
    model_class: Any = FAMILIES[family].model
    config, state = weights.config, dict(weights.state)

    new_size = fields.pop("img_size", config.img_size)
    target = config
    if new_size != config.img_size:
        if resize is None and model_class.RESIZES:
            old = "x".join(map(str, config.img_size))
            raise AllmlpError(
                f"{weights.source} was made for images of {old}, not "
                f"{'x'.join(map(str, new_size))}; pass resize='interpolate' (any size) or "
                "resize='block' (whole multiples, exact)"
            )
        target = model_class.resize_config(config, new_size, resize)
    target = replace(target, **fields)

    model = build_vision_model(family, asdict(target))
    if target.img_size != config.img_size:
        state = model.resize_state(state, config, resize)
    if target.num_classes != config.num_classes:
        head = {f"head.{key}": t for key, t in model.get_classifier().state_dict().items()}
        state = {key: t for key, t in state.items() if not key.startswith("head.")} | head
    if model_class.FRESH:
        state = _with_fresh_parts(state, model.state_dict(), model_class.FRESH)
    load_state(model, state, weights.source)
    return model


def _require_same_sizes(name: str, family: str, variant: Any, weights: Weights) -> None:
    if weights.family != family:
        raise AllmlpError(
            f"{weights.source} holds a {weights.family}, {name} is a {family}; "
            f"name a {weights.family}"
        )
    if weights.name == name:  # the source knows its own sizes, changed ones included
        return
    for size in variant.SIZES:
        ours, theirs = getattr(variant, size), getattr(weights.config, size)
        if ours != theirs:
            raise AllmlpError(
                f"{weights.source} holds a {family} with {size} {theirs}, {name} has {ours}; "
                "name the variant that fits"
            )


def _with_fresh_parts(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], parts: tuple[str, ...]
) -> dict[str, Tensor]:
    """The weights, without optional parts this model has not and with those of its own it has."""
    kept = {k: t for k, t in state.items() if k in own or not k.startswith(parts)}
    return {k: t for k, t in own.items() if k.startswith(parts) and k not in state} | kept


def _from_file(path: Path, img_size: tuple[int, int] | None = None) -> Weights:
    tensors, settings = read_tensors(path), read_settings(path)
    try:
        converted = convert_state(tensors, img_size, settings)
    except AllmlpError as error:
        raise AllmlpError(f"{path}: {error}") from error
    return Weights(
        source=str(path),
        family=converted.family,
        config=converted.config,
        state=converted.state,
        format=converted.format,
        renamed=converted.renamed,
        notes=converted.notes,
    )


def _record_preprocess(record: WeightRecord) -> Preprocess:
    return Preprocess(
        img_size=(record.img_size, record.img_size),
        in_chans=3,
        mean=record.mean,
        std=record.std,
        interpolation=record.interpolation,
        crop=record.crop,
    )


def _hub_preprocess(config: Mapping[str, Any], weights: Weights) -> Preprocess | None:
    """What timm's config.json says; None where it says nothing."""
    stated = config.get("pretrained_cfg", config)
    try:
        return Preprocess(
            img_size=weights.config.img_size,
            in_chans=weights.config.in_chans,
            mean=tuple(map(float, stated["mean"])),
            std=tuple(map(float, stated["std"])),
            interpolation=stated.get("interpolation", "bilinear"),
            crop=float(stated.get("crop_pct", 1.0)),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _announce(line: str) -> None:
    """Tell whose weights these are and on what terms, whoever asked for them."""
    print(f"allmlp: {line}", file=sys.stderr)
