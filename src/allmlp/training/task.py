"""What is learned: batch to loss and outputs, outputs to sums of metrics.

Axes: b batch, k classes.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_rates

__all__ = ["Classification", "Goal", "Regression", "Task"]

Goal = Literal["min", "max"]
Labels = Int64[Tensor, " b"] | Float[Tensor, "b k"]


@runtime_checkable
class Task(Protocol):
    """The loop's only knowledge of what it trains for."""

    # the metric that chooses the best epoch, one of `goals`
    metric: str
    # every metric that `sums` knows, and which way it is better
    goals: Mapping[str, Goal]

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        """The scalar to minimise (mean over the batch), and the outputs it came from."""
        ...

    def standard_error(self, value: float, count: int) -> float:
        """How far `metric` may be off when measured on so many examples: less is noise."""
        ...

    def step_sums(self, outputs: Tensor, batch: Any) -> dict[str, Tensor]:
        """Sums over a training batch that cost next to nothing, for reports beside the loss.

        The tensors stay on their device: nothing waits for them until somebody reads them.
        """
        ...

    def sums(self, outputs: Tensor, batch: Any) -> dict[str, Tensor]:
        """Sums over the batch of every metric: sum / count is the metric over many batches."""
        ...


class Classification:
    """Softmax cross-entropy on (inputs, labels): one class each (b,), or weights of all (b, k).

    Of weighted labels, as mixup makes them, a hit is the class of the largest weight.

    Args:
        label_smoothing: share of the target spread evenly over all classes, in [0, 1). Applies to
            the loss that is minimised, not to evaluations.
        class_weights: (k,) factors of each class's share of the loss that is minimised, or None for
            1. The loss is the mean over examples, not over weights, so that an example counts the
            same in every batch; let them average 1 over the data to keep the learning rate's scale.

    Raises:
        AllmlpError: `label_smoothing` outside [0, 1).
    """

    metric = "accuracy"
    goals: Mapping[str, Goal] = {"loss": "min", "accuracy": "max"}

    def __init__(
        self, label_smoothing: float = 0.0, class_weights: Float[Tensor, " k"] | None = None
    ):
        check_rates("Classification", label_smoothing=label_smoothing)
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights

    def loss(
        self, model: nn.Module, batch: tuple[Tensor, Labels]
    ) -> tuple[Tensor, Float[Tensor, "b k"]]:
        """Smoothed cross-entropy, and the logits."""
        inputs, labels = batch
        logits = model(inputs)
        smoothing, weights = self.label_smoothing, self.class_weights
        if weights is None:
            return F.cross_entropy(logits, labels, label_smoothing=smoothing), logits
        losses = F.cross_entropy(
            logits, labels, weights.to(logits), label_smoothing=smoothing, reduction="none"
        )
        return losses.mean(), logits

    def standard_error(self, value: float, count: int) -> float:
        """Of an accuracy: sqrt(p (1 - p) / n), with p drawn in by one hit and one miss.

        Example:
            >>> round(Classification().standard_error(1.0, 180), 4)
            0.0055
        """
        p = (value * count + 1) / (count + 2)  # else a perfect score would have no error at all
        return math.sqrt(p * (1 - p) / count)

    def step_sums(
        self, outputs: Float[Tensor, "b k"], batch: tuple[Tensor, Labels]
    ) -> dict[str, Tensor]:
        """The number of hits."""
        labels = batch[1] if batch[1].ndim == 1 else batch[1].argmax(dim=1)
        return {"accuracy": (outputs.detach().argmax(dim=1) == labels).count_nonzero()}

    def sums(
        self, outputs: Float[Tensor, "b k"], batch: tuple[Tensor, Labels]
    ) -> dict[str, Tensor]:
        """Plain cross-entropy in nats, and the number of hits."""
        loss = F.cross_entropy(outputs.detach().float(), batch[1], reduction="sum")
        return {"loss": loss, **self.step_sums(outputs, batch)}


class Regression:
    """Squared error on (inputs, targets), both of the shape that the model answers in.

    A model that ends in one output gives (b, 1): targets of shape (b,) would be broadcast to
    (b, b) without a word, so shapes must be equal.
    """

    metric = "loss"
    goals: Mapping[str, Goal] = {"loss": "min", "mae": "min"}

    def loss(
        self, model: nn.Module, batch: tuple[Tensor, Float[Tensor, "b *k"]]
    ) -> tuple[Tensor, Float[Tensor, "b *k"]]:
        """Mean squared error over examples and outputs, and the outputs.

        Raises:
            AllmlpError: outputs and targets of different shapes.
        """
        inputs, targets = batch
        outputs = model(inputs)
        _check_shapes(outputs, targets)
        return F.mse_loss(outputs, targets), outputs

    def standard_error(self, value: float, count: int) -> float:
        """0: that of a squared error depends on the distribution of the errors."""
        return 0.0

    def step_sums(self, outputs: Tensor, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Nothing beside the loss."""
        return {}

    def sums(
        self, outputs: Float[Tensor, "b *k"], batch: tuple[Tensor, Float[Tensor, "b *k"]]
    ) -> dict[str, Tensor]:
        """Squared and absolute error, each a mean over the outputs of an example."""
        # in float32 at least: what float64 tells apart stays apart
        dtype = torch.promote_types(outputs.dtype, torch.float32)
        error = (outputs.detach().to(dtype) - batch[1].to(dtype)).reshape(len(outputs), -1)
        return {"loss": error.square().mean(dim=1).sum(), "mae": error.abs().mean(dim=1).sum()}


def _check_shapes(outputs: Tensor, targets: Tensor) -> None:
    if outputs.shape != targets.shape:
        raise AllmlpError(
            f"targets must have the shape of the outputs {tuple(outputs.shape)}, got "
            f"{tuple(targets.shape)}; reshape the targets"
        )
