"""A term added to any task's loss that looks at the model itself."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from allmlp.training.task import Goal, Task

__all__ = ["Penalised", "Penalty"]


@runtime_checkable
class Penalty(Protocol):
    """What a model costs beside its errors."""

    def __call__(self, model: nn.Module, inputs: Any) -> Tensor:
        """A scalar to add to the loss, for a batch of inputs."""
        ...


class Penalised:
    """A task whose loss is minimised together with a penalty; evaluations leave the penalty out.

    Args:
        task: what is learned.
        penalty: what is added to its loss while gradients are taken.
    """

    def __init__(self, task: Task, penalty: Penalty):
        self.task = task
        self.penalty = penalty
        self.metric = task.metric
        self.goals: Mapping[str, Goal] = task.goals

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        """The task's loss and the penalty, and the outputs."""
        loss, outputs = self.task.loss(model, batch)
        if torch.is_grad_enabled():
            loss = loss + self.penalty(model, batch[0])
        return loss, outputs

    def standard_error(self, value: float, count: int) -> float:
        """The task's."""
        return self.task.standard_error(value, count)

    def step_sums(self, outputs: Tensor, batch: Any) -> dict[str, Tensor]:
        """The task's."""
        return self.task.step_sums(outputs, batch)

    def sums(self, outputs: Tensor, batch: Any) -> dict[str, Tensor]:
        """The task's."""
        return self.task.sums(outputs, batch)
