"""From a run's settings to its optimizer and its schedule."""

import torch
from torch import nn
from torch.optim import Optimizer
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
)

__all__ = ["build_run_optimizer", "build_scheduler", "check_optimize"]

_PLATEAU = "plateau"
_PLATEAU_OPTIONS = ("factor", "patience", "floor")


def check_optimize(config: TrainConfig) -> None:
    """Require names and options that exist, before anything is read or written.

    Raises:
        AllmlpError: they do not.
    """
    find_optimizer(config.optimizer, config.optimizer_options)
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
    options = config.schedule_options
    check_choice("schedule", config.schedule, [*SCHEDULES, _PLATEAU])
    if config.schedule == _PLATEAU:
        for option in options:
            if option not in _PLATEAU_OPTIONS:
                raise AllmlpError(unknown_name("option of plateau", option, _PLATEAU_OPTIONS))
        return Plateau(optimizer, warmup_steps=warmup_steps, goal=goal, **options)
    schedule = build_schedule(
        config.schedule,
        warmup_steps=warmup_steps,
        total_steps=total_steps,
        steps_per_epoch=steps_per_epoch,
        options=options,
    )
    return LambdaLR(optimizer, schedule)
