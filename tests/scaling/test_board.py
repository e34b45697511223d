"""Trials and those who train them, killed at random."""

import json
import multiprocessing
import random
import runpy
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from allmlp.errors import AllmlpError
from allmlp.jsonl import read_lines
from allmlp.scaling.board import FolderBoard
from allmlp.scaling.ledger import append_line, hold
from allmlp.scaling.trial import Trial, make_trials

CREW = Path(__file__).with_name("crew.py")
TRIALS = make_trials(["mlp"], range(1, 13), [2], [100], seeds=1)  # of the crew


def test_a_torn_line_is_no_line_and_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    append_line(path, {"key": "a"})
    with path.open("ab") as file:
        file.write(b'{"key": "b", "lo')  # its writer was killed
    assert read_lines(path) == [{"key": "a"}]
    append_line(path, {"key": "c"})
    assert read_lines(path) == [{"key": "a"}, {"key": "c"}]
    path.write_text('{"key": "a"}\n{]\n')
    with pytest.raises(AllmlpError, match=r"line 2 is damaged .* remove it"):
        read_lines(path)
    path.write_text("3\n")
    with pytest.raises(AllmlpError, match="line 1 holds no object"):
        read_lines(path)
    assert read_lines(tmp_path / "none.jsonl") == []


def _append(path: Path, worker: int) -> None:
    for number in range(50):
        append_line(path, {"worker": worker, "number": number, "ballast": "x" * 5000})


@pytest.mark.unhooked
def test_lines_of_many_processes_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append, args=(path, i)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    rows = read_lines(path)
    assert sorted((row["worker"], row["number"]) for row in rows) == [
        (i, n) for i in range(3) for n in range(50)
    ]


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    with hold(tmp_path / "lock") as first, hold(tmp_path / "lock") as second:
        assert first
        assert not second
    with hold(tmp_path / "lock") as again:
        assert again


def test_failures_are_kept_and_tried_again(tmp_path: Path) -> None:
    trials = make_trials(["mlp"], [1, 2, 3], [2], [100], seeds=1)
    board = FolderBoard(tmp_path, trials, retries=2)
    attempts: Counter[int] = Counter()

    def measure(trial: Trial) -> dict[str, Any]:
        attempts[trial.width] += 1
        if trial.width == 1:
            raise AllmlpError("the loss is not finite")
        if trial.width == 2 and attempts[2] == 1:
            raise RuntimeError("out of memory")
        return {"loss": 1.0}

    while board.take(measure) != "finished":
        pass
    assert attempts == {1: 3, 2: 2, 3: 1}
    assert sorted(row["key"] for row in board.rows()) == ["mlp-w2-d2-n100-s0", "mlp-w3-d2-n100-s0"]
    assert board.failures() == {
        "mlp-w1-d2-n100-s0": ["AllmlpError: the loss is not finite"] * 3,
        "mlp-w2-d2-n100-s0": ["RuntimeError: out of memory"],
    }


def test_a_trial_in_other_hands_is_left_there(tmp_path: Path) -> None:
    (trial,) = trials = make_trials(["mlp"], [1], [2], [100], seeds=1)
    board = FolderBoard(tmp_path, trials)
    with hold(tmp_path / "locks" / trial.key):
        assert board.take(lambda _: {"loss": 1.0}) == "busy"
    assert board.take(lambda _: {"loss": 1.0}) == "worked"
    assert board.take(lambda _: {"loss": 1.0}) == "finished"
    assert board.rows() == [{"key": trial.key, "loss": 1.0}]


def run_crew(folder: Path, storage: str | None, *, size: int, kills: int, limit: float) -> int:
    """Let workers fill the table while `kill -9` takes some at work; how many it took."""
    command = [sys.executable, str(CREW), str(folder), *([storage] if storage else [])]
    rng = random.Random(0)
    workers = [subprocess.Popen(command) for _ in range(size)]
    killed, seen, end = 0, 0, time.monotonic() + limit
    while any(worker.poll() is None for worker in workers):
        assert time.monotonic() < end, "the crew does not come to an end"
        time.sleep(0.01)
        begun = read_lines(folder / "begun.jsonl")
        news, seen = begun[seen:], len(begun)
        for line in news:
            index = next((i for i, w in enumerate(workers) if w.pid == line["worker"]), None)
            if killed == kills or index is None or rng.random() < 0.3:
                continue
            time.sleep(rng.uniform(0, 0.1))  # of the 0.15 seconds that a trial takes
            workers[index].kill()
            workers[index].wait()
            workers[index] = subprocess.Popen(command)
            killed += 1
    assert all(worker.returncode == 0 for worker in workers)
    return killed


@pytest.mark.unhooked
def test_killed_workers_lose_no_trial_and_double_none(tmp_path: Path) -> None:
    killed = run_crew(tmp_path, None, size=2, kills=4, limit=60)
    assert killed == 4
    rows = FolderBoard(tmp_path, TRIALS).rows()
    assert Counter(row["key"] for row in rows) == {trial.key: 1 for trial in TRIALS}
    # somebody was killed at work, and it was begun again
    assert len(read_lines(tmp_path / "begun.jsonl")) > len(TRIALS)


@pytest.mark.slow
@pytest.mark.unhooked
def test_killed_workers_often(tmp_path: Path) -> None:
    for round_ in range(5):
        folder = tmp_path / str(round_)
        folder.mkdir()
        run_crew(folder, None, size=4, kills=25, limit=300)
        rows = FolderBoard(folder, TRIALS).rows()
        assert Counter(row["key"] for row in rows) == {trial.key: 1 for trial in TRIALS}


@pytest.mark.unhooked
def test_a_study_survives_its_workers(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    board = runpy.run_path(str(CREW))["board"]

    storage = f"sqlite:///{tmp_path / 'study.db'}"
    assert run_crew(tmp_path, storage, size=2, kills=2, limit=120) == 2
    rows = board(tmp_path, storage).rows()
    assert Counter(row["key"] for row in rows) == {trial.key: 1 for trial in TRIALS}
    assert {row["key"]: row["loss"] for row in rows} == {t.key: float(t.width) for t in TRIALS}
    json.dumps(rows)


def test_a_trial_that_another_worker_closed_is_measured_once(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    board = runpy.run_path(str(CREW))["board"]
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    own, other = board(tmp_path, storage), board(tmp_path, storage)
    own.trials = other.trials = TRIALS[:1]
    measured: list[str] = []

    def measure(trial: Trial) -> dict[str, Any]:
        measured.append(trial.key)
        (running,) = other.study.get_trials(states=[optuna.trial.TrialState.RUNNING])
        other.study.tell(running.number, state=optuna.trial.TrialState.PRUNED)
        return {"loss": 1.0}

    turns = [own.take(measure)]
    while turns[-1] != "finished":
        turns.append(own.take(measure))
    assert turns == ["busy", "worked", "finished"]
    assert measured == [TRIALS[0].key]
    assert own.rows() == [{"key": TRIALS[0].key, "loss": 1.0}]


@pytest.mark.slow
@pytest.mark.unhooked
def test_a_study_in_postgresql_survives_its_workers(tmp_path: Path, postgres: Any) -> None:
    board = runpy.run_path(str(CREW))["board"]
    storage = postgres.database("killed")
    assert run_crew(tmp_path, storage, size=3, kills=6, limit=300) == 6
    rows = board(tmp_path, storage).rows()
    assert Counter(row["key"] for row in rows) == {trial.key: 1 for trial in TRIALS}
    assert len(read_lines(tmp_path / "begun.jsonl")) > len(TRIALS)


@pytest.mark.unhooked
def test_a_database_that_was_away_costs_no_training(tmp_path: Path, postgres: Any) -> None:
    board = runpy.run_path(str(CREW))["board"]
    (trial,) = trials = TRIALS[:1]
    storage = postgres.database("away")
    own = board(tmp_path, storage)
    own.trials = trials
    measured: list[str] = []
    later = threading.Timer(1.0, postgres.start)

    def measure(trial: Trial) -> dict[str, Any]:
        measured.append(trial.key)
        postgres.stop()
        time.sleep(1.5)  # a heartbeat is lost
        later.start()  # after the row is handed in
        return {"loss": 1.0}

    end = time.monotonic() + 60
    try:
        while own.take(measure) != "finished":
            assert time.monotonic() < end
            time.sleep(0.2)
    finally:
        later.join()
    assert measured == [trial.key]
    assert own.rows() == [{"key": trial.key, "loss": 1.0}]


@pytest.mark.unhooked
def test_a_database_that_stays_away_is_named(
    tmp_path: Path, postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = runpy.run_path(str(CREW))["board"](tmp_path, postgres.database("gone"))
    monkeypatch.setattr("allmlp.scaling.study._PATIENCE", 0.5)
    postgres.stop()
    try:
        with pytest.raises(AllmlpError, match=r"not answered for 0\.5 s; start its database"):
            own.rows()
    finally:
        postgres.start()


@pytest.mark.unhooked
def test_a_storage_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    board = runpy.run_path(str(CREW))["board"]
    with pytest.raises(
        AllmlpError, match=r"storage postgresql\+psycopg://me:\*\*\*@.* give sqlite"
    ):
        board(tmp_path, "postgresql+psycopg://me:secret@127.0.0.1:1/none")
    with pytest.raises(AllmlpError, match=r"storage \(no URL\) cannot be used"):
        board(tmp_path, "secret")
