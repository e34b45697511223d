"""Who trains what: workers take trials from a board, and what they measured goes back to it.

Workers are equal and know nothing of each other; there is no master whose death would matter.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from allmlp.jsonl import read_lines
from allmlp.scaling.ledger import append_line, hold
from allmlp.scaling.trial import Trial

__all__ = ["Board", "FolderBoard", "Measure", "Row", "Turn"]

Row = dict[str, Any]
Measure = Callable[[Trial], Row]
# measured a trial, or failed to; all open ones are in other hands; nothing is left to do
Turn = Literal["worked", "busy", "finished"]


@runtime_checkable
class Board(Protocol):
    """A table of trials that fills up."""

    def take(self, measure: Measure) -> Turn:
        """Measure one open trial, if there is one, and keep its row."""

    def rows(self) -> list[Row]:
        """What has been measured: one row for a trial, in the order of measuring."""

    def failures(self) -> dict[str, list[str]]:
        """Errors by the key of their trial."""


class FolderBoard:
    """Trials shared by processes that see one folder.

    A worker holds the lock of its trial's name while it trains. Killed, it loses the lock, and
    another worker goes on from the run's last checkpoint. A row is written under the lock after a
    last look at the table, so that there is never a second one.

    Args:
        folder: of the sweep.
        trials: to measure.
        retries: further attempts at a trial that failed. Being killed is no failure.
    """

    def __init__(self, folder: Path, trials: Sequence[Trial], *, retries: int = 2):
        self.folder = folder
        self.trials = trials
        self.retries = retries
        self.table = folder / "rows.jsonl"
        self.failed = folder / "failures.jsonl"
        self.locks = folder / "locks"
        self.locks.mkdir(parents=True, exist_ok=True)

    def take(self, measure: Measure) -> Turn:
        """Measure the first open trial that nobody holds."""
        open_trials = self._open()
        for trial in open_trials:
            with hold(self.locks / trial.key) as held:
                # meanwhile another may have finished it
                if not held or trial not in self._open():
                    continue
                try:
                    row = measure(trial)
                except Exception as e:
                    failure = {"key": trial.key, "error": f"{type(e).__name__}: {e}"}
                    append_line(self.failed, failure)
                else:
                    append_line(self.table, {"key": trial.key, **row})
                return "worked"
        return "busy" if open_trials else "finished"

    def rows(self) -> list[Row]:
        """Of all trials there ever were in this folder."""
        return read_lines(self.table)

    def failures(self) -> dict[str, list[str]]:
        """Errors by the key of their trial."""
        return by_key(read_lines(self.failed))

    def _open(self) -> list[Trial]:
        done = {row["key"] for row in self.rows()}
        errors = self.failures()
        return [
            trial
            for trial in self.trials
            if trial.key not in done and len(errors.get(trial.key, ())) <= self.retries
        ]


def by_key(failures: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Errors of each trial, in order."""
    table: dict[str, list[str]] = {}
    for failure in failures:
        table.setdefault(failure["key"], []).append(failure["error"])
    return table
