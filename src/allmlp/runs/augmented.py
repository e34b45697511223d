"""Training images as the first batch of the first epoch showed them."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from allmlp.data import Preprocess, Splits, iterate_batches
from allmlp.runs.augment import build_augment, epoch_order
from allmlp.runs.config import Config
from allmlp.runs.entries import read_entries, write_entries
from allmlp.runs.images import prepare_images
from allmlp.runs.thumbnail import thumbnail

__all__ = ["AUGMENTED", "Augmented", "read_augmented", "save_augmented"]

AUGMENTED = "augmented.json"
_KEPT = 16  # pictures


@dataclass(frozen=True)
class Augmented:
    """One image.

    Args:
        file: of its picture, beside `augmented.json`.
        label: its class, or the shares of two mixed ones.
    """

    file: str
    label: str


def save_augmented(folder: Path, splits: Splits, preprocess: Preprocess, config: Config) -> None:
    """Write the first images of the first batch to `folder/augmented.json` and `augmented/`.

    Augmentation is a function of seed, epoch and visit, so these are the very images that were
    learned from, unless some cannot be read: decoded data leave those out before they are numbered.

    Args:
        folder: that exists.
        splits: the data; only the first batch of train is read.
        preprocess: of the model.
        config: of the run.

    Raises:
        AllmlpError: too many broken images.
    """
    # files are streamed: one batch of them is decoded, here
    data = replace(config.data, cache_gib=0.0, workers=0)
    part = splits.train
    train = prepare_images(part, preprocess, data)
    seed, augment = config.run.seed, build_augment(config.augment)
    batches = iterate_batches(
        train,
        preprocess,
        # mixing alone pairs the images of a batch
        _KEPT if augment.mix is None else config.train.batch_size,
        shuffle=(seed, 0),
        order=epoch_order(config.augment, part.labels.cpu(), seed, 0),
        augment=augment,
    )
    images, labels = next(batches)
    mean, std = (torch.tensor(v)[:, None, None] for v in (preprocess.mean, preprocess.std))
    pixels = ((images * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
    pictures = folder / "augmented"
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir()
    entries = []
    for number, (image, label) in enumerate(zip(pixels[:_KEPT], labels[:_KEPT], strict=True)):
        content, suffix = thumbnail(image)
        file = f"augmented/{number:02d}{suffix}"
        (folder / file).write_bytes(content)
        entries.append(Augmented(file, _describe(label, part.classes)))
    write_entries(folder / AUGMENTED, entries)


def read_augmented(folder: Path) -> list[Augmented]:
    """What `save_augmented` wrote; nothing if it never did.

    Raises:
        AllmlpError: the file is damaged.
    """
    return read_entries(folder / AUGMENTED, Augmented, "delete it")


def _describe(label: Tensor, classes: tuple[str, ...]) -> str:
    if label.ndim == 0:
        return classes[int(label)]
    shares = [(float(share), classes[i]) for i, share in enumerate(label) if share > 0]
    if len(shares) == 1:
        return shares[0][1]
    return " + ".join(f"{share:.2f} {name}" for share, name in sorted(shares, reverse=True))
