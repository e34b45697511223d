"""From a run's settings to what it minimises.

Axes: b batch, c channels, h w pixels, k classes.
"""

import hashlib
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.data import ImageSet, ImageStream, Preprocess
from allmlp.errors import AllmlpError, check_rates, listing, unknown_name
from allmlp.runs.config import TrainConfig
from allmlp.runs.directory import RunDirectory
from allmlp.runs.run import Run, load_run
from allmlp.training import Classification, Distillation, SigmoidClassification

__all__ = ["Teacher", "build_task", "check_objective", "teacher_digest"]


def check_objective(config: TrainConfig) -> None:
    """Require settings that make sense, before anything is read or written.

    Raises:
        AllmlpError: one does not, or there is no such teacher.
    """
    check_rates("train", label_smoothing=config.label_smoothing)
    if config.loss == "bce" and config.class_weights is not None:
        raise AllmlpError(
            "train.class_weights are factors of cross-entropy; leave them unset with "
            "train.loss bce, or visit rare classes more often with augment.balanced"
        )
    if isinstance(config.class_weights, dict):
        for name, weight in config.class_weights.items():
            number = isinstance(weight, int | float) and not isinstance(weight, bool)
            if not number or not 0 <= weight < math.inf:
                raise AllmlpError(
                    f"train.class_weights.{name} must be a finite number of at least 0, got "
                    f"{weight!r}"
                )
    # checks itself
    Distillation(
        Classification(),
        nn.Identity(),
        weight=config.teacher_weight,
        temperature=config.teacher_temperature,
    )
    if config.teacher is not None:
        RunDirectory.open(config.teacher).require_model()


def build_task(
    config: TrainConfig, data: ImageSet | ImageStream, preprocess: Preprocess, device: torch.device
) -> Classification | SigmoidClassification | Distillation:
    """What is minimised over the training part, on the device where it is.

    Raises:
        AllmlpError: weights of classes that the data lack, or a teacher of other classes or images.
    """
    task: Classification | SigmoidClassification
    if config.loss == "bce":
        task = SigmoidClassification(config.label_smoothing)
    else:
        task = Classification(config.label_smoothing, _class_weights(config, data, device))
    if config.teacher is None:
        return task
    return Distillation(
        task,
        Teacher(load_run(config.teacher, device=str(device)), preprocess, data.classes),
        weight=config.teacher_weight,
        temperature=config.teacher_temperature,
    )


def teacher_digest(config: TrainConfig) -> str | None:
    """Of the teacher's weights, which must not change while a run depends on them."""
    if config.teacher is None:
        return None
    content = RunDirectory.open(config.teacher).weights.read_bytes()
    return hashlib.blake2b(content, digest_size=8).hexdigest()


class Teacher(nn.Module):
    """A run's model, asked with images as another model wants them.

    Args:
        run: the teacher; its model is used as it is.
        preprocess: by which the images come.
        classes: in the order wanted of the answers.

    Raises:
        AllmlpError: the teacher takes images of another size or channels, or lacks a class.
    """

    scale: Tensor
    shift: Tensor
    columns: Tensor

    def __init__(self, run: Run, preprocess: Preprocess, classes: tuple[str, ...]):
        super().__init__()
        own = run.preprocess
        if (own.img_size, own.in_chans) != (preprocess.img_size, preprocess.in_chans):
            raise AllmlpError(
                f"the teacher {run.path} takes {_spell(own)} images, the model "
                f"{_spell(preprocess)}; set data.img_size to the teacher's, or take another teacher"
            )
        if unknown := [name for name in classes if name not in run.classes]:
            raise AllmlpError(
                f"the teacher {run.path} does not know {listing(unknown)}; take one that was "
                "trained on the same classes"
            )
        self.model = run.model
        # (x · std + mean), and normalised anew
        mean, std, own_mean, own_std = (
            torch.tensor(values, dtype=torch.float64)[:, None, None]
            for values in (preprocess.mean, preprocess.std, own.mean, own.std)
        )
        self.register_buffer("scale", (std / own_std).float())
        self.register_buffer("shift", ((mean - own_mean) / own_std).float())
        self.register_buffer("columns", torch.tensor([run.classes.index(name) for name in classes]))
        self.to(run.device)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """Logits of `classes`."""
        logits: Tensor = self.model(images * self.scale + self.shift)
        return logits[:, self.columns]


def _class_weights(
    config: TrainConfig, data: ImageSet | ImageStream, device: torch.device
) -> Float[Tensor, " k"] | None:
    if config.class_weights is None:
        return None
    if config.class_weights == "balanced":
        counts = torch.bincount(data.labels.cpu(), minlength=len(data.classes))
        # every class that has examples weighs the same in all, and the examples 1 on average
        present = int((counts > 0).sum())
        return (len(data) / (present * counts.clamp(min=1))).float().to(device)
    for name in config.class_weights:
        if name not in data.classes:
            raise AllmlpError(unknown_name("class in train.class_weights", name, data.classes))
    weights = [float(config.class_weights.get(name, 1.0)) for name in data.classes]
    return torch.tensor(weights, device=device)


def _spell(preprocess: Preprocess) -> str:
    height, width = preprocess.img_size
    return f"{height}x{width}x{preprocess.in_chans}"
