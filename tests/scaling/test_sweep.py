import csv
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

import allmlp
from allmlp.errors import AllmlpError
from allmlp.jsonl import read_lines
from allmlp.scaling import Settings, Trial, make_trials, run_sweep
from allmlp.scaling.measure import measure
from allmlp.scaling.sweep import open_sweep

QUICK = Settings(epochs=2, warmup=0.0)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("sweep") / "digits"
    trials = make_trials(["mlp"], [4, 8], [2], [100, 160], seeds=1)
    return folder, run_sweep(folder, trials, QUICK)


def test_a_row_says_what_was_trained_and_what_it_cost(
    sweep: tuple[Path, list[dict[str, Any]]],
) -> None:
    folder, rows = sweep
    assert len(rows) == 4
    row = next(row for row in rows if row["key"] == "mlp-w8-d2-n160-s0")
    # 64 pixels, two layers of 8 with norms (and so without biases), 10 classes
    body = 8 * 8 + 2 * 8
    assert row["parameters"] == (64 * 8 + 2 * 8) + body + (8 * 10 + 10)
    assert row["macs"] == 64 * 8 + 8 * 8 + 8 * 10
    assert row["seen"] == 2 * 160
    assert row["flops"] == 6 * row["macs"] * row["seen"]
    assert row["lr"] == pytest.approx(3e-2)
    assert not row["resumed"]

    run = allmlp.load_run(folder / "trials" / row["key"])
    assert run.scores()["loss"] == row["loss"]
    assert 1 - run.scores()["accuracy"] == pytest.approx(row["error"], abs=1e-6)
    assert run.config.data.samples == 160
    stem, head = run.model.get_submodule("features.blocks.0"), run.model.get_classifier()
    ends = sum(p.numel() for part in (stem, head) for p in part.parameters())
    assert row["body_parameters"] == row["parameters"] - ends == body
    assert not list((folder / "trials").rglob("*.ckpt"))


def test_the_table_is_a_csv_and_nothing_is_trained_twice(
    sweep: tuple[Path, list[dict[str, Any]]],
) -> None:
    folder, rows = sweep
    with (folder / "table.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [row["key"] for row in table] == sorted(row["key"] for row in rows)
    assert {row["key"]: float(row["loss"]) for row in table} == {r["key"]: r["loss"] for r in rows}
    assert run_sweep(folder) == rows


def test_more_trials_can_be_added_and_other_settings_cannot(tmp_path: Path) -> None:
    first, second = (make_trials(["mlp"], [width], [2], [100], seeds=1) for width in (4, 8))
    open_sweep(tmp_path, first, QUICK)
    trials, settings = open_sweep(tmp_path, [*first, *second])
    assert trials == [*first, *second]
    assert settings == QUICK
    with pytest.raises(AllmlpError, match=r"other settings \(epochs 2, not 3\)"):
        open_sweep(tmp_path, first, Settings(epochs=3, warmup=0.0))
    with pytest.raises(AllmlpError, match="holds no sweep"):
        open_sweep(tmp_path / "none")
    (tmp_path / "sweep.json").write_text('{"trials": 3}')
    with pytest.raises(AllmlpError, match="damaged"):
        open_sweep(tmp_path)


def test_settings_that_no_trial_could_train_with_are_refused_at_once() -> None:
    with pytest.raises(AllmlpError, match="1 epochs of warm-up must leave some of its 1 epochs"):
        Settings(epochs=1)
    with pytest.raises(AllmlpError, match="integer batch_size of at least 1"):
        Settings(batch_size=0)


def test_a_run_outlives_errors_that_are_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial("mlp", 8, 1, 100, 0)
    kept = tmp_path / "trials" / trial.key / "last.ckpt"

    def fill_the_disk(*_: object, **__: object) -> None:
        kept.parent.mkdir(parents=True)
        kept.write_bytes(b"half a training")
        raise OSError("no space left on device")

    monkeypatch.setattr("allmlp.scaling.measure.train", fill_the_disk)
    with pytest.raises(OSError, match="no space left"):
        measure(trial, QUICK, tmp_path)
    assert kept.is_file()


def test_a_refused_trial_leaves_no_run(tmp_path: Path) -> None:
    with pytest.raises(AllmlpError, match="1257 images of the training part, got 9999"):
        measure(Trial("mlp", 4, 2, 9999, 0), QUICK, tmp_path)
    assert not any((tmp_path / "trials").iterdir())
    (trial,) = trials = make_trials(["mlp"], [4], [2], [9999], seeds=1)
    heard: list[tuple[int, int, int]] = []
    rows = run_sweep(
        tmp_path / "sweep", trials, QUICK, retries=1, report=lambda *counts: heard.append(counts)
    )
    assert rows == []
    assert heard[-1] == (0, 1, 2)
    failures = read_lines(tmp_path / "sweep" / "failures.jsonl")
    assert [failure["key"] for failure in failures] == [trial.key] * 2


def test_the_random_state_of_the_caller_is_left_alone(
    sweep: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    before = torch.random.get_rng_state()
    measure(Trial("mlp", 4, 1, 50, 0), QUICK, tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.slow
@pytest.mark.unhooked
def test_trainings_killed_at_random_end_with_one_row_each(tmp_path: Path) -> None:
    """Two processes with two workers each; all processes of one are killed, again and again."""
    command = [sys.executable, "-m", "allmlp", "scale", "run", "digits", "--out", "sweep"]
    command += ["--families", "mlp", "--seeds", "1", "--epochs", "8", "--jobs", "2"]
    rows: list[dict[str, Any]] = []
    for _ in range(6):
        started = [
            subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, process_group=0)
            for _ in range(2)
        ]
        time.sleep(12)
        for process in started:
            subprocess.run(["kill", "-9", f"-{process.pid}"], check=False)
            process.wait()
        rows = read_lines(tmp_path / "sweep" / "rows.jsonl")
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    after = read_lines(tmp_path / "sweep" / "rows.jsonl")
    assert after[: len(rows)] == rows
    trials = json.loads((tmp_path / "sweep" / "sweep.json").read_text())["trials"]
    assert Counter(row["key"] for row in after) == {Trial(**trial).key: 1 for trial in trials}


@pytest.mark.slow
@pytest.mark.unhooked
def test_dead_workers_are_replaced_and_dying_ones_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = make_trials(["mlp"], [4, 8], [2], [100], seeds=1)
    assert len(run_sweep(tmp_path / "a", trials, QUICK, jobs=2)) == 2
    # spawned interpreters that cannot start; a worker takes its path to torch from the parent
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text("import os; os._exit(9)")
    with pytest.raises(AllmlpError, match="5 workers died in a row .the last with code 9"):
        run_sweep(tmp_path / "b", trials, QUICK, jobs=2)


@pytest.mark.slow
@pytest.mark.unhooked
def test_machines_without_a_common_folder_share_a_table(tmp_path: Path, postgres: Any) -> None:
    """Two folders, one PostgreSQL; one worker is killed while it trains and never comes back."""
    command = [sys.executable, "-m", "allmlp", "scale", "run", "digits", "--families", "mlp"]
    command += ["--widths", "8", "--widths", "16", "--samples", "320", "--seeds", "2"]
    command += ["--epochs", "40", "--storage", postgres.database("machines")]
    with (tmp_path / "output").open("w") as output:
        first = subprocess.Popen([*command, "--out", "a"], cwd=tmp_path, stderr=output)
        end = time.monotonic() + 120
        while not list(tmp_path.glob("a/trials/*/last.ckpt")):
            assert time.monotonic() < end, (tmp_path / "output").read_text()
            time.sleep(0.05)
        first.kill()
        first.wait()
    taken = {path.parent.name for path in tmp_path.glob("a/trials/*/last.ckpt")}
    # its trial is given away after 90 s without a heartbeat
    for folder in ("b", "a"):
        ended = subprocess.run(
            [*command, "--out", folder],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
    with (tmp_path / "b" / "table.csv").open(encoding="utf-8") as file:
        keys = [row["key"] for row in csv.DictReader(file)]
    assert keys == sorted(set(keys))
    assert len(keys) == 4
    assert taken <= set(keys)
    assert (tmp_path / "a" / "table.csv").read_text() == (tmp_path / "b" / "table.csv").read_text()
    # the second call in the first folder found everything done
    assert {row["key"] for row in read_lines(tmp_path / "b" / "rows.jsonl")} >= taken
