"""The model of a run: fitted to its data, fresh or from somebody's weights."""

from dataclasses import replace

from allmlp.data import Preprocess
from allmlp.errors import AllmlpError
from allmlp.models.contract import VisionModel
from allmlp.runs.config import Config
from allmlp.runs.directory import RunDirectory
from allmlp.zoo import create_model
from allmlp.zoo.pretrained import build_pretrained, find_weights
from allmlp.zoo.registry import variant_name
from allmlp.zoo.stored import read_record

__all__ = ["build_for_data", "open_model", "rebuild"]

# follow from the data, or have fields of their own in the config tree
_NO_OVERRIDES = {"num_classes", "in_chans", "img_size"}


def open_model(
    name: str, pretrained: str | None
) -> tuple[VisionModel, Preprocess, tuple[str, ...] | None]:
    """A model with somebody's weights, as they are.

    Args:
        name: a variant with `pretrained`, or `variant.tag`.
        pretrained: weights, as in `create_model`.

    Returns:
        The model, how the weights want images prepared, and the names of the classes if they come
        with the weights.

    Raises:
        AllmlpError: an unknown model, no weights named, or weights that are missing, damaged, of
            another network, or silent about the images they want.
    """
    bare, _, tag = name.partition(".")
    variant = variant_name(bare)
    if bool(tag) == (pretrained is not None):
        raise AllmlpError(f"{name} needs weights, named once: {bare}.TAG, or --pretrained")
    weights = find_weights(variant, pretrained or tag)
    if weights.preprocess is None:
        raise AllmlpError(
            f"{weights.source} does not say how to prepare images; train from it with "
            "--model.pretrained, or give a run"
        )
    model = build_pretrained(variant, weights, {}, None)
    return model, weights.preprocess, weights.classes


def build_for_data(
    config: Config, num_classes: int, in_chans: int
) -> tuple[VisionModel, Preprocess | None]:
    """Build `config.model` for so many classes and channels.

    Pretrained weights keep their image size unless `data.img_size` names another, their channels
    whatever the data have, and their normalisation, so that images come as they learned them.

    Args:
        config: of the run.
        num_classes: of the data; weights for another number get a fresh head.
        in_chans: image channels of the data, for fresh weights.

    Returns:
        The model, frozen but for its head with `train.freeze`; and how its weights want images
        prepared, or None for fresh weights.

    Raises:
        AllmlpError: an unknown model or field, sizes that do not fit, or weights that are missing,
            damaged or of another network.
    """
    overrides = config.model.overrides
    taken = overrides.keys() & _NO_OVERRIDES
    if taken:
        raise AllmlpError(
            f"model.overrides.{min(taken)} follows from the data; "
            "for another image size set data.img_size"
        )
    if config.model.pretrained is None:
        if config.model.resize is not None or config.train.freeze:
            what = "train.freeze" if config.train.freeze else "model.resize"
            raise AllmlpError(f"{what} is for pretrained weights; set model.pretrained as well")
        model = create_model(
            config.model.name,
            num_classes=num_classes,
            in_chans=in_chans,
            img_size=config.data.img_size,
            **overrides,
        )
        return model, None

    name = variant_name(config.model.name)
    weights = find_weights(name, config.model.pretrained)
    given = {"num_classes": num_classes, **overrides}
    if config.data.img_size is not None:
        given["img_size"] = config.data.img_size
    model = build_pretrained(name, weights, given, config.model.resize)
    _freeze(model, config)
    if weights.preprocess is None:
        return model, None
    return model, replace(weights.preprocess, img_size=model.config.img_size)


def rebuild(directory: RunDirectory, config: Config) -> tuple[VisionModel, Preprocess]:
    """The model that a run began with, without its weights, and how its images are prepared.

    Raises:
        AllmlpError: the record is damaged.
    """
    record = read_record(directory.path)
    if record.preprocess is None:
        raise AllmlpError(f"{directory.model} does not say how to prepare images; it is no run's")
    model = record.build()
    _freeze(model, config)
    return model, record.preprocess


def _freeze(model: VisionModel, config: Config) -> None:
    if config.train.freeze:
        model.requires_grad_(False)
        model.get_classifier().requires_grad_(True)
