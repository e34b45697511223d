"""Kill a run anywhere, resume it, and get the run that was never killed, bit for bit."""

import copy
import itertools
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from allmlp.runs.config_tree import build_config, to_yaml
from allmlp.runs.run import Run, load_run
from allmlp.training import build_schedule, load_checkpoint

Config = dict[str, Any]

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


def resume(zygote: Any, run: Path, config: Config) -> None:
    """As a person would: with --resume if there is a run, from the beginning if there is none."""
    if (run / "model.safetensors").is_file():
        load_run(run)  # whatever was cut off, what is there can be used
    if (run / "config.yaml").is_file():
        assert zygote.ask(resume=str(run)) == 0
    else:
        shutil.rmtree(run, ignore_errors=True)
        assert zygote.ask(config=config, run=str(run)) == 0


@pytest.fixture
def assert_same_when_killed(
    zygote: Any, assert_same_run: Callable[[Path, Path], None], tmp_path: Path
) -> Callable[[Config], None]:
    """Kills a run of some configuration, resumes it and compares it with one left alone."""

    def compare(config: Config) -> None:
        unbroken, run = tmp_path / "unbroken", tmp_path / "run"
        assert zygote.ask(config=config, run=str(unbroken)) == 0
        # at the last of three checkpoints: what it goes on from has moments in it
        fault = {"file": "last.ckpt", "stage": "rename", "moment": "before", "occurrence": 3}
        assert zygote.ask(config=config, run=str(run), fault=fault) == 9, "the fault never happened"
        resume(zygote, run, config)
        assert_same_run(run, unbroken)

    return compare


@pytest.mark.parametrize(("file", "stage", "moment", "occurrence"), FAULTS)
def test_killed_at_a_write(
    zygote: Any,
    noisy: Config,
    unbroken: Path,
    assert_same_run: Callable[[Path, Path], None],
    tmp_path: Path,
    file: str,
    stage: str,
    moment: str,
    occurrence: int,
) -> None:
    run = tmp_path / "run"
    fault = {"file": file, "stage": stage, "moment": moment, "occurrence": occurrence}
    assert zygote.ask(config=noisy, run=str(run), fault=fault) == 9, "the fault never happened"
    resume(zygote, run, noisy)
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
        pytest.param(
            {"optimizer": "torch.optim.NAdam", "optimizer_options": {"momentum_decay": 0.01}},
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda recipe: recipe["optimizer"],
)
def test_killed_with_other_optimizers(
    noisy: Config, assert_same_when_killed: Callable[[Config], None], recipe: Config
) -> None:
    if recipe["optimizer"] == "schedule_free":
        pytest.importorskip("schedulefree", reason="needs the extra schedulefree")
    config = copy.deepcopy(noisy)
    config["train"] |= recipe
    assert_same_when_killed(config)


def test_killed_with_batch_norms_judged_elsewhere(
    noisy: Config, assert_same_when_killed: Callable[[Config], None], tmp_path: Path
) -> None:
    pytest.importorskip("schedulefree", reason="needs the extra schedulefree")
    config = copy.deepcopy(noisy) | {"augment": {"mixup": 0.4}}
    sizes = {"depth": 1, "width": 8, "patch_size": 2, "kernel_size": 3}
    config["model"] = {"name": "convmixer_256_8", "overrides": sizes}
    config["data"] = {"img_size": 8}
    config["train"] |= {"optimizer": "schedule_free", "ema": None}
    assert_same_when_killed(config)
    # what is kept has the statistics of the answer, what goes on those of training
    kept = load_run(tmp_path / "run").model.state_dict()
    training = load_checkpoint(tmp_path / "run" / "best.ckpt")["model"]
    means = [name for name in kept if name.endswith("running_mean")]
    assert means
    assert not any(torch.equal(kept[name], training[name]) for name in means)


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


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_killed_under_augmentation_and_a_teacher(
    noisy: Config, assert_same_when_killed: Callable[[Config], None], finished: Run, workers: int
) -> None:
    config = copy.deepcopy(noisy) | {"augment": AUGMENT, "data": {"workers": workers}}
    config["train"] |= {"class_weights": {"3": 2.0}, "teacher": str(finished.path)}
    config["train"] |= {"batch_size": 128}  # an epoch of 2 x 629 visits: five steps and a few
    assert_same_when_killed(config)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine_restarts"])
def test_a_resumed_run_follows_the_same_learning_rates(
    noisy: Config,
    assert_same_when_killed: Callable[[Config], None],
    logged: Callable[[Path], Any],
    tmp_path: Path,
    schedule: str,
) -> None:
    config = copy.deepcopy(noisy)
    options = {"cosine_restarts": {"first": 0.6}}
    config["train"] |= {
        "log_every": 1,
        "schedule": schedule,
        "schedule_options": options.get(schedule, {}),
    }
    assert_same_when_killed(config)
    rates = [r["lr"] for r in logged(tmp_path / "run") if "lr" in r]
    share = build_schedule(
        schedule,
        warmup_steps=2,
        total_steps=10,
        steps_per_epoch=5,
        options=options.get(schedule),
    )
    assert rates == [0.01 * share(step) for step in range(10)]


def test_killed_three_times(
    zygote: Any,
    noisy: Config,
    unbroken: Path,
    assert_same_run: Callable[[Path, Path], None],
    tmp_path: Path,
) -> None:
    moments = random.Random(0)
    zygote.kill_until_done(tmp_path / "run", noisy, moments, longest=0.3, most=3)
    assert_same_run(tmp_path / "run", unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_twenty_times(
    zygote: Any,
    noisy: Config,
    photos: Path,
    assert_same_run: Callable[[Path, Path], None],
    tmp_path: Path,
    workers: int,
) -> None:
    config = copy.deepcopy(noisy)
    config["data"] = {"source": str(photos), "cache_gib": 0.0, "workers": workers}
    config["train"] |= {"batch_size": 8, "keep_every": None}
    config["augment"] = AUGMENT | {"crop_scale": [0.5, 1.0]}
    assert zygote.ask(config=config, run=str(tmp_path / "unbroken")) == 0
    moments, hits, longest = random.Random(workers), 0, 0.3 + workers
    while hits < 20:
        run = tmp_path / str(hits)
        struck = zygote.kill_until_done(run, config, moments, longest, most=20 - hits)
        assert_same_run(run, tmp_path / "unbroken")
        if struck == 0:  # the processes are faster here
            longest /= 2
        hits += struck
        shutil.rmtree(run)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends_with_its_code(
    zygote: Any,
    noisy: Config,
    unbroken: Path,
    assert_same_run: Callable[[Path, Path], None],
    tmp_path: Path,
    number: int,
) -> None:
    # the same run in a file, for the command line
    run, config = tmp_path / "run", tmp_path / "config.yaml"
    config.write_text(to_yaml(build_config(noisy)))
    train = ["train", "--config", str(config), "--run", str(run), "--resume", "auto", "--no-report"]
    child = zygote.begin(arguments=train)
    while not (run / "metrics.jsonl").is_file():  # it listens by now
        time.sleep(0.001)
    os.kill(child, number)
    assert zygote.answer() == 128 + number
    assert 2 <= load_checkpoint(run / "last.ckpt")["step"] < 10
    assert zygote.ask(arguments=train) == 0
    assert_same_run(run, unbroken)
