"""A finished run in use: the model with everything it needs to answer.

Axes: n examples, c channels, h w pixels, k classes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor

from allmlp.data import BrokenImages, ImageFiles, ImageSet, Preprocess
from allmlp.data.split import Images
from allmlp.errors import AllmlpError
from allmlp.models.contract import VisionModel
from allmlp.runs.config import Config
from allmlp.runs.config_tree import build_config, read_yaml
from allmlp.runs.directory import RunDirectory
from allmlp.runs.gather import Answers, class_numbers, gather_answers
from allmlp.training import choose_device
from allmlp.zoo.stored import read_stored

__all__ = ["Predictions", "Run", "load_run"]

Picture = str | Path | Image.Image


@dataclass(frozen=True, eq=False)
class Predictions:
    """Class probabilities, and the names that go with them."""

    probabilities: Float[Tensor, "n k"]  # float32, on the CPU
    classes: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        """The most probable class of each example."""
        return [self.classes[i] for i in self.probabilities.argmax(dim=1).tolist()]

    def top(self, count: int) -> list[list[tuple[str, float]]]:
        """The `count` most probable classes of each example with their probabilities."""
        values, indices = self.probabilities.topk(min(count, len(self.classes)), dim=1)
        return [
            [(self.classes[i], p) for i, p in zip(row_i, row_p, strict=True)]
            for row_i, row_p in zip(indices.tolist(), values.tolist(), strict=True)
        ]


class Run:
    """A trained model, its preprocessing, its classes and the configuration it came from.

    Attributes:
        directory: where its files are.
        config: the resolved configuration.
        model: in eval mode, on `device`.
        preprocess: from images to what the model expects.
        classes: names, in the order of the outputs.
    """

    def __init__(
        self,
        directory: RunDirectory,
        config: Config,
        model: VisionModel,
        preprocess: Preprocess,
        classes: tuple[str, ...],
        device: torch.device,
    ):
        self.directory = directory
        self.config = config
        self.model = model.to(device).eval()
        self.preprocess = preprocess
        self.classes = classes
        self.device = device

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.directory.path

    def scores(self) -> dict[str, Any]:
        """What `eval/scores.json` holds: source, part, count, loss and accuracy of the test part.

        Raises:
            AllmlpError: the run was interrupted before it was scored.
        """
        return self.directory.read_json(self.directory.eval / "scores.json")

    def predict(
        self, images: Picture | Sequence[Picture] | UInt8[Tensor, "n c h w"] | np.ndarray
    ) -> Predictions:
        """Class probabilities of images.

        Args:
            images: a path or a Pillow image, several of them, or bytes of shape (n, c, h, w) in the
                model's size.

        Raises:
            AllmlpError: an image cannot be read, or bytes of another type or shape.
            NotFiniteError: the model answers NaN.
        """
        pixels = self._as_bytes(images)
        labels = torch.zeros(len(pixels), dtype=torch.int64)
        return self.predict_set(ImageSet(pixels, labels, self.classes))[0]

    def predict_set(self, data: ImageSet | ImageFiles) -> tuple[Predictions, Int64[Tensor, " n"]]:
        """Predictions for every readable example in order, and their labels on the CPU.

        Classes are matched by name; labels are indices into the run's classes.

        Raises:
            AllmlpError: the data has classes that the model does not know, or a set has other
                channels; or too many images cannot be read.
            NotFiniteError: the model answers NaN; the first image is named.
        """
        answers, labels = self.gather(data)
        return Predictions(answers.logits.softmax(dim=1), self.classes), labels

    def predict_all(
        self, data: ImageSet | ImageFiles, broken: BrokenImages
    ) -> tuple[list[str], Predictions]:
        """Predictions for every readable example in order, whatever its class, with its name.

        Files are decoded as they are needed. Examples of a set are called by their position.

        Args:
            data: its labels and classes mean nothing.
            broken: told of images that cannot be read.

        Raises:
            AllmlpError: a set has other channels, or too many images cannot be read.
            NotFiniteError: the model answers NaN.
        """
        config = replace(self.config, data=replace(self.config.data, cache_gib=0.0))
        answers = gather_answers(self.model, self.preprocess, data, config, self.device, broken)
        called = (lambda i: data.names[i]) if isinstance(data, ImageFiles) else str
        names = [called(position) for position in answers.positions.tolist()]
        return names, Predictions(answers.logits.softmax(dim=1), self.classes)

    def gather(self, data: Images) -> tuple[Answers, Int64[Tensor, " n"]]:
        """Logits for every readable image of a part, and their labels.

        Raises:
            AllmlpError: as `predict_set`.
            NotFiniteError: the model answers NaN.
        """
        number = class_numbers(data.classes, self.classes)
        answers = gather_answers(self.model, self.preprocess, data, self.config, self.device)
        return answers, number[data.labels[answers.positions]]

    def _as_bytes(self, images: Any) -> UInt8[Tensor, "n c h w"]:
        if isinstance(images, np.ndarray):
            images = torch.from_numpy(images)
        if isinstance(images, Tensor):
            shape = (self.preprocess.in_chans, *self.preprocess.img_size)
            if images.dtype != torch.uint8 or tuple(images.shape[1:]) != shape:
                sizes = ", ".join(map(str, shape))
                raise AllmlpError(
                    f"this run predicts from bytes (uint8) of shape (n, {sizes}), got "
                    f"{images.dtype} of shape {tuple(images.shape)}; pass paths to have images "
                    "read and scaled"
                )
            return images
        if isinstance(images, str | Path | Image.Image):
            images = [images]
        if not isinstance(images, Iterable) or not (pictures := list(images)):
            raise AllmlpError("predict needs at least one image")
        read = self.preprocess
        return torch.stack(
            [
                read.convert(p) if isinstance(p, Image.Image) else read.decode(Path(p))
                for p in pictures
            ]
        )


def load_run(path: str | Path, *, device: str = "auto") -> Run:
    """Open a run directory: the model of its best epoch, ready to predict.

    Args:
        path: the folder that `allmlp train` made.
        device: where the model shall run; `auto` takes an accelerator if there is one.

    Raises:
        AllmlpError: no run, no trained model in it, or damaged files.
    """
    directory = RunDirectory.open(path)
    directory.require_model()
    stored = read_stored(directory.path)
    preprocess, classes = stored.record.preprocess, stored.record.classes
    if preprocess is None or classes is None:
        raise AllmlpError(f"{directory.model} does not say how to prepare images; it is no run's")
    config = build_config(read_yaml(directory.config))
    return Run(directory, config, stored.build(), preprocess, classes, choose_device(device))
