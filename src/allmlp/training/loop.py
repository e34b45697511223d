"""The training loop, whole: step, log, evaluate. Everything around it is somebody else's.

`runs` stores what it yields, and any script can drive it by hand:

    loop = Loop(model, Classification(), optimizer, scheduler)
    for epoch in range(epochs):
        for report in loop.train_epoch(batches(epoch)):
            print(report)
        print(evaluate(model, task, validation_batches))
"""

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from allmlp.errors import AllmlpError
from allmlp.training.task import Task

__all__ = ["Loop", "StepReport", "evaluate"]


@dataclass(frozen=True)
class StepReport:
    """Means over the steps since the last report of this epoch."""

    step: int  # optimizer steps taken so far
    epoch: int  # epochs completed before the one under way
    metrics: dict[str, float]
    lr: float  # of the first parameter group, at the last step
    examples_per_second: float


class Loop:
    """A model in training, and how far it has come.

    Args:
        model: on its device.
        task: what it learns.
        optimizer: over the model's parameters.
        scheduler: advanced once per optimizer step.
        autocast_dtype: of matrix products, or None for the model's own dtype.
        clip: largest global norm of the gradient; None leaves gradients alone.
        log_every: steps between reports.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        optimizer: torch.optim.Optimizer,
        scheduler: LRScheduler,
        *,
        autocast_dtype: torch.dtype | None = None,
        clip: float | None = None,
        log_every: int = 10,
    ):
        self.model = model
        self.task = task
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.autocast_dtype = autocast_dtype
        self.clip = clip
        self.log_every = log_every
        self.step = 0
        self.epoch = 0

    def train_epoch(self, batches: Iterable[Any]) -> Iterator[StepReport]:
        """Take one step per batch; report every `log_every` steps and at the end.

        Raises:
            AllmlpError: the loss is no longer finite; noticed at the next report, so that the
                device need not be waited for at every step.
        """
        self.model.train()
        totals: dict[str, Tensor] = {}
        started = time.perf_counter()
        for batch in batches:
            lr = self.optimizer.param_groups[0]["lr"]
            outputs = self._step(batch)
            _add(totals, self.task.sums(outputs, batch))
            self.step += 1
            if self.step % self.log_every == 0:
                yield self._report(totals, lr, started)
                totals, started = {}, time.perf_counter()
        if totals:
            yield self._report(totals, lr, started)
        self.epoch += 1

    def _step(self, batch: Any) -> Tensor:
        with _autocast(self.model, self.autocast_dtype):
            loss, outputs = self.task.loss(self.model, batch)
        loss.backward()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.scheduler.step()
        return outputs

    def _report(self, totals: dict[str, Tensor], lr: float, started: float) -> StepReport:
        metrics, count = _means(totals)  # waits for the device
        if not math.isfinite(metrics["loss"]):
            raise AllmlpError(
                f"the loss is {metrics['loss']} at step {self.step} (learning rate {lr:.3g}); "
                "lower the learning rate, clip the gradient, or train in fp32"
            )
        rate = count / (time.perf_counter() - started)
        return StepReport(self.step, self.epoch, metrics, lr, rate)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, but for the random state."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "step": self.step,
            "epoch": self.epoch,
        }


@torch.no_grad()
def evaluate(
    model: nn.Module,
    task: Task,
    batches: Iterable[Any],
    autocast_dtype: torch.dtype | None = None,
) -> dict[str, float]:
    """Metrics over all batches, each example weighted equally; the model's mode is restored.

    Raises:
        AllmlpError: there is nothing to evaluate on.
    """
    was_training = model.training
    model.eval()
    totals: dict[str, Tensor] = {}
    for batch in batches:
        with _autocast(model, autocast_dtype):
            _, outputs = task.loss(model, batch)
        _add(totals, task.sums(outputs, batch))
    model.train(was_training)
    if not totals:
        raise AllmlpError("evaluation needs at least one example, got none")
    return _means(totals)[0]


def _autocast(model: nn.Module, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    if dtype is None:
        return nullcontext()
    return torch.autocast(next(model.parameters()).device.type, dtype)


def _add(totals: dict[str, Tensor], sums: dict[str, Tensor]) -> None:
    for name, value in sums.items():
        totals[name] = totals[name] + value if name in totals else value


def _means(totals: dict[str, Tensor]) -> tuple[dict[str, float], int]:
    values = {name: total.item() for name, total in totals.items()}
    count = values.pop("count")
    return {name: value / count for name, value in values.items()}, int(count)
