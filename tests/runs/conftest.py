"""Runs that tests may read, what compares them, and a process that forks runs which may die."""

import contextlib
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from allmlp.runs.run import Run, load_run
from allmlp.runs.train import train
from allmlp.training import load_checkpoint

Config = dict[str, Any]
Log = list[dict[str, Any]]

SMALL: Config = {
    "model": {"overrides": {"depth": 1, "width": 8, "channel_hidden": 16, "token_hidden": 8}},
    "train": {"epochs": 2, "batch_size": 256, "warmup": 0.5, "log_every": 2},
    "run": {"precision": "fp32", "device": "cpu"},
}

# everything that draws random numbers or remembers something is on
NOISY: Config = {
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


@pytest.fixture
def small() -> Config:
    return {section: dict(values) for section, values in SMALL.items()}


@pytest.fixture(scope="session")
def noisy() -> Config:
    """Shared: tests that change it use a copy."""
    return NOISY


@pytest.fixture(scope="session")
def after_step_3() -> dict[str, Any]:
    """The fault that ends a noisy run after its first checkpoint."""
    return {"file": "last.ckpt", "stage": "rename", "moment": "after", "occurrence": 1}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Shared: tests that write use a copy."""
    path = tmp_path_factory.mktemp("runs") / "small"
    return train(SMALL, run=str(path), progress=False)


class Zygote:
    """See zygote.py."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("zygote.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def ask(self, **command: Any) -> int:
        """Exit status of a child that obeyed, negative if a signal ended it."""
        self.begin(**command)
        return self.answer()

    def begin(self, **command: Any) -> int:
        """Number of the child that obeys; `answer` has its exit status."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"fault": None, **command}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> int:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the zygote has died; see its stderr"
        return int(line)

    def kill_until_done(
        self, run: Path, config: Config, moments: random.Random, longest: float, most: int
    ) -> int:
        """Send SIGKILL at random moments, resuming in between, until the run is finished.

        Returns:
            How many processes it hit, `most` at most.
        """
        hits = 0
        while True:
            if (run / "config.yaml").is_file():
                child = self.begin(resume=str(run))
            else:
                shutil.rmtree(run, ignore_errors=True)
                child = self.begin(config=config, run=str(run))
            if hits < most:
                time.sleep(moments.uniform(0, longest))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            status = self.answer()
            if status == 0:
                return hits
            assert status == -signal.SIGKILL
            hits += 1
            if (run / "model.safetensors").is_file():
                load_run(run)  # whatever was cut off, what is there can be used

    def close(self) -> None:
        self.process.communicate(timeout=30)


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    process = Zygote()
    yield process
    process.close()


@pytest.fixture(scope="session")
def unbroken(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The noisy run that nothing has interrupted. Shared: tests only read it."""
    path = tmp_path_factory.mktemp("unbroken") / "run"
    assert zygote.ask(config=NOISY, run=str(path)) == 0
    return path


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared: tests that write use a copy."""
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    for number in range(120):
        path = folder / f"class{number % 3}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture(scope="session")
def logged() -> Callable[[Path], Log]:
    """Reads the log of a run: every line but for its speed."""

    def read(run: Path) -> Log:
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]

    return read


@pytest.fixture(scope="session")
def assert_same_run(logged: Callable[[Path], Log]) -> Callable[[Path, Path], None]:
    """Compares all that a run has left with all that the unbroken one has."""

    def table(run: Path) -> list[dict[str, str]]:
        with (run / "metrics.csv").open(newline="") as file:
            return [{**row, "images_per_second": ""} for row in csv.DictReader(file)]

    def compare(run: Path, unbroken: Path) -> None:
        assert logged(run) == logged(unbroken)
        assert table(run) == table(unbroken)
        for path in unbroken.glob("*.ckpt"):
            ours, theirs = load_checkpoint(run / path.name), load_checkpoint(path)
            assert ours["step"] == theirs["step"]
            for key in ("model", "average"):
                assert all(torch.equal(ours[key][k], theirs[key][k]) for k in theirs[key] or ())
        weights, expected = ((r / "model.safetensors").read_bytes() for r in (run, unbroken))
        assert weights == expected
        ours, theirs = (
            json.loads((r / "eval" / "scores.json").read_text()) for r in (run, unbroken)
        )
        assert ours == theirs
        assert {p.name for p in run.rglob("*")} == {p.name for p in unbroken.rglob("*")}

    return compare


@pytest.fixture(scope="session")
def files() -> Callable[[Path], dict[str, tuple[int, bytes]]]:
    """Reads every file of a run, and when it was written."""

    def read(run: Path) -> dict[str, tuple[int, bytes]]:
        return {
            str(p.relative_to(run)): (p.stat().st_mtime_ns, p.read_bytes())
            for p in run.rglob("*")
            if p.is_file()
        }

    return read
