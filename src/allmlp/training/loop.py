"""The training loop, whole: step and log. Everything around it is somebody else's.

`runs` stores what it yields, and any script can drive it by hand:

    loop = Loop(model, Classification(), optimizer, scheduler)
    for epoch in range(epochs):
        for report in loop.train_epoch(batches(epoch)):
            if report:
                print(report)
        print(evaluate(model, task, validation_batches))
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from allmlp.data import Padding
from allmlp.errors import AllmlpError, check_integers
from allmlp.training.batch import split_batch
from allmlp.training.parallel import (
    load_model_state,
    load_optimizer_state,
    model_state,
    optimizer_state,
    syncing,
    unwrap,
)
from allmlp.training.precision import autocast
from allmlp.training.random_state import random_state, restore_random_state
from allmlp.training.ranks import ALONE, Ranks
from allmlp.training.schedule_free import at_answer, begin, is_schedule_free, move_to_answer
from allmlp.training.sums import add_sums
from allmlp.training.task import Task

__all__ = ["Loop", "NotFiniteError", "StepReport", "Watcher"]


@dataclass(frozen=True)
class StepReport:
    """Means over the steps since the last report of this epoch."""

    step: int  # optimizer steps taken so far
    epoch: int  # epochs completed before the one under way
    metrics: dict[str, float]  # the loss that is minimised, and what the task counts beside it
    lr: float  # of the first parameter group, at the last step
    examples_per_second: float


class NotFiniteError(AllmlpError):
    """The loss or a parameter is no longer a number."""


@runtime_checkable
class Watcher(Protocol):
    """Looks on while a loop trains, and changes nothing."""

    def begin(self, step: int) -> None:
        """A step begins, after `step` others."""
        ...

    def after_backward(self) -> None:
        """Its gradients are complete and not yet clipped."""
        ...

    def after_step(self) -> None:
        """The parameters have moved; the gradients are still there."""
        ...


class Loop:
    """A model in training, and how far it has come.

    Args:
        model: on its device; or what `distribute` made of it.
        task: what it learns.
        optimizer: over the model's parameters. One that is schedule-free is put into training mode.
        scheduler: advanced once per optimizer step.
        average: of the weights, updated after every step; it is what gets evaluated then.
        autocast_dtype: of matrix products, or None for the model's own dtype.
        clip: largest global norm of the gradient; None leaves gradients alone.
        accumulate: slices that a batch is put through the model in, to save memory. Their
            gradients are weighted so that the step is that of the whole batch.
        log_every: steps between reports.
        ranks: the processes that share each batch.
        watchers: told of every step.

    Raises:
        AllmlpError: an average beside a schedule-free optimizer, which has its own.

    Attributes:
        step: optimizer steps taken.
        epoch: epochs completed.
        batch: batches taken of the epoch under way.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        optimizer: torch.optim.Optimizer,
        scheduler: LRScheduler,
        *,
        average: AveragedModel | None = None,
        autocast_dtype: torch.dtype | None = None,
        clip: float | None = None,
        accumulate: int = 1,
        log_every: int = 10,
        ranks: Ranks = ALONE,
        watchers: Sequence[Watcher] = (),
    ):
        check_integers("Loop", minimum=1, accumulate=accumulate, log_every=log_every)
        self.model = model
        self.task = task
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.average = average
        self.autocast_dtype = autocast_dtype
        self.clip = clip
        self.accumulate = accumulate
        self.log_every = log_every
        self.ranks = ranks
        self.watchers = watchers
        self.device = next(model.parameters()).device
        self._schedule_free = is_schedule_free(optimizer)
        if self._schedule_free:
            if average is not None:
                raise AllmlpError(
                    "a schedule-free optimizer averages the weights itself; leave ema unset"
                )
            begin(optimizer)
        self.step = 0
        self.epoch = 0
        self.batch = 0
        # since the last report, of this process
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self._began = time.perf_counter()
        self._carried = 0  # examples of the sums that an earlier process has counted
        self._lr = math.nan
        # to be restored before the next step
        self._random: dict[str, Any] | None = None

    @contextmanager
    def judging(self, batches: Callable[[], Iterable[Any]] = list) -> Iterator[nn.Module]:
        """The model as it should be judged and kept: the average, if there is one.

        Of a schedule-free optimizer it is the model itself, with the weights that the optimizer
        answers with for as long as the block lasts. Copy what shall last longer.

        Args:
            batches: makes batches of the training, the same in every process, from which a
                schedule-free optimizer's batch norms are computed anew.
        """
        model = unwrap(self.model)
        if self._schedule_free:
            with at_answer(model, self.optimizer, batches, self._autocast):
                yield model
        else:
            yield model if self.average is None else self.average.module

    def settle(self, batches: Callable[[], Iterable[Any]] = list) -> None:
        """Leave the model for good with the weights that `judging` gives it for a while."""
        model = unwrap(self.model)
        if self._schedule_free:
            move_to_answer(model, self.optimizer, batches, self._autocast)
        elif self.average is not None:
            model.load_state_dict(self.average.module.state_dict())

    @property
    def _autocast(self) -> Callable[[], AbstractContextManager[Any]]:
        return partial(autocast, self.device, self.autocast_dtype)

    def train_epoch(self, batches: Iterable[Any]) -> Iterator[StepReport | None]:
        """Take one step per batch, and give control back after each.

        Whoever iterates may stop after any step: everything is in order then, and `state_dict`
        knows where the epoch was left. Modules whose parameters are all frozen are in evaluation
        mode: their batch norms keep their statistics, and nothing in them drops out.

        Args:
            batches: of the epoch under way, from number `batch` on; of each the share of this
                process.

        Yields:
            A report every `log_every` steps and at the end of the epoch, None after other steps.

        Raises:
            NotFiniteError: the loss is no longer finite; noticed at the next report, so that the
                device need not be waited for at every step.
        """
        self.model.train()
        _rest(self.model)
        iterator = iter(batches)  # starts workers, which may draw random numbers
        if self._random is not None:
            restore_random_state(self._random, self.device)
            self._random = None
        self._began, self._carried = time.perf_counter(), self._count
        for batch in iterator:
            self._lr = self.optimizer.param_groups[0]["lr"]
            self._take_step(batch)
            self.step += 1
            self.batch += 1
            yield self.report() if self.step % self.log_every == 0 else None
        if self._sums:
            yield self.report()
        self.epoch += 1
        self.batch = 0

    def _take_step(self, batch: Any) -> None:
        for watcher in self.watchers:
            watcher.begin(self.step)
        if isinstance(self.optimizer, torch.optim.LBFGS):
            self._search_line(batch)
        else:
            self._count += self._add_gradients(batch, self._sums)
            if self.clip is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
        for watcher in self.watchers:
            watcher.after_step()
        self.optimizer.zero_grad()
        self.scheduler.step()
        if self.average is not None:
            self.average.update_parameters(unwrap(self.model))

    def _search_line(self, batch: Any) -> None:
        """One step of an optimizer that evaluates the loss as often as it likes."""
        first = True

        def closure() -> float:
            nonlocal first
            self.optimizer.zero_grad()
            sums: dict[str, Tensor] = {}
            count = self._add_gradients(batch, sums)
            if first:  # where the step starts, as with other optimizers
                add_sums(self._sums, sums)
                self._count += count
                first = False
            return sums["loss"].item() / max(1, count)

        self.optimizer.step(closure)

    def _add_gradients(self, batch: Any, sums: dict[str, Tensor]) -> int:
        """Gradients of the mean loss over the whole batch, in all processes and slices.

        Args:
            batch: share of this process.
            sums: the losses of its examples and the task's sums are added here.

        Returns:
            The number of its examples.
        """
        if isinstance(batch, Padding):
            slices = [(part, 0) for part, _ in split_batch(batch.batch, self.accumulate)]
        else:
            slices = split_batch(batch, self.accumulate)
        count = sum(n for _, n in slices)
        whole = self.ranks.total(count, self.device)
        for index, (part, n) in enumerate(slices, start=1):
            with syncing(self.model, index == len(slices)):
                with self._autocast():
                    loss, outputs = self.task.loss(self.model, part)
                if isinstance(whole, int) and n == whole > 0:  # all in one slice, as mostly
                    loss.backward()
                else:
                    # gradients are averaged over the processes, hence their number
                    (loss * (n * self.ranks.size / _at_least_one(whole))).backward()
            add_sums(sums, {"loss": loss.detach()}, times=n)
            add_sums(sums, self.task.step_sums(outputs, part), counted=n > 0)
        for watcher in self.watchers:
            watcher.after_backward()
        return count

    def report(self) -> StepReport | None:
        """What the steps since the last report came to; None if there was none.

        `train_epoch` calls it in time; whoever leaves an epoch early may ask for the rest.

        Raises:
            NotFiniteError: the loss is no longer finite.
        """
        if not self._sums:
            return None
        seconds = time.perf_counter() - self._began
        sums = self.ranks.sums({"count": self._count, **self._sums})  # waits for the device
        count = max(1, sums.pop("count"))
        metrics = {name: value / count for name, value in sums.items()}
        # before a resumption there may have been more processes
        rate = max(0, count - self._carried * self.ranks.size) / seconds
        self._sums, self._count = {}, 0
        self._began, self._carried = time.perf_counter(), 0
        if not math.isfinite(metrics["loss"]):
            raise NotFiniteError(
                f"the loss is {metrics['loss']} at step {self.step} (learning rate {self._lr:.3g})"
            )
        return StepReport(self.step, self.epoch, metrics, self._lr, rate)

    def scale_lr(self, factor: float) -> None:
        """Multiply the learning rate, now and for the rest of its schedule.

        Raises:
            AllmlpError: the schedule does not follow from base learning rates.
        """
        if not hasattr(self.scheduler, "base_lrs"):
            name = type(self.scheduler).__name__
            raise AllmlpError(f"{name} sets its own learning rates; they cannot be scaled")
        self.scheduler.base_lrs = [lr * factor for lr in self.scheduler.base_lrs]
        for group in self.optimizer.param_groups:
            group["lr"] *= factor
            group["initial_lr"] *= factor

    def check_finite(self) -> None:
        """Require that training may go on from here.

        Raises:
            NotFiniteError: a loss since the last report or a parameter is not finite.
        """
        tensors = [p.detach() for p in self.model.parameters()]
        if "loss" in self._sums:
            tensors.append(self._sums["loss"])
        finite = torch.stack([_whole(t.isfinite().all()) for t in tensors]).all()
        if self.ranks.any(not finite):
            raise NotFiniteError(
                f"the weights are no longer finite at step {self.step} (learning rate "
                f"{self._lr:.3g})"
            )

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on. Called by all processes together.

        The state is whole whatever the processes share: one of any number of them loads in any
        other. Random states and half a report's sums are kept for each process. As with torch's own
        state dicts, tensors may be those in training: save or copy them before the next step.
        """
        mine = {
            "random": random_state(self.device),
            "sums": {name: value.cpu() for name, value in self._sums.items()},
            "count": self._count,
        }
        average = self.average
        return {
            "model": model_state(self.model),
            "average": None if average is None else model_state(average.module),
            "averaged": 0 if average is None else int(average.n_averaged),
            "optimizer": optimizer_state(self.model, self.optimizer),
            "scheduler": self.scheduler.state_dict(),
            "step": self.step,
            "epoch": self.epoch,
            "batch": self.batch,
            "lr": self._lr,
            "ranks": self.ranks.gather(mine),
        }

    def load_state_dict(self, state: Mapping[str, Any], source: str = "the checkpoint") -> None:
        """Go on from `state_dict`, bit for bit with as many processes as it came from.

        With another number, random numbers (of dropout, say) are other ones.

        Args:
            state: whole, in every process.
            source: where it comes from, for messages.

        Raises:
            AllmlpError: it is of another model, or has no average where one is wanted.
        """
        load_model_state(self.model, state["model"], source)
        if (self.average is None) != (state["average"] is None):
            raise AllmlpError(
                f"{source} has {'no' if state['average'] is None else 'an'} average of the "
                "weights; set train.ema as it was"
            )
        if self.average is not None:
            load_model_state(self.average.module, state["average"], source)
            self.average.n_averaged.fill_(state["averaged"])
        load_optimizer_state(self.model, self.optimizer, state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.step, self.epoch, self.batch = state["step"], state["epoch"], state["batch"]
        self._lr = state["lr"]
        kept = state["ranks"]
        if len(kept) == self.ranks.size:
            mine = kept[self.ranks.rank]
            self._random = mine["random"]
            self._sums = {name: value.to(self.device) for name, value in mine["sums"].items()}
            self._count = mine["count"]
        elif self.ranks.main:  # one of them takes over the sums of all
            for other in kept:
                add_sums(self._sums, {k: v.to(self.device) for k, v in other["sums"].items()})
                self._count += other["count"]
        else:
            self._sums = {k: torch.zeros_like(v) for k, v in kept[0]["sums"].items()}


def _rest(model: nn.Module) -> None:
    """What is frozen as a whole stays as it is, statistics of its norms included."""
    if all(p.requires_grad for p in model.parameters()):  # mostly; LBFGS comes by at every step
        return
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            module.eval()


def _at_least_one(count: Tensor | int) -> Tensor | int:
    return count.clamp(min=1) if isinstance(count, Tensor) else max(1, count)


def _whole(value: Tensor) -> Tensor:
    """Of a value computed from shards, the value itself."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value
