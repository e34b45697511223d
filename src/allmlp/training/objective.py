"""From `loss=` to a task, and the checks that targets fit the model's outputs.

Axes: b batch, k classes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice
from allmlp.training.members import MemberClassification, MemberRegression
from allmlp.training.task import Classification, Goal, Regression, Task

__all__ = ["LOSSES", "LossFunction", "Objective", "check_targets", "choose_task"]

LossFunction = Callable[[Any, Any], Tensor]
LOSSES = ("auto", "cross_entropy", "mse")


class Objective:
    """Any function of outputs and targets; what is reported is its own value.

    Args:
        function: (outputs, targets) to a scalar, a mean over the batch.
    """

    metric = "loss"
    goals: Mapping[str, Goal] = {"loss": "min"}

    def __init__(self, function: LossFunction):
        self.function = function

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Its value, and the outputs.

        Raises:
            AllmlpError: the value is no scalar tensor.
        """
        outputs = model(batch[0])
        loss = self.function(outputs, batch[1])
        if not isinstance(loss, Tensor) or loss.ndim > 0:
            got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise AllmlpError(f"the loss must be a scalar tensor, got {got}; take its mean")
        return loss, outputs

    def standard_error(self, value: float, count: int) -> float:
        """0: nothing is known of its distribution."""
        return 0.0

    def step_sums(self, outputs: Tensor, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Nothing beside the loss."""
        return {}

    def sums(self, outputs: Tensor, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Its value, once for every example."""
        return {"loss": self.function(outputs, batch[1]).detach() * len(batch[1])}


def choose_task(
    loss: Literal["auto", "cross_entropy", "mse"] | LossFunction, targets: Tensor
) -> Task:
    """What is learned; `auto` asks the targets: integers (b,) are classes, floats are values.

    Raises:
        AllmlpError: an unknown name, or targets that `auto` cannot tell.
    """
    if not isinstance(loss, str):
        return Objective(loss)
    check_choice("loss", loss, LOSSES)
    if loss == "auto":
        if targets.dtype != torch.int64 and not targets.is_floating_point():
            raise AllmlpError(
                f"targets are class indices (integers) or values (floats), got {targets.dtype}; "
                "convert them, or name the loss"
            )
        loss = "mse" if targets.is_floating_point() else "cross_entropy"
    return Classification() if loss == "cross_entropy" else Regression()


def check_targets(task: Task, outputs: Any, targets: Tensor, name: str) -> None:
    """Require targets that the task can compare with such outputs.

    Args:
        task: other than ours, it is left to itself.
        outputs: of the model, for at least one example.
        targets: of any number of examples.
        name: of the targets, for messages.

    Raises:
        AllmlpError: another dtype, another shape, or a class that the model has no output for.
    """
    if isinstance(task, Classification | MemberClassification):
        if targets.dtype != torch.int64 or targets.ndim != 1:
            raise AllmlpError(
                f"classification needs integer {name} of shape (b,), got {targets.dtype} of shape "
                f"{_rows(targets)}; {_remedy(targets)}"
            )
        if outputs.ndim != 2 and (outputs.ndim != 3 or isinstance(task, Classification)):
            raise AllmlpError(
                f"classification needs outputs of shape (b, k), the model gives {_rows(outputs)}"
            )
        low, high, classes = targets.min().item(), targets.max().item(), outputs.shape[-1]
        if low < 0 or high >= classes:
            raise AllmlpError(
                f"the model has {classes} classes, so {name} must lie in 0 … {classes - 1}, got "
                f"{low} … {high}"
            )
    elif isinstance(task, Regression | MemberRegression):
        if not targets.is_floating_point():
            raise AllmlpError(
                f"regression needs floating-point {name}, got {targets.dtype}; convert with "
                ".float()"
            )
        members = isinstance(task, MemberRegression) and outputs.ndim == 3
        if outputs.shape[2 if members else 1 :] != targets.shape[1:]:
            raise AllmlpError(
                f"{name} must have the shape of the outputs {_rows(outputs)}, got "
                f"{_rows(targets)}; reshape the {name}"
            )


def _rows(values: Tensor) -> str:
    return f"({', '.join(['b', *map(str, values.shape[1:])])}{',' * (values.ndim == 1)})"


def _remedy(targets: Tensor) -> str:
    if targets.is_floating_point() and targets.ndim == 1:
        return "convert with .long(), or take loss='mse'"
    if targets.shape[1:] == (1,):
        return "take [:, 0]"
    return "take the index of the class, or pass a loss of your own"
