"""Kill a run anywhere, resume it, and get the run that was never killed, bit for bit."""

import contextlib
import copy
import csv
import errno
import itertools
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from allmlp.cli import main as cli
from allmlp.data import BrokenImages, load_source, write_shards
from allmlp.errors import AllmlpError
from allmlp.jsonl import read_lines
from allmlp.runs import fitting
from allmlp.runs.config_tree import build_config, to_yaml
from allmlp.runs.run import Run, load_run
from allmlp.runs.train import train
from allmlp.training import (
    Classification,
    NotFiniteError,
    build_schedule,
    load_checkpoint,
    save_checkpoint,
    warmup_cosine,
)

Config = dict[str, Any]

# everything that draws random numbers or remembers something is on
CONFIG: Config = {
    "model": {
        "overrides": {
            "depth": 2,
            "width": 8,
            "channel_hidden": 16,
            "token_hidden": 8,
            "dropout_rate": 0.2,
            "drop_path_rate": 0.2,
        }
    },
    "train": {
        "epochs": 2,
        "batch_size": 256,  # five steps an epoch
        "warmup": 0.5,
        "log_every": 2,
        "checkpoint_steps": 3,
        "accumulate": 3,
        "ema": 0.9,
        "keep_every": 2,
    },
    "run": {"precision": "fp32", "device": "cpu"},
}

# every file that a run writes, and the stages of writing it
REPLACED = ("config.yaml", "model.json", "best.ckpt", "model.safetensors", "scores.json")
STAGES = [("temp", m) for m in ("before", "during", "after")] + [
    (stage, m) for stage in ("fsync", "rename") for m in ("before", "after")
]
FAULTS = (
    [("last.ckpt", stage, moment, n) for stage, moment in STAGES for n in (1, 2)]
    + [("last.ckpt", "link", moment, 1) for moment in ("before", "after")]
    + [
        ("metrics.jsonl", "append", moment, n)
        for moment in ("before", "during", "after")
        for n in (1, 5)
    ]
    + [("metrics.csv", "append", moment, n) for moment, n in (("during", 1), ("after", 4))]
    + [("metrics.jsonl", "fsync", moment, 2) for moment in ("before", "after")]
    + [(file, *stage, 1) for file, stage in zip(REPLACED, itertools.cycle(STAGES), strict=False)]
)
ALL_FAULTS = [
    (file, *stage, n)
    for file in (*REPLACED, "last.ckpt", "epoch-2.ckpt", "predictions.npz")
    for stage in STAGES
    for n in (1, 2)
]


AFTER_STEP_3 = {"file": "last.ckpt", "stage": "rename", "moment": "after", "occurrence": 1}


@pytest.fixture(scope="module")
def unbroken(zygote: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("unbroken") / "run"
    assert zygote.ask(config=CONFIG, run=str(path)) == 0
    return path


def logged(run: Path) -> list[dict[str, Any]]:
    """Every line but for its speed."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]


def table(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return [{**row, "images_per_second": ""} for row in csv.DictReader(file)]


def assert_same_run(run: Path, unbroken: Path) -> None:
    assert logged(run) == logged(unbroken)
    assert table(run) == table(unbroken)
    for path in unbroken.glob("*.ckpt"):
        ours, theirs = load_checkpoint(run / path.name), load_checkpoint(path)
        assert ours["step"] == theirs["step"]
        for key in ("model", "average"):
            assert all(torch.equal(ours[key][k], theirs[key][k]) for k in theirs[key] or ())
    assert (run / "model.safetensors").read_bytes() == (unbroken / "model.safetensors").read_bytes()
    ours, theirs = (json.loads((r / "eval" / "scores.json").read_text()) for r in (run, unbroken))
    assert ours == theirs
    assert {p.name for p in run.rglob("*")} == {p.name for p in unbroken.rglob("*")}


def resume(zygote: Any, run: Path, config: Config) -> None:
    """As a person would: with --resume if there is a run, from the beginning if there is none."""
    if (run / "model.safetensors").is_file():
        load_run(run)  # whatever was cut off, what is there can be used
    if (run / "config.yaml").is_file():
        assert zygote.ask(resume=str(run)) == 0
    else:
        shutil.rmtree(run, ignore_errors=True)
        assert zygote.ask(config=config, run=str(run)) == 0


def kill_until_done(
    zygote: Any, run: Path, config: Config, moments: random.Random, longest: float, most: int
) -> int:
    """Send SIGKILL at random moments, resuming in between, until the run is finished.

    Returns:
        How many processes it hit, `most` at most.
    """
    hits = 0
    while True:
        if (run / "config.yaml").is_file():
            child = zygote.begin(resume=str(run))
        else:
            shutil.rmtree(run, ignore_errors=True)
            child = zygote.begin(config=config, run=str(run))
        if hits < most:
            time.sleep(moments.uniform(0, longest))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        status = zygote.answer()
        if status == 0:
            return hits
        assert status == -signal.SIGKILL
        hits += 1
        if (run / "model.safetensors").is_file():
            load_run(run)  # whatever was cut off, what is there can be used


@pytest.mark.parametrize(("file", "stage", "moment", "occurrence"), FAULTS)
def test_killed_at_a_write(
    zygote: Any,
    unbroken: Path,
    tmp_path: Path,
    file: str,
    stage: str,
    moment: str,
    occurrence: int,
) -> None:
    run = tmp_path / "run"
    fault = {"file": file, "stage": stage, "moment": moment, "occurrence": occurrence}
    assert zygote.ask(config=CONFIG, run=str(run), fault=fault) == 9, "the fault never happened"
    resume(zygote, run, CONFIG)
    assert_same_run(run, unbroken)


@pytest.mark.parametrize(
    "recipe",
    [
        {
            "optimizer": "muon",
            "layer_decay": 0.8,
            "schedule": "wsd",
            "schedule_options": {"decay": 0.5},
        },
        {
            "optimizer": "lion",
            "optimizer_options": {"betas": [0.95, 0.98]},
            "lr": 1e-3,
            "schedule": "plateau",
            "schedule_options": {"patience": 0, "factor": 0.5},
            "metric": "loss",
        },
        {
            "optimizer": "schedule_free",
            "optimizer_options": {"betas": [0.95, 0.98]},
            "ema": None,
        },
        {"optimizer": "torch.optim.NAdam", "optimizer_options": {"momentum_decay": 0.01}},
    ],
    ids=lambda recipe: recipe["optimizer"],
)
def test_killed_with_other_optimizers(zygote: Any, tmp_path: Path, recipe: Config) -> None:
    if recipe["optimizer"] == "schedule_free":
        pytest.importorskip("schedulefree", reason="needs the extra schedulefree")
    config = copy.deepcopy(CONFIG)
    config["train"] |= recipe
    assert_killed_and_resumed_it_is_the_same(zygote, tmp_path, config)


def test_killed_with_batch_norms_judged_elsewhere(zygote: Any, tmp_path: Path) -> None:
    pytest.importorskip("schedulefree", reason="needs the extra schedulefree")
    config = copy.deepcopy(CONFIG) | {"augment": {"mixup": 0.4}}
    sizes = {"depth": 1, "width": 8, "patch_size": 2, "kernel_size": 3}
    config["model"] = {"name": "convmixer_256_8", "overrides": sizes}
    config["data"] = {"img_size": 8}
    config["train"] |= {"optimizer": "schedule_free", "ema": None}
    assert_killed_and_resumed_it_is_the_same(zygote, tmp_path, config)
    # what is kept has the statistics of the answer, what goes on those of training
    kept = load_run(tmp_path / "run").model.state_dict()
    training = load_checkpoint(tmp_path / "run" / "best.ckpt")["model"]
    means = [name for name in kept if name.endswith("running_mean")]
    assert means
    assert not any(torch.equal(kept[name], training[name]) for name in means)


def assert_killed_and_resumed_it_is_the_same(zygote: Any, tmp_path: Path, config: Config) -> None:
    unbroken, run = tmp_path / "unbroken", tmp_path / "run"
    assert zygote.ask(config=config, run=str(unbroken)) == 0
    # at the last of three checkpoints: what it goes on from has moments in it
    fault = {"file": "last.ckpt", "stage": "rename", "moment": "before", "occurrence": 3}
    assert zygote.ask(config=config, run=str(run), fault=fault) == 9, "the fault never happened"
    resume(zygote, run, config)
    assert_same_run(run, unbroken)


AUGMENT: Config = {
    "policy": "randaugment",
    "magnitude_std": 0.5,
    "pad": 1,
    "flip": 0.5,
    "erase": 0.3,
    "mixup": 0.4,
    "cutmix": 1.0,
    "repeats": 2,
    "balanced": True,
}


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_under_augmentation_and_a_teacher(
    zygote: Any, finished: Run, tmp_path: Path, workers: int
) -> None:
    config = copy.deepcopy(CONFIG) | {"augment": AUGMENT, "data": {"workers": workers}}
    config["train"] |= {"class_weights": {"3": 2.0}, "teacher": str(finished.path)}
    config["train"] |= {"batch_size": 128}  # an epoch of 2 x 629 visits: five steps and a few
    assert_killed_and_resumed_it_is_the_same(zygote, tmp_path, config)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine_restarts"])
def test_a_resumed_run_follows_the_same_learning_rates(
    zygote: Any, tmp_path: Path, schedule: str
) -> None:
    config = copy.deepcopy(CONFIG)
    options = {"cosine_restarts": {"first": 0.6}}
    config["train"] |= {
        "log_every": 1,
        "schedule": schedule,
        "schedule_options": options.get(schedule, {}),
    }
    assert_killed_and_resumed_it_is_the_same(zygote, tmp_path, config)
    rates = [r["lr"] for r in logged(tmp_path / "run") if "lr" in r]
    share = build_schedule(
        schedule,
        warmup_steps=2,
        total_steps=10,
        steps_per_epoch=5,
        options=options.get(schedule),
    )
    assert rates == [0.01 * share(step) for step in range(10)]


def test_killed_three_times(zygote: Any, unbroken: Path, tmp_path: Path) -> None:
    moments = random.Random(0)
    kill_until_done(zygote, tmp_path / "run", CONFIG, moments, longest=0.3, most=3)
    assert_same_run(tmp_path / "run", unbroken)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    for number in range(120):
        path = folder / f"class{number % 3}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture(scope="module")
def shards(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs in uneven tars, seven images and fewer."""
    folder = tmp_path_factory.mktemp("shards") / "out"
    write_shards(load_source(str(photos)), folder, max_images=7, broken=BrokenImages(120, 0.0))
    return folder


@pytest.fixture(scope="module")
def streamed(shards: Path) -> Config:
    """Everything that may vary an image is on, and nothing is kept in memory."""
    config = copy.deepcopy(CONFIG)
    config["data"] = {"source": str(shards), "cache_gib": 0.0}
    config["train"] |= {"batch_size": 16, "keep_every": None, "accumulate": 1}
    config["augment"] = {
        "crop_scale": [0.3, 1.0],
        "policy": "randaugment",
        "flip": 0.5,
        "erase": 0.25,
        "mixup": 0.2,
        "cutmix": 1.0,
        "repeats": 2,
        "balanced": True,
    }
    return config


@pytest.fixture(scope="module")
def streamed_unbroken(
    zygote: Any, streamed: Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("streamed") / "run"
    assert zygote.ask(config=streamed, run=str(path)) == 0
    return path


@pytest.mark.parametrize("workers", [0, 2])
def test_shards_are_resumed_within_an_epoch(
    zygote: Any, streamed: Config, streamed_unbroken: Path, tmp_path: Path, workers: int
) -> None:
    config, run = copy.deepcopy(streamed), tmp_path / "run"
    config["data"]["workers"] = workers
    # after steps 3 and 9 of six an epoch
    for occurrence, start in ((1, {"config": config, "run": str(run)}), (3, {"resume": str(run)})):
        fault = AFTER_STEP_3 | {"occurrence": occurrence}
        assert zygote.ask(**start, fault=fault) == 9, "the fault never happened"
    assert load_checkpoint(run / "last.ckpt")["step"] == 9
    assert zygote.ask(resume=str(run)) == 0
    assert_same_run(run, streamed_unbroken)


def test_shards_that_changed_are_refused(
    zygote: Any, streamed: Config, shards: Path, tmp_path: Path
) -> None:
    data, run = shutil.copytree(shards, tmp_path / "data"), tmp_path / "run"
    config = copy.deepcopy(streamed)
    config["data"]["source"] = str(data)
    assert zygote.ask(config=config, run=str(run), fault=AFTER_STEP_3) == 9
    (data / "train-000003.tar").unlink()
    with pytest.raises(AllmlpError, match="training part has changed .* restore the data"):
        train(resume=run, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_shards_killed_ten_times(
    zygote: Any, streamed: Config, streamed_unbroken: Path, tmp_path: Path, workers: int
) -> None:
    config = copy.deepcopy(streamed)
    config["data"]["workers"] = workers
    moments, hits, longest = random.Random(workers), 0, 0.3 + workers
    while hits < 10:
        run = tmp_path / str(hits)
        struck = kill_until_done(zygote, run, config, moments, longest, most=10 - hits)
        assert_same_run(run, streamed_unbroken)
        if struck == 0:  # the processes are faster here
            longest /= 2
        hits += struck
        shutil.rmtree(run)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_twenty_times(zygote: Any, photos: Path, tmp_path: Path, workers: int) -> None:
    config = copy.deepcopy(CONFIG)
    config["data"] = {"source": str(photos), "cache_gib": 0.0, "workers": workers}
    config["train"] |= {"batch_size": 8, "keep_every": None}
    config["augment"] = AUGMENT | {"crop_scale": [0.5, 1.0]}
    assert zygote.ask(config=config, run=str(tmp_path / "unbroken")) == 0
    moments, hits, longest = random.Random(workers), 0, 0.3 + workers
    while hits < 20:
        run = tmp_path / str(hits)
        struck = kill_until_done(zygote, run, config, moments, longest, most=20 - hits)
        assert_same_run(run, tmp_path / "unbroken")
        if struck == 0:  # the processes are faster here
            longest /= 2
        hits += struck
        shutil.rmtree(run)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends_with_its_code(
    zygote: Any, unbroken: Path, tmp_path: Path, number: int
) -> None:
    # the same run in a file, for the command line
    run, config = tmp_path / "run", tmp_path / "config.yaml"
    config.write_text(to_yaml(build_config(CONFIG)))
    train = ["train", "--config", str(config), "--run", str(run), "--resume", "auto", "--no-report"]
    child = zygote.begin(arguments=train)
    while not (run / "metrics.jsonl").is_file():  # it listens by now
        time.sleep(0.001)
    os.kill(child, number)
    assert zygote.answer() == 128 + number
    assert 2 <= load_checkpoint(run / "last.ckpt")["step"] < 10
    assert zygote.ask(arguments=train) == 0
    assert_same_run(run, unbroken)


@pytest.fixture(scope="module")
def halted(zygote: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that died after its first checkpoint; tests resume copies."""
    path = tmp_path_factory.mktemp("halted") / "run"
    assert zygote.ask(config=CONFIG, run=str(path), fault=AFTER_STEP_3) == 9
    return path


@pytest.fixture
def run(halted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(halted, tmp_path / "run"))


def files(run: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(p.relative_to(run)): (p.stat().st_mtime_ns, p.read_bytes())
        for p in run.rglob("*")
        if p.is_file()
    }


def change_checkpoint(run: Path, **entries: Any) -> None:
    save_checkpoint(run / "last.ckpt", load_checkpoint(run / "last.ckpt") | entries)


def of_a_newer_schema(run: Path) -> None:
    torch.save({"schema": 2}, run / "last.ckpt")


def damaged(run: Path) -> None:
    (run / "last.ckpt").write_bytes((run / "last.ckpt").read_bytes()[:-1000])


def of_another_model(run: Path) -> None:
    model = load_checkpoint(run / "last.ckpt")["model"]
    change_checkpoint(run, model={k: v for k, v in model.items() if "blocks.1" not in k})


def of_another_average(run: Path) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("ema: 0.9", "ema: null"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (of_a_newer_schema, "schema 2, this allmlp reads up to 1; update allmlp"),
        (damaged, "last.ckpt is no intact checkpoint .* use another one"),
        (of_another_model, "last.ckpt does not fit this model, in .* places .*: - "),
        (of_another_average, "last.ckpt has an average of the weights; set train.ema as it was"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_and_left(
    run: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(run)
    before = files(run)
    with pytest.raises(AllmlpError, match=message):
        train(resume=run, progress=False)
    assert files(run) == before


def test_the_command_line_says_so_in_one_line(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(run)
    with pytest.raises(SystemExit) as e:
        cli(["train", "--resume", str(run)])
    assert e.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "last.ckpt is no intact checkpoint" in line


def test_changed_data_are_refused(zygote: Any, photos: Path, tmp_path: Path) -> None:
    data, run = shutil.copytree(photos, tmp_path / "data"), tmp_path / "run"
    config = copy.deepcopy(CONFIG) | {"data": {"source": str(data)}}
    config["train"] |= {"batch_size": 16}
    assert zygote.ask(config=config, run=str(run), fault=AFTER_STEP_3) == 9
    before = files(run)
    for picture in (data / "class1").glob("?.png"):
        picture.rename(data / "class2" / picture.name)
    with pytest.raises(AllmlpError, match="training part has changed .* restore the data"):
        train(resume=run, progress=False)
    assert files(run) == before


class Fail:
    """Raises an error of the operating system instead of doing something."""

    def __init__(self, code: int):
        self.code = code

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_what_cannot_be_written_costs_nothing_that_was_saved(
    zygote: Any,
    unbroken: Path,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
) -> None:
    before = files(run)
    fail, open_path = Fail(code), Path.open

    def opened(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        return open_path(self, mode, *args, **kwargs) if mode in {"r", "rb"} else fail()

    with monkeypatch.context() as broken:
        if code == errno.ENOSPC:  # a line or two still fit, a checkpoint does not
            broken.setattr(os, "fsync", fail)
        else:
            broken.setattr(Path, "open", opened)
        with pytest.raises(OSError, match=os.strerror(code)):
            train(resume=run, progress=False)
    kept = files(run)
    assert {name for name in kept if kept[name] != before[name]} <= {"metrics.jsonl", "metrics.csv"}
    assert set(kept) == set(before)
    assert zygote.ask(resume=str(run)) == 0
    assert_same_run(run, unbroken)


def test_a_finished_run_is_left_as_it_is(zygote: Any, finished: Run, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished.path, tmp_path / "run"))
    before = files(run)
    assert zygote.ask(arguments=["train", "--resume", str(run), "--no-report"]) == 0
    assert train(resume=run, progress=False).scores() == finished.scores()
    assert files(run) == before


def test_a_finished_run_says_so(finished: Run, capsys: pytest.CaptureFixture[str]) -> None:
    train(resume=finished.path)
    assert "is finished; nothing to do" in capsys.readouterr().err


def test_a_run_keeps_its_own_configuration(zygote: Any, run: Path) -> None:
    before = files(run)
    with pytest.raises(AllmlpError, match="keeps its own configuration .* without other settings"):
        train(resume=run, lr=0.5)
    assert zygote.ask(arguments=["train", "--resume", str(run), "--lr", "0.5"]) == 1
    assert files(run) == before


def test_what_is_no_run_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(AllmlpError, match="is no run: it has no config.yaml"):
        train(resume=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_auto_starts_then_finds_and_refuses_another(small: Config, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = train(small, run=str(run), resume="auto", progress=False)
    before = files(run)
    assert train(small, run=str(run), resume="auto", progress=False).scores() == first.scores()
    with pytest.raises(AllmlpError, match=r"another configuration \(run.seed, train.lr\)"):
        train(small, run=str(run), resume="auto", seed=1, lr=0.5, progress=False)
    assert files(run) == before


def test_auto_without_a_folder_takes_the_newest_of_the_same_configuration(
    small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small["train"] |= {"epochs": 1}

    def path(seed: int, **options: Any) -> str:
        return train(small, seed=seed, progress=False, **options).path.name

    assert [path(0), path(0), path(1)] == [f"digits-mixer_digits-{n}" for n in (1, 2, 3)]
    old = tmp_path / "runs" / "digits-mixer_digits-9"
    old.mkdir()
    (old / "config.yaml").write_text("train: {of_another_version: 1}\n")
    assert path(0, resume="auto") == "digits-mixer_digits-2"
    assert path(2, resume="auto") == "digits-mixer_digits-4"


def test_auto_goes_on_in_a_folder_without_a_file_and_in_no_other(
    small: Config, tmp_path: Path
) -> None:
    killed, foreign = tmp_path / "killed", tmp_path / "foreign"
    killed.mkdir()
    (killed / ".config.yaml.123.tmp").write_text("half")
    run = train(small, run=str(killed), resume="auto", epochs=1, progress=False)
    assert run.scores()
    assert not list(killed.glob(".*"))
    foreign.mkdir()
    (foreign / "letter.txt").write_text("mine")
    with pytest.raises(AllmlpError, match="exists and is no run; choose another folder"):
        train(small, run=str(foreign), resume="auto", progress=False)
    assert [p.name for p in foreign.iterdir()] == ["letter.txt"]


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes chosen evaluations of the loss NaN, counted from 1."""
    loss, calls = Classification.loss, itertools.count(1)

    def poisoned(*chosen: int) -> None:
        def spoilt(self: Any, model: Any, batch: Any) -> Any:
            value, outputs = loss(self, model, batch)
            return (value * float("nan") if next(calls) in chosen else value), outputs

        monkeypatch.setattr(Classification, "loss", spoilt)

    return poisoned


def rate(step: int) -> float:
    return 0.01 * warmup_cosine(step - 1, warmup_steps=2, total_steps=10)


def test_nan_stops_and_names_step_rate_and_checkpoint(
    small: Config, tmp_path: Path, poison: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    small["train"] |= {"checkpoint_steps": 3}
    poison(5)
    with pytest.raises(NotFiniteError) as e:
        train(small, run=str(run), progress=False)
    message = str(e.value)
    assert f"the loss is nan at step 5 (learning rate {rate(5):.3g})" in message
    assert f"the last good checkpoint is {run / 'last.ckpt'} of step 3" in message
    assert "or allow train.rollbacks" in message
    monkeypatch.undo()
    assert train(resume=run, progress=False).scores()["count"] == 360


def test_nan_weights_are_not_saved(
    small: Config, tmp_path: Path, poison: Callable[..., None]
) -> None:
    run = tmp_path / "run"
    small["train"] |= {"checkpoint_steps": 1, "log_every": 10}
    poison(3)  # no report before the checkpoint that would hold it
    with pytest.raises(NotFiniteError, match="weights are no longer finite at step 3 .* of step 2"):
        train(small, run=str(run), progress=False)
    model = load_checkpoint(run / "last.ckpt")["model"]
    assert all(value.isfinite().all() for value in model.values())


def test_a_rollback_halves_the_rate_for_the_rest(
    small: Config, tmp_path: Path, poison: Callable[..., None]
) -> None:
    run = tmp_path / "run"
    small["train"] |= {"checkpoint_steps": 3, "rollbacks": 2, "gradflow": 1}
    poison(5, 7)  # step 5, and once more on its second way there
    train(small, run=str(run), progress=False)
    records = logged(run)
    assert [r["rollbacks"] for r in records if "rollbacks" in r] == [2]  # the first is cut off
    rates = {r["step"]: r["lr"] for r in records if "lr" in r}
    assert rates == pytest.approx({2: rate(2)} | {n: rate(n) / 4 for n in (4, 5, 6, 8, 10)})
    assert all(np.isfinite(r["train/loss"]) for r in records if "train/loss" in r)
    assert load_checkpoint(run / "last.ckpt")["rollbacks"] == 2
    measured = read_lines(run / "gradflow.jsonl")
    assert [m["step"] for m in measured] == list(range(10))
    assert all(m["nonfinite"] is None for m in measured)


def test_training_stops_early(
    small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, scores = tmp_path / "run", iter([0.5, 0.7, 0.6, 0.7, 0.9])
    small["train"] |= {"epochs": 5, "early_stop": 2}
    monkeypatch.setattr(fitting, "evaluate", lambda *_: {"accuracy": next(scores)})
    train(small, run=str(run), progress=False)
    last = load_checkpoint(run / "last.ckpt")
    assert (last["epoch"], last["done"]) == (4, True)
    before = files(run)
    train(resume=run, progress=False)
    assert files(run) == before


def test_a_profile_is_a_trace_that_browsers_read(
    small: Config, finished: Run, tmp_path: Path
) -> None:
    small["run"] |= {"profile": True}
    run = train(small, run=str(tmp_path / "run"), progress=False)
    assert json.loads((run.path / "trace.json").read_text())["traceEvents"]
    assert logged(run.path) == logged(finished.path)


def test_gradient_flow_is_resumed_and_changes_no_loss(
    zygote: Any, unbroken: Path, tmp_path: Path
) -> None:
    config = copy.deepcopy(CONFIG)
    config["train"] |= {"gradflow": 1}
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert zygote.ask(config=config, run=str(whole)) == 0
    assert logged(whole) == logged(unbroken)
    # dies with lines in the log that the checkpoint does not know
    fault = {"file": "last.ckpt", "stage": "rename", "moment": "before", "occurrence": 2}
    assert zygote.ask(config=config, run=str(run), fault=fault) == 9
    assert zygote.ask(resume=str(run)) == 0
    assert logged(run) == logged(whole)
    lines = (run / "gradflow.jsonl").read_text()
    assert [json.loads(line)["step"] for line in lines.splitlines()] == list(range(10))
    assert lines == (whole / "gradflow.jsonl").read_text()


@pytest.mark.unhooked
def test_a_compiled_model_learns_the_same_and_is_kept_uncompiled(
    small: Config, tmp_path: Path
) -> None:
    plain = train(small, run=str(tmp_path / "plain"), progress=False)
    small["run"] |= {"compile": True}
    compiled = train(small, run=str(tmp_path / "compiled"), progress=False)
    for ours, theirs in zip(logged(compiled.path), logged(plain.path), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)
    assert compiled.model.state_dict().keys() == plain.model.state_dict().keys()


def test_a_refused_resumption_shows_no_configuration(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as e:
        cli(["train", "--resume", str(run), "--lr", "0.1"])
    assert e.value.code == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "keeps its own configuration" in shown.err
