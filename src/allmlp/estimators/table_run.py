"""A trained run on a table: its estimator, predictions and scores."""

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from allmlp.data import Table
from allmlp.data.table_levels import spellings
from allmlp.errors import AllmlpError, listing
from allmlp.estimators.saved import saved_class
from allmlp.estimators.table_models import Classifier, TableModel, model_classes
from allmlp.estimators.table_scores import scores
from allmlp.estimators.table_source import TableConfig, read_examples, read_source
from allmlp.files import write_text
from allmlp.runs.config_tree import read_yaml
from allmlp.runs.directory import RunDirectory

__all__ = ["TableRun", "read_table_config", "write_columns"]


class TableRun:
    """A trained run on a table.

    Args:
        path: its folder.

    Raises:
        AllmlpError: it is no run on a table, or damaged.
    """

    def __init__(self, path: str | Path):
        self.directory = RunDirectory.open(path)
        self.config = read_table_config(self.directory)
        if not self.directory.weights.is_file():
            raise AllmlpError(f"{path} holds no trained model; train again")
        kind = saved_class(self.directory.weights)
        known = model_classes()
        if kind not in known:
            raise AllmlpError(
                f"{self.directory.weights} holds {kind or 'no estimator'}; a run on a table has "
                f"one of {', '.join(known)}"
            )
        self.model: TableModel = known[kind].load(self.directory.weights)

    def scores(self) -> dict[str, Any]:
        """Of the test part."""
        return self.directory.read_json(self.directory.eval / "scores.json")

    def read(self, path: str | Path) -> Table:
        """A table from a file; what held texts in training does, whatever the file holds.

        Raises:
            AllmlpError: as `read_table`.
        """
        return read_source(self.config, path, self._texts)

    @property
    def _texts(self) -> list[str]:
        names = [column.name for column in self.model.encoder_.categories]
        if isinstance(self.model, Classifier) and self.model.classes_.dtype.kind == "U":
            names.append(self.config.target)
        return names

    def predict(self, table: Table) -> dict[str, np.ndarray]:
        """Columns of a prediction: the target, and of classes the probability of each.

        Args:
            table: with the columns of the training; target, time and group are left out if there.

        Raises:
            AllmlpError: it has other columns.
        """
        names = (self.config.target, self.config.time, self.config.group)
        inputs = table.drop(*(name for name in names if name in table.names))
        columns = {self.config.target: self.model.predict(inputs)}
        if isinstance(self.model, Classifier):
            shares = self.model.predict_proba(inputs)
            columns |= {f"p({c})": shares[:, i] for i, c in enumerate(self.model.classes_)}
        return columns

    def evaluate(self, source: str | None = None, part: str = "test") -> dict[str, Any]:
        """Score a part of the run's own table, or another table whole.

        Returns:
            source, count of rows scored, `left_out`: rows of the table without a target, and the
            scores.

        Raises:
            AllmlpError: the table lacks a column, rows with a target, or has classes of its own.
        """
        # another table may hold few of the values by which `auto` decides
        if isinstance(self.model, Classifier):
            config = replace(self.config, task="classification")
        else:
            config = replace(self.config, task="regression")
        # the run's own table is read as it was in training
        examples = read_examples(config, source, self._texts if source is not None else ())
        y, inputs = examples.y, examples.inputs
        if source is None and part != "all":
            rows = examples.parts()[part]
            y, inputs = y[rows], inputs.take(rows)
        if isinstance(self.model, Classifier):
            y = _under_known_names(y, self.model.classes_)
        found = scores(self.model, inputs, y)
        about = {"source": source or self.config.source, "count": len(y)}
        return {**about, "left_out": examples.left_out, **found}


def _under_known_names(y: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Labels as the training spelt them: 1, 1.0, True and "1" are one class."""
    names = {str(c): c for c in known.tolist()}
    found = {
        label: next((names[s] for s in spellings(label) if s in names), None)
        for label in {*y.tolist()}
    }
    unseen = sorted(str(label) for label, name in found.items() if name is None)
    if unseen:
        raise AllmlpError(
            f"the run knows the classes {listing([str(c) for c in known])}, the table has "
            f"{listing(unseen)} besides"
        )
    return np.array([found[label] for label in y.tolist()], dtype=known.dtype)


def read_table_config(directory: RunDirectory) -> TableConfig:
    """What a run on a table was asked for.

    Raises:
        AllmlpError: it is no run on a table, or damaged.
    """
    tree = read_yaml(directory.config).get("table")
    if not isinstance(tree, dict):
        raise AllmlpError(
            f"{directory.path} is no run on a table; its config.yaml says nothing of one"
        )
    try:
        return TableConfig(**tree)
    except TypeError as e:
        raise AllmlpError(f"{directory.config} is damaged ({e}); use another run") from e


def write_columns(path: Path, columns: dict[str, np.ndarray]) -> None:
    """A csv file of these columns, replaced durably."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    write_text(path, text.getvalue())
