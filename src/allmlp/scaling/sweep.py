"""A sweep: a folder with a table of trials in it, and workers that fill the table.

sweep.json      settings and trials; more trials can be added, other settings cannot
rows.jsonl      one line for each trial measured, appended as it ends
failures.jsonl  one line for each attempt that failed
table.csv       the rows for spreadsheets and `allmlp scale fit`, written when workers end
trials/KEY/     the run of a trial
locks/          who trains what
"""

import csv
import io
import json
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import fmean
from typing import Any

from allmlp.errors import AllmlpError, check_integers
from allmlp.files import write_text
from allmlp.scaling.board import Board, FolderBoard, Row
from allmlp.scaling.ledger import hold_on
from allmlp.scaling.trial import Settings, Trial

__all__ = ["Report", "SweepState", "open_sweep", "read_sweep", "run_sweep"]

# trials measured, trials in all, attempts that failed
Report = Callable[[int, int, int], None]

# seconds between looks at the table
PATIENCE = 0.5
# workers that die in a row without a row in the table
DEATHS = 5


def run_sweep(
    folder: str | Path,
    trials: Sequence[Trial] = (),
    settings: Settings | None = None,
    *,
    jobs: int = 1,
    storage: str | None = None,
    retries: int = 2,
    report: Report | None = None,
) -> list[Row]:
    """Train what is still missing in a sweep's folder, alone or with others.

    The same call may run any number of times at once, and again after whatever has stopped it: each
    trial ends with exactly one row. Processes of one machine meet in the folder; machines without a
    common folder meet in an Optuna storage.

    Args:
        folder: of the sweep; made if it is not there.
        trials: to add to the table.
        settings: of a new sweep; of an old one, the same or None.
        jobs: processes; each gets its share of the cores. One is this process itself.
        storage: of Optuna (extra `sweep`): sqlite:///FILE or postgresql+psycopg://…; None is the
            folder.
        retries: further attempts at a trial that failed.
        report: hears of progress.

    Returns:
        The rows measured so far, of all workers; `measure` says what they hold.

    Raises:
        AllmlpError: other settings than the folder's, no trials, or workers that die again and
            again.
        OSError: the folder cannot be written.
    """
    check_integers("a sweep", minimum=1, jobs=jobs)
    check_integers("a sweep", minimum=0, retries=retries)
    path = Path(folder)
    all_trials, own = open_sweep(path, trials, settings)
    board = _board(path, all_trials, own, storage, retries)
    tell = partial(_tell, board, all_trials, report or (lambda *_: None))
    if jobs == 1:
        _work(path, storage, retries, tell=tell)
    else:
        _employ(path, storage, retries, jobs, tell)
    rows = board.rows()
    _write_csv(path / "table.csv", rows)
    return rows


@dataclass(frozen=True)
class SweepState:
    """How far a sweep has come.

    Attributes:
        trials: of the folder.
        settings: of all of them.
        rows: measured so far, those of these trials.
        failures: errors of attempts, by the key of their trial.
    """

    trials: tuple[Trial, ...]
    settings: Settings
    rows: tuple[Row, ...]
    failures: dict[str, list[str]]

    @property
    def missing(self) -> tuple[Trial, ...]:
        """Trials without a row: not begun, at work, or given up."""
        done = {row["key"] for row in self.rows}
        return tuple(trial for trial in self.trials if trial.key not in done)

    @property
    def seconds_left(self) -> float | None:
        """Time of one worker for what is missing, by the trials measured; None without any.

        A missing trial takes as long as the nearest measured one of its family (of all, if there
        is none): in proportion to width x depth x samples where those are more, and no less where
        they are fewer.
        """
        if not self.rows:
            return None
        return math.fsum(_guess(trial, self.rows) for trial in self.missing)


def _guess(trial: Trial, rows: Sequence[Row]) -> float:
    own = [row for row in rows if row["family"] == trial.family] or rows

    def work(width: int, depth: int, samples: int) -> float:
        return float(width * depth * samples)

    target = work(trial.width, trial.depth, trial.samples)

    def ratio(row: Row) -> float:
        return target / work(row["width"], row["depth"], row["samples"])

    nearest = min(abs(math.log(ratio(row))) for row in own)
    like = [row for row in own if abs(math.log(ratio(row))) <= nearest + 1e-9]
    return fmean(row["seconds"] * max(1.0, ratio(row)) for row in like)


def read_sweep(folder: str | Path, storage: str | None = None) -> SweepState:
    """What a sweep's folder, or its storage, holds now; nothing is trained or queued.

    Args:
        folder: of the sweep.
        storage: as in `run_sweep`, for rows and errors of all machines.

    Raises:
        AllmlpError: no sweep there, a damaged file, or a storage that cannot be reached.
    """
    path = Path(folder)
    if not (path / "sweep.json").is_file():
        raise AllmlpError(f"{path} holds no sweep; begin one with allmlp scale run --out {path}")
    trials, settings = _read(path / "sweep.json")
    board = _board(path, trials, settings, storage, 0)
    keys = {trial.key for trial in trials}
    return SweepState(
        tuple(trials),
        settings,
        tuple(row for row in board.rows() if row["key"] in keys),
        {key: errors for key, errors in board.failures().items() if key in keys},
    )


def open_sweep(
    folder: Path, trials: Sequence[Trial] = (), settings: Settings | None = None
) -> tuple[list[Trial], Settings]:
    """The trials and settings of a folder, with what is new added to them.

    Raises:
        AllmlpError: other settings than the folder's, no trials, or a damaged file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "sweep.json"
    with hold_on(folder / ".sweep.lock"):
        known: list[Trial] = []
        if file.is_file():
            known, own = _read(file)
            if settings is not None and settings != own:
                raise AllmlpError(
                    f"{folder} is a sweep with other settings ({_difference(own, settings)}); "
                    "choose another folder"
                )
            settings = own
        added = [trial for trial in trials if trial not in set(known)]
        if not (known or added):
            raise AllmlpError(f"{folder} holds no sweep; name a preset or trials to begin one")
        settings = settings or Settings()
        if added:
            content = {
                "settings": asdict(settings),
                "trials": [asdict(trial) for trial in (*known, *added)],
            }
            write_text(file, json.dumps(content, indent=1) + "\n")
    return [*known, *added], settings


def _read(file: Path) -> tuple[list[Trial], Settings]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        trials = [Trial(**trial) for trial in content["trials"]]
        return trials, Settings.from_dict(content["settings"])
    except (ValueError, KeyError, TypeError) as e:
        raise AllmlpError(f"{file} is damaged ({e}); begin in another folder") from e


def _difference(old: Settings, new: Settings) -> str:
    theirs, ours = asdict(old), asdict(new)
    return ", ".join(f"{k} {theirs[k]}, not {ours[k]}" for k in ours if ours[k] != theirs[k])


def _board(
    folder: Path, trials: Sequence[Trial], settings: Settings, storage: str | None, retries: int
) -> Board:
    if storage is None:
        return FolderBoard(folder, trials, retries=retries)
    from allmlp.scaling.study import StudyBoard

    return StudyBoard(folder, trials, settings, storage=storage, retries=retries)


def _work(
    folder: Path,
    storage: str | None,
    retries: int,
    *,
    threads: int | None = None,
    tell: Callable[[], int] | None = None,
) -> None:
    """Take trials until none is left."""
    from allmlp.scaling.measure import measure

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    trials, settings = open_sweep(folder)
    board = _board(folder, trials, settings, storage, retries)
    while (turn := board.take(partial(measure, settings=settings, folder=folder))) != "finished":
        if tell is not None:
            tell()
        if turn == "busy":
            time.sleep(PATIENCE)


def _employ(
    folder: Path, storage: str | None, retries: int, jobs: int, tell: Callable[[], int]
) -> None:
    """Keep so many workers alive until they end by themselves."""
    context = multiprocessing.get_context("spawn")
    threads = max(1, (os.cpu_count() or 1) // jobs)

    def start() -> BaseProcess:
        worker = context.Process(
            target=_work, args=(folder, storage, retries), kwargs={"threads": threads}, daemon=True
        )
        worker.start()
        return worker

    workers = [start() for _ in range(jobs)]
    deaths, measured = 0, tell()
    try:
        while workers:
            time.sleep(PATIENCE)
            if (now := tell()) > measured:
                deaths, measured = 0, now
            for worker in [w for w in workers if not w.is_alive()]:
                workers.remove(worker)
                if worker.exitcode == 0:
                    continue
                deaths += 1
                if deaths >= DEATHS:
                    raise AllmlpError(
                        f"{deaths} workers died in a row (the last with code {worker.exitcode}) "
                        "and none has measured anything; is there enough memory? Fewer --jobs "
                        "need less"
                    )
                workers.append(start())
    finally:
        for worker in workers:
            worker.terminate()  # a training saves itself; the next call goes on from there
        for worker in workers:
            worker.join()


def _tell(board: Board, trials: Sequence[Trial], report: Report) -> int:
    keys = {trial.key for trial in trials}
    done = sum(row["key"] in keys for row in board.rows())
    report(done, len(trials), sum(map(len, board.failures().values())))
    return done


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: str(row["key"])))
    write_text(path, text.getvalue())
