"""A classifier that also learns from a teacher's answers to the same inputs.

Axes: b batch, k classes.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.training.sigmoid import SigmoidClassification
from allmlp.training.task import Classification, Goal, Labels

__all__ = ["Distillation"]


class Distillation:
    """(1 − α) · loss of the labels + α · disagreement with the teacher.

    With a temperature T the teacher is a distribution, and the disagreement T² KL(p_T ‖ q_T) of the
    tempered ones (Hinton et al. 2015, arXiv:1503.02531; T² keeps the gradients' size). Without one
    it is a label, its most probable class, and the disagreement is cross-entropy (Touvron et al.
    2021, arXiv:2012.12877, eq. 3). The teacher sees the augmented inputs, and is asked in training
    alone: evaluations are those of `Classification`.

    Args:
        task: what is learned of the labels.
        teacher: answers in the same classes; on the device of the inputs. It is put into evaluation
            mode and does not change.
        weight: α, in [0, 1].
        temperature: T above 0, or None for the teacher's most probable class.

    Raises:
        AllmlpError: a weight or temperature outside its range.
    """

    metric = Classification.metric
    goals: Mapping[str, Goal] = Classification.goals

    def __init__(
        self,
        task: Classification | SigmoidClassification,
        teacher: nn.Module,
        *,
        weight: float = 0.5,
        temperature: float | None = None,
    ):
        if not 0 <= weight <= 1:
            raise AllmlpError(f"Distillation needs weight in [0, 1], got {weight!r}")
        if temperature is not None and not temperature > 0:
            raise AllmlpError(f"Distillation needs temperature above 0, got {temperature!r}")
        self.task = task
        self.teacher = teacher.eval()
        self.weight = weight
        self.temperature = temperature

    def loss(
        self, model: nn.Module, batch: tuple[Tensor, Labels]
    ) -> tuple[Tensor, Float[Tensor, "b k"]]:
        """The weighted sum of both, and the logits.

        Raises:
            AllmlpError: the teacher has another number of classes.
        """
        loss, logits = self.task.loss(model, batch)
        if not model.training:
            return loss, logits
        with torch.no_grad():
            answers = self.teacher(batch[0])
        if answers.shape != logits.shape:
            raise AllmlpError(
                f"the teacher must answer in the same classes {tuple(logits.shape)}, got "
                f"{tuple(answers.shape)}; take a teacher of the same data"
            )
        return (1 - self.weight) * loss + self.weight * self._disagreement(logits, answers), logits

    def standard_error(self, value: float, count: int) -> float:
        """As of `task`."""
        return self.task.standard_error(value, count)

    def step_sums(
        self, outputs: Float[Tensor, "b k"], batch: tuple[Tensor, Labels]
    ) -> dict[str, Tensor]:
        """As of `task`."""
        return self.task.step_sums(outputs, batch)

    def sums(
        self, outputs: Float[Tensor, "b k"], batch: tuple[Tensor, Labels]
    ) -> dict[str, Tensor]:
        """As of `task`."""
        return self.task.sums(outputs, batch)

    def _disagreement(
        self, logits: Float[Tensor, "b k"], answers: Float[Tensor, "b k"]
    ) -> Float[Tensor, ""]:
        if self.temperature is None:
            return F.cross_entropy(logits, answers.argmax(dim=1))
        t = self.temperature
        ours, theirs = (x.div(t).log_softmax(dim=1) for x in (logits, answers))
        return t**2 * F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
