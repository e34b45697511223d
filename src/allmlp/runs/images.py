"""A source's images as one run's settings want them: in memory or streamed, some maybe broken."""

from dataclasses import dataclass, replace

from allmlp.data import BrokenImages, ImageSet, ImageStream, Preprocess, Splits, prepare
from allmlp.data.split import Images
from allmlp.errors import AllmlpError, check_integers, check_rates
from allmlp.runs.config import DataConfig

__all__ = ["TrainImages", "check_data", "prepare_images", "prepare_training"]


@dataclass(frozen=True, eq=False)
class TrainImages:
    """What a model is fitted to and chosen by."""

    train: ImageSet | ImageStream
    val: ImageSet | ImageStream
    notes: tuple[str, ...]  # about the source, for people
    broken: BrokenImages  # of streams it grows while they are read


def check_data(config: DataConfig) -> None:
    """Require settings that make sense.

    Raises:
        AllmlpError: one does not.
    """
    if config.workers is not None:
        check_integers("data", minimum=0, workers=config.workers)
    if config.samples is not None:
        check_integers("data", minimum=1, samples=config.samples)
    check_rates("data", max_broken=config.max_broken)
    if not config.cache_gib >= 0:
        raise AllmlpError(f"data.cache_gib must not be negative, got {config.cache_gib}")


def prepare_images(
    images: Images, preprocess: Preprocess, config: DataConfig, broken: BrokenImages | None = None
) -> ImageSet | ImageStream:
    """Images at the model's size.

    Args:
        images: of one part.
        preprocess: of the model.
        config: says what fits into memory, and how many images may be broken.
        broken: a count to go on with; None starts one for these images.

    Raises:
        AllmlpError: too many broken images.
    """
    return prepare(
        images,
        preprocess,
        broken=broken or BrokenImages(len(images), config.max_broken),
        cache_gib=config.cache_gib,
        workers=config.workers,
    )


def prepare_training(
    splits: Splits, preprocess: Preprocess, config: DataConfig, *, crops: bool = False
) -> TrainImages:
    """Train and val at the model's size.

    Args:
        splits: of a source.
        preprocess: of the model.
        config: says what fits into memory, and how many images may be broken.
        crops: the train part is cropped at random, which takes files at their full size: they are
            streamed, however few they are.

    Raises:
        AllmlpError: fewer than two classes, or too many broken images.
    """
    classes = splits.train.classes
    if len(classes) < 2:
        raise AllmlpError(
            f"{config.source} has one class only ({classes[0]}); a classifier needs at least two"
        )
    broken = BrokenImages(len(splits.train) + len(splits.val), config.max_broken)
    streamed = replace(config, cache_gib=0.0) if crops else config
    train = prepare_images(splits.train, preprocess, streamed, broken)
    val = prepare_images(splits.val, preprocess, config, broken)
    return TrainImages(train, val, splits.notes, broken)
