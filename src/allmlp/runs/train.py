"""A whole run: configuration in, run directory out."""

import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from allmlp.data import Preprocess, Warp, iterate_batches, load_source, source_stem
from allmlp.errors import AllmlpError, check_integers, check_rates
from allmlp.files import write_text
from allmlp.models.contract import VisionModel
from allmlp.runs.build import build_for_data
from allmlp.runs.config import Config
from allmlp.runs.config_tree import resolve_config, to_yaml
from allmlp.runs.directory import RunDirectory
from allmlp.runs.evaluate import evaluate_run, save_samples
from allmlp.runs.images import TrainImages, check_data, prepare_training
from allmlp.runs.progress import Display, Silent, choose_display
from allmlp.runs.run import Run, load_run
from allmlp.training import (
    Classification,
    Loop,
    autocast_dtype,
    choose_device,
    decay_groups,
    evaluate,
    save_checkpoint,
    warmup_cosine,
)
from allmlp.zoo.stored import write_record, write_weights

__all__ = ["train"]


def train(
    config: Config | Mapping[str, Any] | str | Path | None = None,
    *,
    progress: bool = True,
    **settings: Any,
) -> Run:
    """Train a model as configured and keep everything in a new run directory.

    Args:
        config: a `Config`, nested mappings of what differs from the defaults, or the path of a YAML
            file with such mappings. None trains the digits Mixer.
        progress: show a bar on a terminal, lines elsewhere (on stderr).
        **settings: the short names of the command line: data, model, epochs, batch_size, lr, seed,
            run, precision, device. They win over `config`.

    Returns:
        The finished run: the model of the last epoch that was as good on the validation part as
        the best one, up to one standard error. Its score on
        the test part, which chose nothing, is in `eval/scores.json`.

    Raises:
        AllmlpError: a wrong setting, an existing run directory, or a loss that is no longer finite.
        OSError: the run directory cannot be written.
    """
    resolved = resolve_config(config, settings)
    _check(resolved)
    device = choose_device(resolved.run.device)
    # what is random below is the run's own: the caller's random state comes back
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(resolved.run.seed)
        return _train(resolved, device, progress)


def _check(config: Config) -> None:
    train = config.train
    check_integers(
        "train",
        minimum=1,
        epochs=train.epochs,
        batch_size=train.batch_size,
        log_every=train.log_every,
    )
    check_data(config.data)
    Warp(**asdict(config.augment))  # checks itself
    check_rates("train", label_smoothing=train.label_smoothing)
    for name, value in {"lr": train.lr, "clip": train.clip}.items():
        if value is not None and not value > 0:
            raise AllmlpError(f"train.{name} must be above 0, got {value}")
    for name, value in {"weight_decay": train.weight_decay, "warmup": train.warmup}.items():
        if not value >= 0:
            raise AllmlpError(f"train.{name} must not be negative, got {value}")
    if not train.warmup < train.epochs:
        raise AllmlpError(
            f"the warm-up ({train.warmup:g} epochs) must end before the training does "
            f"({train.epochs} epochs); pass --train.warmup with a smaller number"
        )


def _train(config: Config, device: torch.device, progress: bool) -> Run:
    # whatever can be wrong with data or model is found before the folder is made
    splits = load_source(config.data.source)
    classes = splits.train.classes
    model, learned = build_for_data(config, len(classes), splits.train.in_chans)
    channels = model.config.in_chans
    preprocess = learned or Preprocess(
        img_size=model.config.img_size,
        in_chans=channels,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )
    images = prepare_training(splits, preprocess, config.data)
    if learned is None:
        mean, std = images.train.channel_statistics()
        preprocess = replace(preprocess, mean=mean, std=std)

    stem = f"{source_stem(config.data.source)}-{config.model.name}"
    directory = RunDirectory.create(config.run.dir, stem)
    try:
        write_text(directory.config, to_yaml(config))
        write_record(directory.path, config.model.name, model, preprocess, classes)
        _fit(config, directory, model.to(device), preprocess, images, device, progress)
    except BaseException as e:
        # a run without a model is of no use; one with a model stays, and can be loaded
        if not directory.weights.is_file():
            shutil.rmtree(directory.path, ignore_errors=True)
        elif isinstance(e, KeyboardInterrupt):
            raise KeyboardInterrupt(f"the best model so far is kept in {directory.path}") from None
        raise

    run = load_run(directory.path, device=str(device))
    evaluate_run(run)
    save_samples(run, splits.test)
    return run


def _fit(
    config: Config,
    directory: RunDirectory,
    model: VisionModel,
    preprocess: Preprocess,
    images: TrainImages,
    device: torch.device,
    progress: bool,
) -> None:
    train, seed = config.train, config.run.seed
    train_set, val_set = images.train.to(device), images.val.to(device)
    steps_per_epoch = ceil(len(train_set) / train.batch_size)
    total_steps = steps_per_epoch * train.epochs

    warp = Warp(**asdict(config.augment))
    task = Classification(train.label_smoothing)
    optimizer = AdamW(decay_groups(model, train.weight_decay), lr=train.lr)
    schedule = partial(
        warmup_cosine, warmup_steps=round(train.warmup * steps_per_epoch), total_steps=total_steps
    )
    dtype = autocast_dtype(config.run.precision, device)
    loop = Loop(
        model,
        task,
        optimizer,
        LambdaLR(optimizer, schedule),
        autocast_dtype=dtype,
        clip=train.clip,
        log_every=train.log_every,
    )

    display: Display = choose_display(train.epochs, total_steps) if progress else Silent()
    best = 0.0
    with closing(display):
        for note in images.notes:
            display.note(note)
        for epoch in range(train.epochs):
            batches = iterate_batches(
                train_set,
                preprocess,
                train.batch_size,
                shuffle=(seed, epoch),
                warp=warp,
            )
            for report in loop.train_epoch(batches):
                directory.append_metrics(
                    {
                        "step": report.step,
                        "epoch": report.epoch,
                        **{f"train/{name}": value for name, value in report.metrics.items()},
                        "lr": report.lr,
                        "images_per_second": report.examples_per_second,
                    }
                )
                display.step(report)

            val = evaluate(
                model, task, iterate_batches(val_set, preprocess, train.batch_size), dtype
            )
            directory.append_metrics(
                {
                    "step": loop.step,
                    "epoch": loop.epoch,
                    **{f"val/{name}": value for name, value in val.items()},
                }
            )
            # One-standard-error rule (Breiman et al. 1984, §3.4.3): of epochs that the validation
            # part cannot tell apart the last one, whose learning rate has fallen furthest.
            score = val[task.metric]
            improved = score >= best - task.standard_error(best, len(val_set))
            display.epoch(loop.epoch, val, improved)
            state = loop.state_dict()
            save_checkpoint(directory.last, state)
            best = max(best, score)
            if improved:
                save_checkpoint(directory.best, state)
                write_weights(directory.path, model.state_dict())
        if images.broken.reasons:
            display.note(str(images.broken))
