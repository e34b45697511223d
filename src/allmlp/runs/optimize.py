"""From a run's settings to its optimizer and its schedule."""

from collections.abc import Callable

import torch
from torch import nn
from torch.optim import LBFGS, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from allmlp.errors import AllmlpError, check_choice, unknown_name
from allmlp.runs.config import TrainConfig
from allmlp.training import (
    SCHEDULES,
    Goal,
    Plateau,
    build_optimizer,
    build_schedule,
    find_optimizer,
    is_schedule_free,
)

__all__ = ["build_run_optimizer", "build_scheduler", "check_optimize", "early_stop_note"]

_PLATEAU = "plateau"
_PLATEAU_OPTIONS = ("factor", "patience", "floor")


def check_optimize(config: TrainConfig) -> None:
    """Require names and options that exist, before anything is read or written.

    Raises:
        AllmlpError: they do not, or contradict each other.
    """
    kind, _ = find_optimizer(config.optimizer, config.optimizer_options)
    if issubclass(kind, LBFGS):
        raise AllmlpError(
            f"train.optimizer {config.optimizer} needs all examples in one batch, which a run does "
            "not make; take allmlp.fit, or another optimizer"
        )
    if is_schedule_free(kind):
        if config.schedule not in (None, "constant"):
            raise AllmlpError(
                f"train.optimizer {config.optimizer} does without a schedule, got "
                f"{config.schedule}; leave train.schedule unset (train.warmup is kept)"
            )
        if "warmup_steps" in config.optimizer_options:
            raise AllmlpError("train.warmup sets the warm-up; leave warmup_steps unset")
        if config.ema is not None:
            raise AllmlpError(
                f"train.optimizer {config.optimizer} averages the weights itself; leave train.ema "
                "unset"
            )
        if config.gradflow is not None:
            raise AllmlpError(
                f"train.gradflow reads gradients that {config.optimizer} overwrites in its step; "
                "leave train.gradflow unset, or take another optimizer"
            )
    if config.layer_decay is not None and not 0 < config.layer_decay <= 1:
        raise AllmlpError(f"train.layer_decay must be in (0, 1], got {config.layer_decay}")
    idle = torch.optim.SGD([nn.Parameter(torch.empty(1, device="meta"))])
    build_scheduler(
        config, idle, warmup_steps=0, total_steps=1, steps_per_epoch=1, goal="min"
    )  # checks itself


def build_run_optimizer(config: TrainConfig, model: nn.Module) -> Optimizer:
    """Over the trained parameters of a model that is where it is trained.

    Raises:
        AllmlpError: the optimizer refuses its options, or has nothing to update.
    """
    return build_optimizer(
        config.optimizer,
        model,
        lr=config.lr,
        weight_decay=config.weight_decay,
        layer_decay=config.layer_decay,
        options=config.optimizer_options,
    )


def build_scheduler(
    config: TrainConfig,
    optimizer: Optimizer,
    *,
    warmup_steps: int,
    total_steps: int,
    steps_per_epoch: int,
    goal: Goal,
) -> LRScheduler:
    """Advanced once per optimizer step; `Plateau` hears of every epoch as well.

    Args:
        config: names the schedule.
        optimizer: whose learning rates are set.
        warmup_steps: of the run.
        total_steps: of the run.
        steps_per_epoch: of the run.
        goal: which way the validation metric is better, for `plateau`.

    Raises:
        AllmlpError: an unknown schedule or option.
    """
    name, options = _schedule_name(config), config.schedule_options
    check_choice("schedule", name, [*SCHEDULES, _PLATEAU])
    if name == _PLATEAU:
        for option in options:
            if option not in _PLATEAU_OPTIONS:
                raise AllmlpError(unknown_name("option of plateau", option, _PLATEAU_OPTIONS))
        return Plateau(optimizer, warmup_steps=warmup_steps, goal=goal, **options)
    schedule = build_schedule(
        name,
        warmup_steps=warmup_steps,
        total_steps=total_steps,
        steps_per_epoch=steps_per_epoch,
        options=options,
    )
    return LambdaLR(optimizer, schedule)


def early_stop_note(
    config: TrainConfig, *, warmup_steps: int, total_steps: int, steps_per_epoch: int
) -> str | None:
    """A warning if early stopping may end a run before its learning rate begins to fall.

    A metric that never improves after the first epoch ends it after 1 + `early_stop` epochs: where
    the rate has fallen by then, the run has seen what a lower rate does.

    Args:
        config: of the run.
        warmup_steps: of the run.
        total_steps: of the run.
        steps_per_epoch: of the run.
    """
    if config.early_stop is None or config.early_stop + 1 >= config.epochs:
        return None
    name, options = _schedule_name(config), config.schedule_options
    if name == _PLATEAU:
        # falls after patience + 1 epochs without a better value, and the next epoch learns by it
        patience = options.get("patience", 10)
        if config.early_stop > patience:
            return None
        start = f"plateau lets {patience} pass"
    else:
        schedule = build_schedule(
            name,
            warmup_steps=warmup_steps,
            total_steps=total_steps,
            steps_per_epoch=steps_per_epoch,
            options=options,
        )
        epoch = _first_fall(schedule, config.epochs, steps_per_epoch)
        if epoch is None or epoch <= config.early_stop + 1:
            return None
        start = f"{name} begins to fall in epoch {epoch}"
    return (
        f"train.early_stop may end the run after {config.early_stop + 1} epochs without a lower "
        f"learning rate having been tried: {start}; raise train.early_stop, or let the rate fall "
        "earlier"
    )


def _first_fall(schedule: Callable[[int], float], epochs: int, steps_per_epoch: int) -> int | None:
    """The first epoch, from 1, whose last step is taken below the highest rate so far."""
    highest = 0.0
    for epoch in range(1, epochs + 1):
        first = schedule((epoch - 1) * steps_per_epoch)
        last = schedule(epoch * steps_per_epoch - 1)
        highest = max(highest, first, last)
        if last < highest:
            return epoch
    return None


def _schedule_name(config: TrainConfig) -> str:
    if config.schedule is not None:
        return config.schedule
    kind, _ = find_optimizer(config.optimizer, config.optimizer_options)
    return "constant" if is_schedule_free(kind) else "cosine"
