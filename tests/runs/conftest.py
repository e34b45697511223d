"""A finished run that tests may read, and a process that forks runs which may die."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from allmlp.runs.run import Run
from allmlp.runs.train import train

SMALL: dict[str, Any] = {
    "model": {"overrides": {"depth": 1, "width": 8, "channel_hidden": 16, "token_hidden": 8}},
    "train": {"epochs": 2, "batch_size": 256, "warmup": 0.5, "log_every": 2},
    "run": {"precision": "fp32", "device": "cpu"},
}


@pytest.fixture
def small() -> dict[str, Any]:
    return {section: dict(values) for section, values in SMALL.items()}


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

    def close(self) -> None:
        self.process.communicate(timeout=30)


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    process = Zygote()
    yield process
    process.close()
