"""Trials shared by machines that reach one database: an Optuna study (extra `sweep`).

The study holds what every machine must know: who trains what, heartbeats, rows and errors. The runs
stay where they were trained, and a copy of their rows with them: a database that is away for a
while costs no training.
"""

import random
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import TypeVar

from allmlp.errors import AllmlpError, first_line
from allmlp.jsonl import read_lines
from allmlp.scaling.board import Measure, Row, Turn, by_key
from allmlp.scaling.ledger import append_line, hold
from allmlp.scaling.trial import Settings, Trial

try:
    import optuna
    from optuna.trial import FrozenTrial, TrialState
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool
except ImportError as e:
    raise AllmlpError(
        "a sweep over several machines needs Optuna; pip install 'allmlp[sweep]', or leave the "
        "storage out"
    ) from e

__all__ = ["StudyBoard"]

T = TypeVar("T")

_ATTEMPTS = 5
# seconds for which a database may be away
_PATIENCE = 60.0
_DATABASE = (optuna.exceptions.StorageInternalError, SQLAlchemyError)


class StudyBoard:
    """The same contract as `FolderBoard`, kept by a database.

    A worker shows every `heartbeat` seconds that it is alive. One that has not for three times as
    long has lost its trial: it is queued anew, and whatever the worker still says about it is
    refused. Trials are queued by whoever misses one, at times twice; who takes a trial that another
    one trains or has measured puts it down again.

    Args:
        folder: for the runs of this machine.
        trials: to measure.
        settings: of the sweep; machines with the same ones meet in one study.
        storage: URL of the database, sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME.
        retries: further attempts at a trial that failed. Being killed is no failure.
        heartbeat: seconds.

    Raises:
        AllmlpError: the storage cannot be reached.
    """

    def __init__(
        self,
        folder: Path,
        trials: Sequence[Trial],
        settings: Settings,
        *,
        storage: str,
        retries: int = 2,
        heartbeat: int = 30,
    ):
        self.trials = trials
        self.retries = retries
        self.measured = folder / "rows.jsonl"  # as of a `FolderBoard`: of this machine
        self.locks = folder / "locks"
        self.locks.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # failures are in the table
        digest = sha256(dumps(asdict(settings), sort_keys=True).encode()).hexdigest()[:12]
        self.study = _open(storage, f"allmlp-{digest}", heartbeat)

    def take(self, measure: Measure) -> Turn:
        """Measure the next trial of the queue, after queueing what is missing."""
        try:
            with _heartbeats_are_meant():
                optuna.storages.fail_stale_trials(self.study)
            states = self._queue_missing()
            if not any(TrialState.WAITING in own for own in states.values()):
                return "busy" if states else "finished"
            self.study.optimize(lambda trial: self._train(trial, measure), 1, catch=(Exception,))
        except (optuna.exceptions.UpdateFinishedTrialError, *_DATABASE):
            return "busy"  # the trial was taken away meanwhile, or the database was busy
        except ValueError:
            # The trial was closed by somebody else meanwhile: its heartbeats were lost, or SQLite
            # gave it to two workers at once. A row that was measured is kept in `measured`, and
            # handed in at the next turn. (What `measure` raises does not come here.)
            return "busy"
        except UnboundLocalError:
            return "busy"  # Optuna 5.0's answer to a database that goes while a trial is closed
        return "worked"

    def rows(self) -> list[Row]:
        """Of all trials there ever were in this study."""
        rows: dict[str, Row] = {}
        for trial in self._all(TrialState.COMPLETE):
            rows.setdefault(_key(trial), trial.user_attrs["row"])
        return [{"key": key, **row} for key, row in rows.items()]

    def failures(self) -> dict[str, list[str]]:
        """Errors by the key of their trial."""
        failed = self._all(TrialState.FAIL)
        return by_key(
            [
                {"key": _key(trial), "error": trial.user_attrs["error"]}
                for trial in failed
                if "error" in trial.user_attrs
            ]
        )

    def _queue_missing(self) -> dict[str, set[TrialState]]:
        """States of the open trials, by key."""
        states: dict[str, set[TrialState]] = {}
        for frozen in self._all():
            states.setdefault(_key(frozen), set()).add(frozen.state)
        errors = self.failures()
        open_states = {}
        for trial in self.trials:
            own = states.get(trial.key, set())
            if TrialState.COMPLETE in own or len(errors.get(trial.key, ())) > self.retries:
                continue
            if not own & {TrialState.WAITING, TrialState.RUNNING}:
                self.study.enqueue_trial({}, user_attrs={"trial": asdict(trial)})
                own = own | {TrialState.WAITING}
            open_states[trial.key] = own
        return open_states

    def _train(self, claimed: optuna.Trial, measure: Measure) -> float:
        if "trial" not in claimed.user_attrs:  # another worker was faster: the queue was empty
            raise optuna.TrialPruned
        trial = Trial(**claimed.user_attrs["trial"])
        for other in self._all(TrialState.RUNNING, TrialState.COMPLETE):
            if other.number != claimed.number and _key(other) == trial.key:
                raise optuna.TrialPruned
        with hold(self.locks / trial.key) as held:
            if not held:  # by a worker of this machine that has stopped to show that it is alive
                raise optuna.TrialPruned
            row = self._measured(trial)
            if row is None:
                try:
                    row = measure(trial)
                except Exception as e:
                    error = f"{type(e).__name__}: {e}"
                    _patiently(lambda: claimed.set_user_attr("error", error))
                    raise
                append_line(self.measured, {"key": trial.key, **row})
            _patiently(lambda: claimed.set_user_attr("row", row))
            return float(row["loss"])

    def _measured(self, trial: Trial) -> Row | None:
        """What this machine has measured and could not hand in."""
        for row in read_lines(self.measured):
            if row.pop("key") == trial.key:
                return row
        return None

    def _all(self, *states: TrialState) -> list[FrozenTrial]:
        found = _patiently(lambda: self.study.get_trials(deepcopy=False, states=states or None))
        return [trial for trial in found if "trial" in trial.user_attrs]


class _Storage(optuna.storages.RDBStorage):
    """Optuna's, of which one lost heartbeat does not end all later ones."""

    def record_heartbeat(self, trial_id: int) -> None:
        """Show that the trial's worker is alive, if the database can hear it."""
        with suppress(*_DATABASE):  # else Optuna's thread would end
            super().record_heartbeat(trial_id)


def _open(storage: str, name: str, heartbeat: int) -> optuna.Study:
    for attempt in range(_ATTEMPTS):
        try:
            with _heartbeats_are_meant():
                opened = _Storage(
                    storage,
                    # no connection outlives its query: none is left open at the end, and none is
                    # dead after a restart of the database
                    engine_kwargs={"poolclass": NullPool},
                    heartbeat_interval=heartbeat,
                    grace_period=3 * heartbeat,
                )
            return optuna.create_study(
                study_name=name,
                storage=opened,
                sampler=optuna.samplers.RandomSampler(),
                load_if_exists=True,
            )
        except (ImportError, ValueError, *_DATABASE) as e:
            # two workers may make the tables of an empty database at once: one of them fails
            if attempt == _ATTEMPTS - 1:
                raise AllmlpError(
                    f"the storage {_shown(storage)} cannot be used ({first_line(e)}); give "
                    "sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
                ) from e
        time.sleep(random.uniform(0.2, 0.6))
    raise AssertionError("unreachable")


def _patiently(ask: Callable[[], T]) -> T:
    """Ask the database, again and again while it is away."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return ask()
        except _DATABASE as e:
            if time.monotonic() > end:
                raise AllmlpError(
                    f"the storage has not answered for {_PATIENCE:g} s; start its database and "
                    "call the sweep again, nothing is lost"
                ) from e
        time.sleep(1.0)


def _shown(storage: str) -> str:
    """The URL without its password."""
    try:
        return make_url(storage).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "(no URL)"


@contextmanager
def _heartbeats_are_meant() -> Iterator[None]:
    """Optuna has had them since 2021 and still warns that they are experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def _key(frozen: FrozenTrial) -> str:
    return Trial(**frozen.user_attrs["trial"]).key
