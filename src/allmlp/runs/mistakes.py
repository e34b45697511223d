"""Pictures of what a model gets wrong, surest first."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from allmlp.data import ImageFiles, Preprocess
from allmlp.data.split import Images
from allmlp.runs.config import DataConfig
from allmlp.runs.entries import read_entries, write_entries
from allmlp.runs.images import prepare_images
from allmlp.runs.thumbnail import thumbnail

__all__ = ["MISTAKES", "Mistake", "read_mistakes", "save_mistakes", "worst_mistakes"]

MISTAKES = "mistakes.json"
_KEPT = 24  # pictures


@dataclass(frozen=True)
class Mistake:
    """An image taken for another class.

    Args:
        file: of its picture, beside `mistakes.json`.
        position: in the part of the data.
        name: of the image file; empty for images that have none.
        truth: its class.
        predicted: the class it was taken for.
        probability: of that class.
        truth_probability: of the right one.
    """

    file: str
    position: int
    name: str
    truth: str
    predicted: str
    probability: float
    truth_probability: float


def worst_mistakes(
    probabilities: Float[np.ndarray, "n k"], labels: Int[np.ndarray, " n"], limit: int
) -> list[int]:
    """Rows of the wrong answers that were given with the most confidence, surest first."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return [int(row) for row in wrong[order[:limit]]]


def save_mistakes(
    folder: Path,
    images: Images,
    preprocess: Preprocess,
    config: DataConfig,
    probabilities: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, " n"],
    positions: Int[np.ndarray, " n"],
    classes: Sequence[str],
) -> None:
    """Write the surest mistakes to `folder/mistakes.json` and `folder/mistakes/`.

    Args:
        folder: of the evaluation, which exists.
        images: the part that was predicted.
        preprocess: of the model; pictures are shown as it saw them.
        config: how images are read.
        probabilities: of all classes.
        labels: indices into `classes`.
        positions: of each row in `images`.
        classes: names.
    """
    pictures = folder / "mistakes"
    shutil.rmtree(pictures, ignore_errors=True)
    rows = worst_mistakes(probabilities, labels, _KEPT)
    found: list[Mistake] = []
    if rows:
        pictures.mkdir()
        chosen = torch.from_numpy(positions[rows])
        shown = prepare_images(images.take(chosen), preprocess, replace(config, workers=0))
        order = torch.arange(len(rows)).split(1)
        for row, (_, image, _) in zip(rows, shown.read(order), strict=True):
            content, suffix = thumbnail(image[0])
            file = f"mistakes/{len(found):02d}{suffix}"
            # a picture more or less spoils no run: no fsync for each
            (folder / file).write_bytes(content)
            position, best = int(positions[row]), int(probabilities[row].argmax())
            found.append(
                Mistake(
                    file=file,
                    position=position,
                    name=images.names[position] if isinstance(images, ImageFiles) else "",
                    truth=classes[labels[row]],
                    predicted=classes[best],
                    probability=float(probabilities[row, best]),
                    truth_probability=float(probabilities[row, labels[row]]),
                )
            )
    write_entries(folder / MISTAKES, found)


def read_mistakes(folder: Path) -> list[Mistake]:
    """What `save_mistakes` wrote; nothing if it never did.

    Raises:
        AllmlpError: the file is damaged.
    """
    return read_entries(folder / MISTAKES, Mistake, "make it anew by `allmlp eval`")
