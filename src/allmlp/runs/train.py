"""A whole run: configuration in, run directory out."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from allmlp.data import Preprocess, Splits, load_source, source_stem, take_samples
from allmlp.errors import AllmlpError, check_integers, check_rates
from allmlp.files import write_text
from allmlp.models.contract import VisionModel
from allmlp.runs.augment import build_augment
from allmlp.runs.augmented import save_augmented
from allmlp.runs.build import build_for_data, rebuild
from allmlp.runs.config import Config
from allmlp.runs.config_tree import build_config, read_yaml, resolve_config, to_yaml
from allmlp.runs.directory import RunDirectory
from allmlp.runs.evaluate import evaluate_run, save_samples
from allmlp.runs.fitting import fit_run
from allmlp.runs.images import TrainImages, check_data, prepare_training
from allmlp.runs.loggers import Logger, TensorBoard
from allmlp.runs.objective import check_objective
from allmlp.runs.optimize import check_optimize
from allmlp.runs.resume import AUTO, find_run
from allmlp.runs.run import Run, load_run
from allmlp.runs.saving import is_finished, saved_state
from allmlp.training import Classification, Ranks, Selection, choose_device, join_ranks
from allmlp.zoo.stored import write_record

__all__ = ["train"]


def train(
    config: Config | Mapping[str, Any] | str | Path | None = None,
    *,
    progress: bool = True,
    resume: str | Path | None = None,
    loggers: Sequence[Logger] = (),
    **settings: Any,
) -> Run:
    """Train a model as configured and keep everything in a new run directory.

    Under `torchrun` all processes call this together; each returns the same run.

    Args:
        config: a `Config`, nested mappings of what differs from the defaults, or the path of a YAML
            file with such mappings. None trains the digits Mixer.
        progress: show a bar on a terminal, lines elsewhere (on stderr).
        resume: a run directory to go on with from its last checkpoint, as if it had never stopped;
            its own configuration is used, and no other may be given. `"auto"` goes on with the run
            of this very configuration if there is one (in the folder `run` if it is given, else
            the newest under runs/), and starts one if there is none. A finished run is returned as
            it is.
        loggers: hear every record of `metrics.jsonl` as it is written, and are closed at the end.
        **settings: the short names of the command line: data, target, model, epochs, batch_size,
            lr, seed, run, precision, device. They win over `config`.

    Returns:
        The finished run: the model of the last epoch that was as good on the validation part as
        the best one, up to one standard error. Its score on
        the test part, which chose nothing, is in `eval/scores.json`.

    Raises:
        AllmlpError: a wrong setting, an existing run directory, a damaged or foreign checkpoint, or
            a loss that is no longer finite.
        Stopped: SIGINT or SIGTERM asked for it; the run can be resumed.
        OSError: the run directory cannot be written.
    """
    if resume is not None and str(resume) != AUTO:
        if config is not None or settings:
            raise AllmlpError(
                f"a resumed run keeps its own configuration ({resume}/config.yaml); "
                "resume it without other settings, or start a new run"
            )
        directory = RunDirectory.open(resume)
        directory.require_images()
        resolved = build_config(read_yaml(directory.config))
    else:
        resolved = resolve_config(config, settings)
    _check(resolved)
    device = choose_device(resolved.run.device)
    # what is random below is the run's own: the caller's random state comes back
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(resolved.run.seed)
        with join_ranks(device) as ranks:
            path = ranks.from_main(lambda: find_run(resume, resolved))
            if path is not None and is_finished(RunDirectory(path)):
                if progress and ranks.main:
                    print(f"{path} is finished; nothing to do", file=sys.stderr)
                return load_run(path, device=str(device))
            splits = load_source(resolved.data.source, resolved.data.target)
            if resolved.data.samples is not None:
                splits = take_samples(splits, resolved.data.samples)
            directory = _train(resolved, path, splits, device, ranks, progress, loggers)
        run = load_run(directory.path, device=str(device))
        if ranks.main:  # the others have left: scoring may take longer than they would wait
            save_samples(run, splits.test)
            save_augmented(directory.eval, splits, run.preprocess, resolved)
            _score(run)
        return run


def _score(run: Run) -> None:
    try:
        evaluate_run(run)
    except AllmlpError as e:
        raise AllmlpError(
            f"the model is trained and stays in {run.path}, but its test part cannot be scored: "
            f"{e}; then run allmlp eval {run.path}"
        ) from e


def _check(config: Config) -> None:
    train = config.train
    check_integers(
        "train",
        minimum=1,
        epochs=train.epochs,
        batch_size=train.batch_size,
        log_every=train.log_every,
        accumulate=train.accumulate,
    )
    check_integers("train", minimum=0, rollbacks=train.rollbacks)
    for name in ("checkpoint_steps", "keep_every", "gradflow"):
        if getattr(train, name) is not None:
            check_integers("train", minimum=1, **{name: getattr(train, name)})
    Selection(Classification(), train.metric, train.early_stop)  # checks itself
    if train.ema is not None:
        check_rates("train", ema=train.ema)
    if config.run.tensorboard:
        TensorBoard.require()
    check_data(config.data)
    build_augment(config.augment)  # checks itself
    check_optimize(train)
    check_objective(train)
    positive = ("lr", "clip", "checkpoint_seconds")
    for name, value in {name: getattr(train, name) for name in positive}.items():
        if value is not None and not value > 0:
            raise AllmlpError(f"train.{name} must be above 0, got {value}")
    for name, value in {"weight_decay": train.weight_decay, "warmup": train.warmup_epochs}.items():
        if not value >= 0:
            raise AllmlpError(f"train.{name} must not be negative, got {value}")
    if not train.warmup_epochs < train.epochs:
        raise AllmlpError(
            f"the warm-up ({train.warmup_epochs:g} epochs) must end before the training does "
            f"({train.epochs} epochs); pass --train.warmup with a smaller number"
        )


def _train(
    config: Config,
    path: Path | None,
    splits: Splits,
    device: torch.device,
    ranks: Ranks,
    progress: bool,
    loggers: Sequence[Logger],
) -> RunDirectory:
    """Fit a model in a new directory, or in that of an unfinished run."""
    # whatever can be wrong with data, model or checkpoint is found before anything is written
    state = None if path is None else saved_state(RunDirectory(path))
    if path is not None and state is None:
        RunDirectory(path).require_unbegun()
    if path is None or state is None:
        model, preprocess, images = _prepare(config, splits)
    else:
        model, preprocess = rebuild(RunDirectory(path), config)
        images = prepare_training(splits, preprocess, config.data, crops=_crops(config))

    def claim() -> RunDirectory:
        stem = f"{source_stem(config.data.source)}-{config.model.name}"
        run = RunDirectory.create(config.run.dir, stem) if path is None else RunDirectory(path)
        run.remove_strays()
        if state is None:
            run.cut_logs({})
            write_text(run.config, to_yaml(config))
            write_record(run.path, config.model.name, model, preprocess, splits.train.classes)
        return run

    directory = ranks.from_main(claim)
    try:
        fit_run(
            config,
            directory,
            model,
            preprocess,
            images,
            state=state,
            device=device,
            ranks=ranks,
            progress=progress,
            loggers=loggers,
        )
    except BaseException as e:
        # a new run without a checkpoint is of no use; one with any can be resumed
        if path is None and not directory.last.is_file():
            if ranks.main:
                shutil.rmtree(directory.path, ignore_errors=True)
        elif type(e) is KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"go on from the last checkpoint with allmlp train --resume {directory.path}"
            ) from None
        raise
    ranks.gather(None)  # until the first process has written everything
    return directory


def _prepare(config: Config, splits: Splits) -> tuple[VisionModel, Preprocess, TrainImages]:
    """A model for the data, and the data for the model."""
    model, learned = build_for_data(config, len(splits.train.classes), splits.train.in_chans)
    channels = model.config.in_chans
    preprocess = learned or Preprocess(
        img_size=model.config.img_size,
        in_chans=channels,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )
    images = prepare_training(splits, preprocess, config.data, crops=_crops(config))
    if learned is None:
        mean, std = images.train.channel_statistics()
        preprocess = replace(preprocess, mean=mean, std=std)
    return model, preprocess, images


def _crops(config: Config) -> bool:
    return config.augment.crop_scale is not None
