"""What is learned: batch to loss and outputs, outputs to sums of metrics.

Axes: b batch, k classes.
"""

import math
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from allmlp.errors import check_rates

__all__ = ["Classification", "Task"]


@runtime_checkable
class Task(Protocol):
    """The loop's only knowledge of what it trains for."""

    # a metric that `sums` knows, of which more is better: chooses the best checkpoint
    metric: str

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        """The scalar to minimise (mean over the batch), and the outputs it came from."""
        ...

    def standard_error(self, value: float, count: int) -> float:
        """How far `metric` may be off when measured on so many examples: less is noise."""
        ...

    def sums(self, outputs: Tensor, batch: Any) -> dict[str, Tensor]:
        """Sums over the batch, `count` among them: sum / count is the metric over many batches.

        The tensors stay on their device: nothing waits for them until somebody reads them.
        """
        ...


class Classification:
    """Softmax cross-entropy on (inputs, labels).

    Args:
        label_smoothing: share of the target spread evenly over all classes, in [0, 1). Applies to
            the loss that is minimised, not to the loss that is reported.

    Raises:
        AllmlpError: `label_smoothing` outside [0, 1).
    """

    metric = "accuracy"

    def __init__(self, label_smoothing: float = 0.0):
        check_rates("Classification", label_smoothing=label_smoothing)
        self.label_smoothing = label_smoothing

    def loss(
        self, model: nn.Module, batch: tuple[Tensor, Int64[Tensor, " b"]]
    ) -> tuple[Tensor, Float[Tensor, "b k"]]:
        """Smoothed cross-entropy, and the logits."""
        inputs, labels = batch
        logits = model(inputs)
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing), logits

    def standard_error(self, value: float, count: int) -> float:
        """Of an accuracy: sqrt(p (1 - p) / n), with p drawn in by one hit and one miss.

        Example:
            >>> round(Classification().standard_error(1.0, 180), 4)
            0.0055
        """
        p = (value * count + 1) / (count + 2)  # else a perfect score would have no error at all
        return math.sqrt(p * (1 - p) / count)

    def sums(
        self, outputs: Float[Tensor, "b k"], batch: tuple[Tensor, Int64[Tensor, " b"]]
    ) -> dict[str, Tensor]:
        """Plain cross-entropy in nats and the number of hits."""
        labels = batch[1]
        logits = outputs.detach().float()
        return {
            "count": torch.tensor(len(labels), device=logits.device),
            "loss": F.cross_entropy(logits, labels, reduction="sum"),
            "accuracy": (logits.argmax(dim=1) == labels).sum(),
        }
