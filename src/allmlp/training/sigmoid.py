"""Classes as independent yes-no questions.

Wightman, Touvron, Jégou 2021, ResNet strikes back, arXiv:2110.00476, §2. Axes: b batch, k classes.
"""

from collections.abc import Mapping

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_rates
from allmlp.training.task import Classification, Goal, Labels

__all__ = ["SigmoidClassification"]


class SigmoidClassification:
    """Binary cross-entropy on (inputs, labels), a mean over examples and classes.

    Labels are one class each (b,), or targets of all classes (b, k). Predictions are the classes of
    the largest logit, as with `Classification`.

    Args:
        label_smoothing: ε: targets y become (1 − ε) y + ε / k, in the loss that is minimised.

    Raises:
        AllmlpError: `label_smoothing` outside [0, 1).
    """

    metric = "accuracy"
    goals: Mapping[str, Goal] = {"loss": "min", "accuracy": "max"}

    def __init__(self, label_smoothing: float = 0.0):
        check_rates("SigmoidClassification", label_smoothing=label_smoothing)
        self.label_smoothing = label_smoothing
        self._hits = Classification()

    def loss(
        self, model: nn.Module, batch: tuple[Tensor, Labels]
    ) -> tuple[Tensor, Float[Tensor, "b k"]]:
        """Smoothed binary cross-entropy, and the logits."""
        inputs, labels = batch
        logits = model(inputs)
        smoothed = _targets(labels, logits).mul(1 - self.label_smoothing)
        smoothed = smoothed + self.label_smoothing / logits.shape[1]
        return F.binary_cross_entropy_with_logits(logits, smoothed), logits

    def standard_error(self, value: float, count: int) -> float:
        """Of an accuracy, as in `Classification`."""
        return self._hits.standard_error(value, count)

    def step_sums(
        self, outputs: Float[Tensor, "b k"], batch: tuple[Tensor, Labels]
    ) -> dict[str, Tensor]:
        """The number of hits."""
        return self._hits.step_sums(outputs, batch)

    def sums(
        self, outputs: Float[Tensor, "b k"], batch: tuple[Tensor, Labels]
    ) -> dict[str, Tensor]:
        """Plain binary cross-entropy in nats, a mean over classes, and the number of hits."""
        logits = outputs.detach().float()
        losses = F.binary_cross_entropy_with_logits(
            logits, _targets(batch[1], logits), reduction="none"
        )
        return {"loss": losses.mean(dim=1).sum(), **self.step_sums(outputs, batch)}


def _targets(labels: Labels, logits: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
    return (F.one_hot(labels, logits.shape[1]) if labels.ndim == 1 else labels).to(logits)
