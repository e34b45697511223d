"""A training that goes wrong stops or goes back, and one that gets no better ends."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allmlp.jsonl import read_lines
from allmlp.runs import fitting
from allmlp.runs.train import train
from allmlp.training import Classification, NotFiniteError, load_checkpoint, warmup_cosine

Config = dict[str, Any]


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
    small: Config,
    tmp_path: Path,
    poison: Callable[..., None],
    logged: Callable[[Path], Any],
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
    small: Config,
    tmp_path: Path,
    files: Callable[[Path], Any],
    monkeypatch: pytest.MonkeyPatch,
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
