"""What the directory of a run on a table holds, read for showing; nothing is computed anew.

Axes: n rows of the test part, k classes.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from allmlp.errors import AllmlpError
from allmlp.estimators.table_models import model_name
from allmlp.estimators.table_run import read_table_config
from allmlp.estimators.table_source import TableConfig
from allmlp.jsonl import read_lines
from allmlp.runs.directory import RunDirectory
from allmlp.runs.scores import Bin
from allmlp.runs.sessions import Session, read_sessions

__all__ = ["Classes", "Scored", "TableRecord", "Values", "read_table_run"]


@dataclass(frozen=True, eq=False)
class Values:
    """Predictions of a regression.

    Attributes:
        rows: positions in the table, of those that have a target.
        truth: targets.
        predicted: in their unit.
    """

    rows: Int[np.ndarray, " n"]
    truth: Float[np.ndarray, " n"]
    predicted: Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Classes:
    """Predictions of a classification.

    Attributes:
        names: of the classes.
        counts: rows of each class (first axis) that were taken for each class.
        bins: rows by their confidence.
    """

    names: tuple[str, ...]
    counts: Int[np.ndarray, "k k"]
    bins: tuple[Bin, ...]


@dataclass(frozen=True, eq=False)
class Scored:
    """What is known once the test part is scored.

    Attributes:
        summary: rows of each part, parameters, epochs.
        scores: as `table_scores.scores` gives them.
        columns: as `describe_columns` does, and whether each is `used`.
        importance: as `importances` does.
        dependence: as `partial_dependence` does.
        answers: of the test part.
    """

    summary: dict[str, Any]
    scores: dict[str, Any]
    columns: list[dict[str, Any]]
    importance: list[dict[str, Any]]
    dependence: list[dict[str, Any]]
    answers: Values | Classes


@dataclass(frozen=True, eq=False)
class TableRecord:
    """A run on a table; `scored` is None if its scoring was cut short."""

    directory: RunDirectory
    config: TableConfig
    metrics: list[dict[str, Any]]
    scored: Scored | None
    sessions: list[Session]

    @property
    def model(self) -> str:
        """Its name."""
        return model_name(self.config.parameters)

    def series(self, name: str) -> tuple[list[float], list[float]]:
        """Epochs and values of a metric."""
        found = [r for r in self.metrics if name in r]
        return [float(r["epoch"]) for r in found], [float(r[name]) for r in found]


def read_table_run(path: str | Path) -> TableRecord:
    """Read the directory of a run on a table.

    Raises:
        AllmlpError: no such run, or a damaged file, which is named.
    """
    directory = RunDirectory.open(path)
    return TableRecord(
        directory=directory,
        config=read_table_config(directory),
        metrics=read_lines(directory.metrics),
        scored=_scored(directory) if (directory.eval / "scores.json").is_file() else None,
        sessions=read_sessions(directory),
    )


def _scored(directory: RunDirectory) -> Scored:
    names = ("summary", "scores", "columns", "importance", "dependence")
    found = {name: directory.read_json(directory.eval / f"{name}.json") for name in names}
    try:
        answers: Values | Classes
        if "rmse" in found["scores"]:
            answers = _values(directory.eval / "predictions.csv")
        else:
            classes = tuple(entry["name"] for entry in found["scores"]["classes"])
            bins = directory.read_json(directory.eval / "calibration.json")["bins"]
            counts = _counts(directory.eval / "predictions.csv", classes)
            answers = Classes(classes, counts, tuple(Bin(**some) for some in bins))
        return Scored(
            summary=found["summary"],
            scores=found["scores"],
            columns=found["columns"]["columns"],
            importance=found["importance"]["columns"],
            dependence=found["dependence"]["columns"],
            answers=answers,
        )
    except (KeyError, TypeError, ValueError) as e:
        if isinstance(e, AllmlpError):
            raise
        raise AllmlpError(
            f"{directory.eval} is damaged, or of an earlier version ({e}); train again"
        ) from e


def _values(path: Path) -> Values:
    rows = _read(path, ("row", "true", "predicted"))
    return Values(
        rows=np.array([int(row[0]) for row in rows]),
        truth=np.array([float(row[1]) for row in rows]),
        predicted=np.array([float(row[2]) for row in rows]),
    )


def _counts(path: Path, classes: Sequence[str]) -> Int[np.ndarray, "k k"]:
    index = {name: i for i, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for truth, predicted in _read(path, ("true", "predicted")):
        counts[index[truth], index[predicted]] += 1
    return counts


def _read(path: Path, columns: Sequence[str]) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [[row[name] for name in columns] for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as e:
        raise AllmlpError(f"{path} is missing or damaged ({e}); train again") from e
