"""Any module, any examples, in memory: the loop without a run directory."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from allmlp.errors import AllmlpError, check_choice, check_integers, check_rates
from allmlp.training.evaluation import evaluate
from allmlp.training.examples import Arrays, Examples, Loader, Place
from allmlp.training.history import History
from allmlp.training.line_search import GuardedSteps
from allmlp.training.loop import Loop, StepReport, Watcher
from allmlp.training.mode import same_mode
from allmlp.training.objective import LossFunction, check_targets, choose_task
from allmlp.training.optimizers import build_optimizer, check_made
from allmlp.training.penalty import Penalised, Penalty
from allmlp.training.precision import choose_autocast_dtype
from allmlp.training.progress import Display, Silent, choose_display
from allmlp.training.random_state import random_state, restore_random_state
from allmlp.training.schedule import WHOLE_SCHEDULES, build_schedule
from allmlp.training.schedule_free import is_schedule_free
from allmlp.training.selection import Selection
from allmlp.training.task import Task

__all__ = ["fit"]

# up to here all examples are one batch unless told otherwise; beyond, batches are smaller
_WHOLE, _BATCH = 4096, 256


def fit(
    model: nn.Module,
    inputs: Tensor | np.ndarray | Iterable[Any],
    targets: Tensor | np.ndarray | None = None,
    *,
    weights: Tensor | np.ndarray | None = None,
    loss: Literal["auto", "cross_entropy", "mse"] | LossFunction | Task = "auto",
    penalty: Penalty | None = None,
    optimizer: str | type[Optimizer] | Optimizer = "adamw",
    lr: float | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    validation: Any = None,
    weight_decay: float = 0.0,
    schedule: str = "constant",
    warmup: int = 0,
    clip: float | None = None,
    accumulate: int = 1,
    ema: float | None = None,
    early_stop: int | None = None,
    metric: str | None = None,
    keep_best: bool = False,
    max_seconds: float | None = None,
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
    seed: int = 0,
    log_every: int = 10,
    watchers: Sequence[Watcher] = (),
    progress: bool = False,
) -> History:
    """Train a module where it is, on examples in memory or from a loader.

    Tensors and arrays are moved to the model's device once and indexed there; floats are converted
    to the dtype of its parameters. The order of the examples is a function of (seed, epoch). The
    random numbers that the model draws while it trains (dropout) depend on the seed as well; the
    global random states are afterwards what they were.

    With LBFGS every step sees all examples. One that ends in a loss or a weight that is not finite
    is undone, the curvature forgotten and the learning rate halved; after four halvings in a row
    that do not help, training stops there and `History.stopped` says so.

    Args:
        model: any module; `model(inputs)` gives the outputs. It is left with the weights of the
            last step (with `ema`, their average; with a schedule-free optimizer, its answer), in
            the mode that it had.
        inputs: (n, ...); or, without `targets`, an iterable of (inputs, targets) batches that can
            be iterated over once per epoch, such as a list or a `DataLoader`.
        targets: (n, ...), as the loss needs them.
        weights: (n,), how much each example counts, relative to their mean; for a `Task` of one's
            own that takes batches of (inputs, targets, weights).
        loss: `cross_entropy` of integer targets (b,); `mse` of floats in the shape of the outputs;
            `auto` takes the one that the dtype of the targets tells; a function of (outputs,
            targets) to a scalar, the mean over the batch, which is reported as it is; or a `Task`.
        penalty: a function of (model, inputs) that is added to the loss, for example a
            `KANPenalty`; it is part of `train/loss` and not of the validation.
        optimizer: one of `OPTIMIZERS` (`adamw`, `muon`, `lbfgs` …), a class of optimizers or its
            dotted path, or an optimizer, which is taken as it is.
        lr: peak learning rate; None is the class's own default (1e-3 for `adamw`, 1 for `lbfgs`).
        epochs: passes over the examples; this or `steps`.
        steps: optimizer steps; the last epoch may be cut short.
        batch_size: None puts up to 4096 examples into one batch and more into batches of 256; with
            LBFGS it must be None. The last batch of an epoch holds what remains. Not for loaders.
        validation: (inputs, targets), for a task that reads weights (inputs, targets, weights), or
            a loader; judged after every epoch.
        weight_decay: of matrices only; torch's meaning for the optimizer chosen.
        schedule: `constant`, `cosine` to 0 over the whole training, or another one of `SCHEDULES`
            that counts no epochs.
        warmup: steps of linear rise of the learning rate before that.
        clip: largest global norm of the gradient.
        accumulate: slices that a batch is put through the model in, to save memory.
        ema: decay of an exponential moving average of the weights; it is what is judged and kept.
        early_stop: epochs without a better validation before training stops.
        metric: of the validation, by which epochs are compared: `loss`; `accuracy` (the default)
            for classes, where epochs within one standard error of the best count as equal and the
            last of them is taken (see `Selection`); `mae` for `mse`.
        keep_best: leave the model with the weights of the best epoch.
        max_seconds: after which training stops, in the middle of an epoch if need be; the
            validation that follows is not counted.
        precision: `fp32` is the model's own dtype; `bf16` multiplies in it; `auto` where that is
            fast.
        seed: of order and dropout.
        log_every: steps between records; every epoch ends with one.
        watchers: told of every step, for example a `GradFlow`.
        progress: show a bar on a terminal, lines elsewhere (on stderr).

    Returns:
        Records of the training, the best epoch and why it ended.

    Raises:
        AllmlpError: arguments that contradict each other, or examples that do not fit each other or
            the model; before the first step, for a loader as far as its first batch tells.
        NotFiniteError: the loss or the weights are no longer finite, with another optimizer than
            LBFGS; step and learning rate are named.

    Example:
        >>> x = torch.linspace(-1, 1, 64)[:, None]
        >>> model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
        >>> history = fit(model, x, x.sin(), optimizer="lbfgs", steps=20)
        >>> history["train/loss"][-1] < 1e-4
        True
    """
    check_integers("fit", minimum=1, accumulate=accumulate, log_every=log_every)
    check_integers("fit", minimum=0, warmup=warmup, seed=seed)
    for name, number in {"epochs": epochs, "steps": steps, "batch_size": batch_size}.items():
        if number is not None:
            check_integers("fit", minimum=1, **{name: number})
    for name, value in {"lr": lr, "clip": clip, "max_seconds": max_seconds}.items():
        if value is not None and not value > 0:
            raise AllmlpError(f"fit needs {name} above 0, got {value}")
    if not weight_decay >= 0:
        raise AllmlpError(f"fit needs weight_decay of at least 0, got {weight_decay}")
    if ema is not None:
        check_rates("fit", ema=ema)
    check_choice("schedule", schedule, WHOLE_SCHEDULES)
    if (epochs is None) == (steps is None):
        raise AllmlpError("fit needs either epochs or steps, got both or neither")
    if validation is None and (early_stop is not None or keep_best or metric is not None):
        raise AllmlpError("early_stop, keep_best and metric judge by validation; pass validation=")

    if weights is not None and not isinstance(loss, Task):
        raise AllmlpError("weights are read by a task of one's own; pass it as loss=")
    deadline = math.inf if max_seconds is None else time.monotonic() + max_seconds

    if isinstance(optimizer, Optimizer):
        own = optimizer
        check_made(own, [p for p in model.parameters() if p.requires_grad], lr, weight_decay)
    else:
        own = build_optimizer(optimizer, model, lr=lr, weight_decay=weight_decay)
    parameter = next(p for p in model.parameters() if p.requires_grad)
    device = parameter.device
    place = Place(device, parameter.dtype)
    whole = isinstance(own, LBFGS)
    if whole and (batch_size is not None or targets is None or clip is not None):
        raise AllmlpError(
            "LBFGS needs all examples in one batch and gradients as they are; pass tensors, and "
            "neither batch_size nor clip (accumulate saves memory)"
        )
    if is_schedule_free(own) and schedule != "constant":
        raise AllmlpError("a schedule-free optimizer goes with schedule='constant'; it averages")
    with ExitStack() as stack:
        stack.enter_context(_own_randomness(seed, device))
        examples = _examples(inputs, targets, weights, place, batch_size, seed, whole)
        first = examples.first()
        task = loss if isinstance(loss, Task) else choose_task(loss, first[1])
        outputs = _try_out(model, first[0])
        check_targets(task, outputs, first[1], "targets")
        judged = None if validation is None else _validation(validation, place, batch_size)
        if judged is not None:
            check_targets(task, outputs, judged.first()[1], "validation targets")
            if len(judged.first()) == 3 and not isinstance(loss, Task):
                raise AllmlpError(
                    "weights of the validation are read by a task of one's own; pass it as loss="
                )
        if penalty is not None:
            task = Penalised(task, penalty)
        selection = Selection(task, metric, early_stop)
        dtype = choose_autocast_dtype(precision, device)
        total = _total_steps(examples, epochs, steps)
        if total is None and (schedule != "constant" or progress):
            raise AllmlpError(
                "a schedule and the progress bar need to know the number of steps, and the loader "
                "has no length; pass steps="
            )
        if total is not None and not warmup < total:
            raise AllmlpError(f"warmup ({warmup} steps) must end before the training ({total})")

        display: Display = Silent()
        if progress and total is not None:
            shown = epochs or (-(-total // examples.length) if examples.length else 1)
            display = choose_display(shown, total)
        stack.enter_context(closing(display))
        stack.enter_context(same_mode(model))
        if isinstance(optimizer, Optimizer):
            stack.enter_context(_same_lr(own))
        average = None
        if ema is not None:
            average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(ema))
        factor = build_schedule(
            schedule, warmup_steps=warmup, total_steps=total or 1, steps_per_epoch=1
        )
        loop = Loop(
            model,
            task,
            own,
            LambdaLR(own, factor),
            average=average,
            autocast_dtype=dtype,
            clip=clip,
            accumulate=accumulate,
            log_every=log_every,
            watchers=watchers,
        )
        own.zero_grad()  # what the caller left
        history = History(metric=None if judged is None else f"val/{selection.metric}")
        best: dict[str, Any] | None = None
        guard = GuardedSteps(loop) if whole else None
        epoch = 0
        while not history.stopped:
            for report in _train_epoch(loop, guard, examples, epoch, steps):
                if report is not None:
                    history.records.append(_record(report, epoch))
                    display.step(report)
                if time.monotonic() > deadline:
                    history.stopped = f"{max_seconds:g} seconds over"
                    rest = loop.report()
                    if rest is not None:
                        history.records.append(_record(rest, epoch))
                    break
            epoch += 1
            if judged is not None:
                with loop.judging(partial(examples.epoch, epoch)) as answering:
                    val = evaluate(answering, task, judged.epoch(epoch), dtype)
                    chosen = selection.update(val, judged.count())
                    if chosen and keep_best:
                        state = answering.state_dict()
                        best = {key: value.clone() for key, value in state.items()}
                if history.records and history.records[-1]["step"] == loop.step:
                    history.records[-1].update({f"val/{k}": v for k, v in val.items()})
                display.epoch(epoch, val, chosen)
                if chosen:
                    history.best, history.best_epoch = val[selection.metric], epoch
            if guard is not None and guard.stopped is not None:
                history.stopped = guard.stopped
            elif history.stopped:  # of the time
                pass
            elif steps is not None and loop.step >= steps:
                history.stopped = f"{steps} steps taken"
            elif epochs is not None and epoch == epochs:
                history.stopped = f"{epochs} epochs seen"
            elif selection.exhausted:
                history.stopped = f"no better {history.metric} in {early_stop} epochs"
        if guard is None:
            loop.check_finite()
        else:
            history.rollbacks = guard.rollbacks
        if best is not None:
            model.load_state_dict(best)
        else:
            loop.settle(partial(examples.epoch, epoch))
    return history


def _examples(
    inputs: Any,
    targets: Any,
    weights: Any,
    place: Place,
    batch_size: int | None,
    seed: int | None,
    whole: bool,
) -> Examples:
    if targets is None:
        if isinstance(inputs, Tensor | np.ndarray):
            raise AllmlpError("inputs need targets; pass fit(model, inputs, targets)")
        if weights is not None:
            raise AllmlpError("weights are for tensors, got a loader; pass all three as tensors")
        if batch_size is not None:
            raise AllmlpError("a loader makes its own batches; leave batch_size at None")
        return Loader(inputs, place)
    batch = place.batch((inputs, targets))
    count = len(batch[0])
    if weights is not None:
        batch = (*batch, place.weights(weights, count))
    if whole or (batch_size is None and count <= _WHOLE):
        batch_size = count
    return Arrays(batch, batch_size or _BATCH, seed)


def _validation(validation: Any, place: Place, batch_size: int | None) -> Examples:
    if isinstance(validation, tuple) and all(
        isinstance(v, Tensor | np.ndarray) for v in validation
    ):
        if len(validation) not in (2, 3):
            raise AllmlpError(
                f"validation is (inputs, targets) or (inputs, targets, weights), got "
                f"{len(validation)} parts"
            )
        weights = validation[2] if len(validation) == 3 else None
        inputs, targets = validation[:2]
        return _examples(inputs, targets, weights, place, batch_size, None, False)
    return _examples(validation, None, None, place, None, None, False)


def _try_out(model: nn.Module, inputs: Tensor) -> Any:
    """Outputs for one example, with nothing changed."""
    with torch.no_grad(), same_mode(model):
        return model.eval()(inputs[:1])


def _total_steps(examples: Examples, epochs: int | None, steps: int | None) -> int | None:
    if epochs is None:
        return steps
    return None if examples.length is None else epochs * examples.length


def _train_epoch(
    loop: Loop, guard: GuardedSteps | None, examples: Examples, epoch: int, steps: int | None
) -> Iterator[StepReport | None]:
    batches = examples.epoch(epoch)
    if guard is not None:
        return (guard.take(batch) for batch in batches)
    # an epoch that ends where the steps do ends with a report
    left = None if steps is None else steps - loop.step
    return loop.train_epoch(islice(batches, left))


def _record(report: StepReport, epoch: int) -> dict[str, int | float]:
    return {
        "step": report.step,
        "epoch": epoch + 1,
        **{f"train/{name}": value for name, value in report.metrics.items()},
        "lr": report.lr,
        "examples_per_second": report.examples_per_second,
    }


@contextmanager
def _own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed what a model draws from, and give the caller's random states back."""
    before = random_state(device)
    try:
        torch.default_generator.manual_seed(seed)
        if device.type != "cpu":
            torch.get_device_module(device).manual_seed(seed)
        yield
    finally:
        restore_random_state(before, device)


@contextmanager
def _same_lr(optimizer: Optimizer) -> Iterator[None]:
    """Give somebody's optimizer back with the learning rates it came with."""
    before = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group.pop("initial_lr", None)  # of a schedule that is over
    try:
        yield
    finally:
        for group, lr in zip(optimizer.param_groups, before, strict=True):
            group["lr"] = lr
            group.pop("initial_lr", None)
