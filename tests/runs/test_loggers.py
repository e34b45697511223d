"""Loggers hear what the files hold, and of every way back."""

import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from allmlp.errors import AllmlpError
from allmlp.runs import loggers
from allmlp.runs.loggers import Logger, TensorBoard
from allmlp.runs.train import train
from allmlp.training import Classification


class Memory:
    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.rewound: list[int] = []
        self.closed = 0

    def log(self, record: Mapping[str, Any]) -> None:
        assert not self.closed
        self.records.append(dict(record))

    def rewind(self, step: int) -> None:
        self.rewound.append(step)
        self.records = [r for r in self.records if r["step"] <= step]

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def fails_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes one evaluation of the loss NaN, counted from 1."""
    loss = Classification.loss

    def spoil(chosen: int) -> None:
        calls = iter(range(1, 10_000))

        def spoilt(self: Any, model: Any, batch: Any) -> Any:
            value, outputs = loss(self, model, batch)
            return (value * float("nan") if next(calls) == chosen else value), outputs

        monkeypatch.setattr(Classification, "loss", spoilt)

    return spoil


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_logger_hears_what_is_written(small: dict[str, Any], tmp_path: Path) -> None:
    memory = Memory()
    assert isinstance(memory, Logger)
    run = train(small, run=str(tmp_path / "run"), progress=False, loggers=[memory])
    assert memory.records == lines(run.path)
    assert (memory.rewound, memory.closed) == ([], 1)


def test_a_logger_hears_of_a_rollback(
    small: dict[str, Any], tmp_path: Path, fails_at: Callable[[int], None]
) -> None:
    memory = Memory()
    small["train"] |= {"checkpoint_steps": 3, "rollbacks": 1, "log_every": 1}
    fails_at(5)
    run = train(small, run=str(tmp_path / "run"), progress=False, loggers=[memory])
    assert memory.rewound == [3]
    assert memory.records == lines(run.path)


def test_a_logger_hears_of_a_resumption(zygote: Any, small: dict[str, Any], tmp_path: Path) -> None:
    run, memory = tmp_path / "run", Memory()
    small["train"] |= {"checkpoint_steps": 3}
    fault = {"file": "last.ckpt", "stage": "rename", "moment": "after", "occurrence": 1}
    assert zygote.ask(config=small, run=str(run), fault=fault) == 9
    train(resume=run, progress=False, loggers=[memory])
    assert memory.rewound == [3]
    assert memory.records == [r for r in lines(run) if r["step"] > 3]


def test_tensorboard_shows_every_value_once(
    small: dict[str, Any], tmp_path: Path, fails_at: Callable[[int], None]
) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    small["train"] |= {"checkpoint_steps": 3, "rollbacks": 1, "log_every": 1}
    small["run"] |= {"tensorboard": True}
    fails_at(5)
    run = train(small, run=str(tmp_path / "run"), progress=False)
    shown = EventAccumulator(str(run.path / "tensorboard")).Reload()
    for name in ("train/loss", "val/accuracy", "lr"):
        expected = [(r["step"], r[name]) for r in lines(run.path) if name in r]
        assert [(e.step, e.value) for e in shown.Scalars(name)] == [
            (step, pytest.approx(value, rel=1e-6)) for step, value in expected
        ]
    assert "epoch" not in shown.Tags()["scalars"]


def test_without_tensorboard_the_remedy_is_named(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(loggers, "find_spec", lambda n: None if n == "tensorboard" else find(n))
    small["run"] |= {"tensorboard": True}
    with pytest.raises(AllmlpError, match=r"pip install 'allmlp\[tensorboard\]'"):
        train(small, run=str(tmp_path / "run"), progress=False)
    assert not (tmp_path / "run").exists()
    with pytest.raises(AllmlpError, match="needs the package tensorboard"):
        TensorBoard(tmp_path / "tensorboard")
