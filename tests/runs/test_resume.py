"""Kill a run anywhere, resume it, and get the run that was never killed, bit for bit."""

import contextlib
import copy
import itertools
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from allmlp.runs.config_tree import build_config, to_yaml
from allmlp.runs.run import load_run
from allmlp.training import load_checkpoint

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
    + [("metrics.jsonl", "fsync", moment, 2) for moment in ("before", "after")]
    + [(file, *stage, 1) for file, stage in zip(REPLACED, itertools.cycle(STAGES), strict=False)]
)
ALL_FAULTS = [
    (file, *stage, n)
    for file in (*REPLACED, "last.ckpt", "epoch-2.ckpt", "predictions.npz")
    for stage in STAGES
    for n in (1, 2)
]


@pytest.fixture(scope="module")
def unbroken(zygote: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("unbroken") / "run"
    assert zygote.ask(config=CONFIG, run=str(path)) == 0
    return path


def logged(run: Path) -> list[dict[str, Any]]:
    """Every line but for its speed."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]


def assert_same_run(run: Path, unbroken: Path) -> None:
    assert logged(run) == logged(unbroken)
    for path in unbroken.glob("*.ckpt"):
        ours, theirs = load_checkpoint(run / path.name), load_checkpoint(path)
        assert ours["step"] == theirs["step"]
        for key in ("model", "average"):
            assert all(torch.equal(ours[key][k], theirs[key][k]) for k in theirs[key])
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


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_twenty_times(zygote: Any, photos: Path, tmp_path: Path, workers: int) -> None:
    config = copy.deepcopy(CONFIG)
    config["data"] = {"source": str(photos), "cache_gib": 0.0, "workers": workers}
    config["train"] |= {"batch_size": 8, "keep_every": None}
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
    train = ["train", "--config", str(config), "--run", str(run), "--resume", "auto"]
    child = zygote.begin(arguments=train)
    while not (run / "metrics.jsonl").is_file():  # it listens by now
        time.sleep(0.001)
    os.kill(child, number)
    assert zygote.answer() == 128 + number
    assert 2 <= load_checkpoint(run / "last.ckpt")["step"] < 10
    assert zygote.ask(arguments=train) == 0
    assert_same_run(run, unbroken)
