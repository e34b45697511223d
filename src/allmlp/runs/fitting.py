"""From a model and images to a fitted model in a run directory: epochs, logs, checkpoints."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from allmlp.data import Preprocess, choose_workers, iterate_shares
from allmlp.models.contract import VisionModel
from allmlp.runs.augment import build_augment, epoch_order
from allmlp.runs.config import Config
from allmlp.runs.directory import RunDirectory
from allmlp.runs.images import TrainImages
from allmlp.runs.loggers import Logger, TensorBoard
from allmlp.runs.objective import build_task
from allmlp.runs.optimize import build_run_optimizer, build_scheduler, early_stop_note
from allmlp.runs.saving import Plan, Saver
from allmlp.runs.sessions import record_session
from allmlp.training import (
    ALONE,
    GradFlow,
    Loop,
    NotFiniteError,
    Plateau,
    Ranks,
    Selection,
    StepReport,
    Stopped,
    Task,
    Trace,
    Watcher,
    choose_autocast_dtype,
    distribute,
    evaluate,
    listen_for_stop,
    load_checkpoint,
    model_state,
)
from allmlp.training.progress import Display, Silent, choose_display

__all__ = ["fit_run"]


def fit_run(
    config: Config,
    directory: RunDirectory,
    model: VisionModel,
    preprocess: Preprocess,
    images: TrainImages,
    *,
    state: Mapping[str, Any] | None,
    device: torch.device,
    ranks: Ranks,
    progress: bool,
    loggers: Sequence[Logger] = (),
) -> None:
    """Train to the end of the configured epochs, from the beginning or from a checkpoint.

    Args:
        config: of the run.
        directory: of the run, which exists.
        model: with the weights to start from.
        preprocess: of its images.
        images: to learn from and to choose by.
        state: the checkpoint to go on from; None starts anew.
        device: where to train.
        ranks: the processes that train together.
        progress: show how it goes.
        loggers: hear every record; closed at the end.

    Raises:
        AllmlpError: a checkpoint of other data or another model.
        NotFiniteError: the loss or the weights are no longer finite, more often than may be.
        Stopped: SIGINT or SIGTERM came, and everything is saved.
        OSError: the run directory cannot be written.
    """
    train, seed = config.train, config.run.seed
    train_set, val_set = images.train.to(device), images.val.to(device)
    plan = Plan.of(train_set, val_set, train)
    if state is not None:
        plan = plan.resumed(state["plan"], directory)

    model.to(device)
    average = None
    if train.ema is not None:
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(train.ema))
        distribute(average.module, config.run.parallel, ranks, trained=False)
    if config.run.compile:
        model.compile()
    spread = distribute(model, config.run.parallel, ranks)
    if ranks.size > 1:  # each process drops other units
        torch.manual_seed(seed + ranks.rank)
    augment = build_augment(config.augment)
    labels = images.train.labels.cpu()
    workers = choose_workers(config.data.workers, len(train_set))
    task = build_task(train, train_set, preprocess, device)
    selection = Selection(task, train.metric, train.early_stop)
    optimizer = build_run_optimizer(train, model)
    lengths = {
        "warmup_steps": plan.warmup_steps,
        "total_steps": plan.total_steps,
        "steps_per_epoch": plan.steps_per_epoch,
    }
    scheduler = build_scheduler(train, optimizer, goal=task.goals[selection.metric], **lengths)
    dtype = choose_autocast_dtype(config.run.precision, device)

    with ExitStack() as stack:
        display: Display = Silent()
        if progress and ranks.main:
            done = 0 if state is None else state["step"]
            display = choose_display(train.epochs, plan.total_steps, done)
        stack.enter_context(closing(display))
        for note in (*images.notes, early_stop_note(train, **lengths)):
            if note is not None:
                display.note(note)
        listening: list[Logger] = []
        if ranks.main:
            listening += loggers
            if config.run.tensorboard:
                listening.append(TensorBoard(directory.tensorboard))
        for logger in listening:
            stack.callback(logger.close)
        watchers: list[Watcher] = []
        if config.run.profile and ranks.main:
            watchers.append(stack.enter_context(Trace(directory.trace)))
        flow = None
        if train.gradflow is not None:
            flow = GradFlow(model, every=train.gradflow)
            stack.callback(flow.close)
            watchers.append(flow)
        loop = Loop(
            spread,
            task,
            optimizer,
            scheduler,
            average=average,
            autocast_dtype=dtype,
            clip=train.clip,
            accumulate=train.accumulate,
            log_every=train.log_every,
            ranks=ranks,
            watchers=watchers,
        )
        saver = Saver(directory, loop, selection, plan, train)
        if state is not None:
            saver.restore(state)
            for logger in listening:
                logger.rewind(loop.step)
            display.note(f"going on with {directory.path} after step {loop.step}")
            if state["threads"] != torch.get_num_threads():
                display.note(
                    f"it had {state['threads']} threads, now there are "
                    f"{torch.get_num_threads()}: losses may differ in the last digits"
                )
        if ranks.main:  # not before: a checkpoint that is refused leaves the run as it is
            stack.enter_context(record_session(directory, device))
        stop = stack.enter_context(listen_for_stop())

        columns = _columns(task)

        def log(values: Mapping[str, Any]) -> None:
            if ranks.main:
                record = {"step": loop.step, "epoch": loop.epoch, **values}
                directory.append(directory.metrics, record)
                directory.append_row(columns, record)
                for logger in listening:
                    logger.log(record)

        def log_flow() -> None:
            for record in flow.drain() if flow else ():
                if ranks.main:
                    directory.append(directory.gradflow, record.to_json())

        def stop_if_asked(reported: bool) -> None:
            # several processes agree where they wait for each other anyway
            if ranks.size == 1 or reported:
                numbers = [n for n in ranks.gather(stop.number) if n is not None]
                if numbers:
                    if loop.step != saver.saved_step:
                        log_flow()
                        saver.save()
                    raise Stopped(
                        f"stopped after step {loop.step}; go on with "
                        f"allmlp train --resume {directory.path}",
                        numbers[0],
                    )

        def begin_epoch(epoch: int, start: int = 0, ranks: Ranks = ALONE) -> Iterator[Any]:
            return iterate_shares(
                train_set,
                preprocess,
                train.batch_size,
                shuffle=(seed, epoch),
                order=epoch_order(config.augment, labels, seed, epoch),
                augment=augment,
                workers=workers,
                start=start,
                rank=ranks.rank,
                size=ranks.size,
            )

        while not saver.done:
            batches = begin_epoch(loop.epoch, loop.batch, ranks)
            try:
                for report in loop.train_epoch(batches):
                    if report is not None:
                        log(_describe(report))
                        display.step(report)
                        log_flow()
                    if saver.due(report is not None):
                        log_flow()  # a measurement since the last report is in no checkpoint
                        saver.save()
                    stop_if_asked(report is not None)
                with loop.judging(partial(begin_epoch, loop.epoch - 1)) as judged:
                    val = evaluate(
                        judged,
                        task,
                        iterate_shares(
                            val_set, preprocess, train.batch_size, rank=ranks.rank, size=ranks.size
                        ),
                        dtype,
                        ranks,
                    )
                    best = selection.update(val, len(val_set))
                    # on the CPU these may be the weights in training themselves
                    weights = copy.deepcopy(model_state(judged)) if best else None
                log({f"val/{name}": value for name, value in val.items()})
                if isinstance(scheduler, Plateau):
                    scheduler.judge(val[selection.metric])
                display.epoch(loop.epoch, val, best)
                saver.save_epoch(weights)
            except NotFiniteError as e:
                _roll_back(saver, e)
                if flow is not None:
                    flow.forget()
                for logger in listening:
                    logger.rewind(loop.step)
                log({"rollbacks": saver.rollbacks})
                display.note(f"{e}; back to step {loop.step} at half the learning rate")
                continue
            stop_if_asked(True)
        if flow is not None:
            display.note(str(flow.report()))
        if images.broken.reasons:
            display.note(str(images.broken))


def _columns(task: Task) -> list[str]:
    """Every name that `log` may use, whichever comes first."""
    training = [f"train/{name}" for name in task.goals]
    validation = [f"val/{name}" for name in task.goals]
    return ["step", "epoch", *training, "lr", "images_per_second", *validation, "rollbacks"]


def _describe(report: StepReport) -> dict[str, Any]:
    return {
        **{f"train/{name}": value for name, value in report.metrics.items()},
        "lr": report.lr,
        "images_per_second": report.examples_per_second,
    }


def _roll_back(saver: Saver, error: NotFiniteError) -> None:
    """Return to the last checkpoint with a lower learning rate, or say that this is the end."""
    directory = saver.directory
    remedy = "lower the learning rate, clip the gradient, or train in fp32"
    if saver.saved_step is None:
        raise NotFiniteError(f"{error}, before the first checkpoint; {remedy}") from None
    if saver.rollbacks >= saver.config.rollbacks:
        raise NotFiniteError(
            f"{error}; the last good checkpoint is {directory.last} of step {saver.saved_step}; "
            f"{remedy}, or allow train.rollbacks"
        ) from None
    rollbacks = saver.rollbacks + 1
    saver.restore(load_checkpoint(directory.last))
    # the checkpoint may be older than an earlier rollback
    factor = 0.5 ** (rollbacks - saver.rollbacks)
    saver.rollbacks = rollbacks
    saver.loop.scale_lr(factor)
