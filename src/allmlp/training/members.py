"""Tasks for weighted examples, and for models whose members each give an answer of their own.

Of an ensemble the mean of the members' losses is minimised, never the loss of their mean: members
that answer for each other stop being an ensemble (Gorishniy et al. 2024, arXiv:2410.24210, §3.3).
What is judged is their common answer: the mean, for classes of the probabilities.

Axes: b batch, k members (absent if the model is one network), c classes, o outputs.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice, check_rates
from allmlp.training.task import Goal

__all__ = ["MemberClassification", "MemberRegression", "mean_answer", "probabilities"]

# inputs, targets and perhaps weights
Batch = tuple[Tensor, ...]


def probabilities(logits: Float[Tensor, "b *k c"]) -> Float[Tensor, "b c"]:
    """Of the classes: the mean of the members' softmax.

    Example:
        >>> probabilities(torch.tensor([[[0.0, 0.0], [0.0, torch.inf]]]).nan_to_num(posinf=99.0))
        tensor([[0.2500, 0.7500]])
    """
    shares = logits.softmax(dim=-1)
    return shares.mean(dim=1) if shares.ndim == 3 else shares


def mean_answer(outputs: Float[Tensor, "b *k o"]) -> Float[Tensor, "b o"]:
    """The mean of the members' answers."""
    return outputs.mean(dim=1) if outputs.ndim == 3 else outputs


class MemberClassification:
    """Softmax cross-entropy of every member on (inputs, labels) or (inputs, labels, weights).

    Args:
        metric: that chooses the best epoch, `loss` or `accuracy`.
        label_smoothing: share of the target spread evenly over all classes while training.

    Raises:
        AllmlpError: another metric, or a `label_smoothing` outside [0, 1).
    """

    goals: Mapping[str, Goal] = {"loss": "min", "accuracy": "max"}

    def __init__(self, metric: str = "accuracy", label_smoothing: float = 0.0):
        check_choice("metric", metric, self.goals)
        check_rates("MemberClassification", label_smoothing=label_smoothing)
        self.metric = metric
        self.label_smoothing = label_smoothing

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Float[Tensor, "b *k c"]]:
        """Mean over members and weighted examples, and the logits."""
        inputs, labels, *weights = batch
        logits = model(inputs)
        each = labels if logits.ndim == 2 else labels[:, None].expand(logits.shape[:2])
        flat = logits.flatten(0, -2)
        if not weights:
            return (
                F.cross_entropy(flat, each.flatten(), label_smoothing=self.label_smoothing),
                logits,
            )
        losses = F.cross_entropy(
            flat, each.flatten(), reduction="none", label_smoothing=self.label_smoothing
        )
        return _weighted(losses.view(len(labels), -1).mean(dim=1), weights[0]), logits

    def standard_error(self, value: float, count: int) -> float:
        """0: the best epoch is the best one. Without a schedule that ends, later is no better."""
        return 0.0

    def step_sums(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Nothing beside the loss."""
        return {}

    def sums(self, outputs: Float[Tensor, "b *k c"], batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy in nats of the common answer, and the weight of its hits."""
        _, labels, *weights = batch
        shares = probabilities(outputs.detach().float())
        # log(0) would make one sure and wrong answer infinitely bad
        right = shares.gather(1, labels[:, None]).squeeze(1).clamp(min=1e-12)
        hits = (shares.argmax(dim=1) == labels).float()
        weight = weights[0] if weights else torch.ones_like(hits)
        return {"loss": -(right.log() * weight).sum(), "accuracy": (hits * weight).sum()}


class MemberRegression:
    """Squared error of every member on (inputs, targets) or (inputs, targets, weights)."""

    metric = "loss"
    goals: Mapping[str, Goal] = {"loss": "min", "mae": "min"}

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Float[Tensor, "b *k o"]]:
        """Mean over outputs, members and weighted examples, and the outputs.

        Raises:
            AllmlpError: outputs for another number of values than the targets have.
        """
        inputs, targets, *weights = batch
        outputs = model(inputs)
        answer = outputs.shape[:1] + outputs.shape[-1:]
        if targets.shape != answer:
            raise AllmlpError(
                f"targets must have the shape of the answers {tuple(answer)}, got "
                f"{tuple(targets.shape)}; reshape the targets"
            )
        each = targets if outputs.ndim == 2 else targets[:, None].expand(outputs.shape)
        if not weights:
            return F.mse_loss(outputs, each), outputs
        return _weighted((outputs - each).square().flatten(1).mean(dim=1), weights[0]), outputs

    def standard_error(self, value: float, count: int) -> float:
        """0, as for classes."""
        return 0.0

    def step_sums(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Nothing beside the loss."""
        return {}

    def sums(self, outputs: Float[Tensor, "b *k o"], batch: Batch) -> dict[str, Tensor]:
        """Squared and absolute error of the common answer, each a mean over the outputs."""
        _, targets, *weights = batch
        # in float32 at least; in float64 an exact law's error of 1e-12 is told from one of 1e-8
        dtype = torch.promote_types(outputs.dtype, torch.float32)
        error = mean_answer(outputs.detach().to(dtype)) - targets.to(dtype)
        weight = weights[0] if weights else torch.ones_like(error[:, 0])
        return {
            "loss": (error.square().mean(dim=1) * weight).sum(),
            "mae": (error.abs().mean(dim=1) * weight).sum(),
        }


def _weighted(losses: Float[Tensor, " b"], weights: Float[Tensor, " b"]) -> Tensor:
    # the weights' mean over all examples is 1, so that the batches of an epoch add up
    return (losses * weights).mean()
