"""A table to a run directory, and back.

config.yaml          what was asked for, under `table`
metrics.jsonl        an object an epoch
model.safetensors    the estimator: preparation and weights
eval/columns.json    kind, missing values and range of every column of the training part
eval/scores.json     of the test part
eval/predictions.csv its rows, true and predicted
eval/importance.json, eval/dependence.json, eval/calibration.json
"""

import csv
import io
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from allmlp.data import Table, group_parts, random_parts, read_table, time_parts
from allmlp.errors import AllmlpError, check_choice, listing, unknown_name
from allmlp.estimators.saved import saved_class
from allmlp.estimators.table_scores import (
    calibration,
    importances,
    partial_dependence,
    scores,
)
from allmlp.estimators.tabular import TabularClassifier, TabularRegressor
from allmlp.files import write_text
from allmlp.runs.config_tree import read_yaml
from allmlp.runs.directory import RunDirectory

__all__ = ["TableConfig", "TableRun", "describe_columns", "train_table", "write_columns"]

Estimator = TabularClassifier | TabularRegressor
# the columns whose partial dependence is kept
_SHOWN = 4


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """What determines a run on a table.

    Attributes:
        source: path of the csv or parquet file.
        target: name of the column to predict.
        task: `classification` or `regression`; `auto` takes texts, and numbers that are only two,
            for classes.
        time: column that orders rows; the newest are tested, and it is no input.
        group: column of groups that stay together, and it is no input.
        run: folder to create; None is runs/DATA-MODEL-N.
        parameters: of the estimator, by name.
    """

    source: str
    target: str
    task: Literal["auto", "classification", "regression"] = "auto"
    time: str | None = None
    group: str | None = None
    run: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("task", self.task, ("auto", "classification", "regression"))
        if self.time is not None and self.group is not None:
            raise AllmlpError("rows are split by time or by group, not by both; drop one of them")


class TableRun:
    """A trained run on a table.

    Args:
        path: its folder.

    Raises:
        AllmlpError: it is no run on a table, or damaged.
    """

    def __init__(self, path: str | Path):
        self.directory = RunDirectory.open(path)
        tree = read_yaml(self.directory.config).get("table")
        if not isinstance(tree, dict):
            raise AllmlpError(f"{path} is no run on a table; its config.yaml says nothing of one")
        try:
            self.config = TableConfig(**tree)
        except TypeError as e:
            raise AllmlpError(f"{self.directory.config} is damaged ({e}); use another run") from e
        if not self.directory.weights.is_file():
            raise AllmlpError(f"{path} holds no trained model; train again")
        kind = saved_class(self.directory.weights)
        loads = TabularClassifier if kind == TabularClassifier.__name__ else TabularRegressor
        self.model: Estimator = loads.load(self.directory.weights)

    def scores(self) -> dict[str, Any]:
        """Of the test part."""
        return self.directory.read_json(self.directory.eval / "scores.json")

    def inputs(self, table: Table) -> Table:
        """The columns that the model reads; target, time and group are left out if there."""
        names = (self.config.target, self.config.time, self.config.group)
        return table.drop(*(name for name in names if name in table.names))

    def predict(self, table: Table) -> dict[str, np.ndarray]:
        """Columns of a prediction: the target, and of classes the probability of each."""
        inputs = self.inputs(table)
        columns = {self.config.target: self.model.predict(inputs)}
        if isinstance(self.model, TabularClassifier):
            shares = self.model.predict_proba(inputs)
            columns |= {f"p({c})": shares[:, i] for i, c in enumerate(self.model.classes_)}
        return columns

    def evaluate(self, source: str | None = None, part: str = "test") -> dict[str, Any]:
        """Score a part of the run's own table, or another table whole.

        Raises:
            AllmlpError: the table lacks a column, or rows with a target.
        """
        table, y = _with_target(read_table(source or self.config.source), self.config)
        if source is None and part != "all":
            rows = _parts(self.config, table, y)[part]
            table, y = table.take(rows), y[rows]
        y = _as_learned(self.model, y)
        found = scores(self.model, self.inputs(table), y)
        return {"source": source or self.config.source, "count": len(y), **found}


def train_table(config: TableConfig) -> TableRun:
    """Train on a table, and keep everything in a run directory.

    Raises:
        AllmlpError: the table or the configuration cannot be trained with.
        OSError: the folder cannot be written.
    """
    table, y = _with_target(read_table(config.source), config)
    classes = _is_classes(config, y)
    if not classes and y.dtype == object:
        wrong = next(v for v in y if v is not None)
        raise AllmlpError(
            f"regression needs numbers in {config.target!r}, got {wrong!r}; take "
            "--task classification"
        )
    kind = TabularClassifier if classes else TabularRegressor
    unknown = [name for name in config.parameters if name not in kind().get_params()]
    if unknown:
        known = kind().get_params()
        raise AllmlpError(unknown_name(f"parameter of {kind.__name__}", unknown[0], known))
    model = kind(**config.parameters)
    if classes:
        y = _labels(y)
    parts = _parts(config, table, y if classes else None)
    names = (config.target, config.time, config.group)
    inputs = table.drop(*(name for name in names if name is not None))
    if classes:
        # a class that training has not seen can be neither validated nor tested
        for name in ("val", "test"):
            parts[name] = parts[name][np.isin(y[parts[name]], y[parts["train"]])]
    train, val, test = (inputs.take(parts[name]) for name in ("train", "val", "test"))

    model.fit(train, y[parts["train"]], eval_set=(val, y[parts["val"]]))
    directory = RunDirectory.create(config.run, f"{Path(config.source).stem}-{model.model}")
    tree = {"table": asdict(config)}
    write_text(directory.config, yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))
    lines = [json.dumps(record) for record in model.history_.records]
    write_text(directory.metrics, "".join(f"{line}\n" for line in lines))
    model.save(directory.weights)
    _evaluate(directory, config, model, train, test, y[parts["test"]], parts["test"])
    return TableRun(directory.path)


def describe_columns(table: Table) -> list[dict[str, Any]]:
    """Kind, missing values, and range or number of levels of each column."""
    described = []
    for name, column in zip(table.names, table.columns, strict=True):
        said: dict[str, Any]
        if column.dtype == object:
            known = [v for v in column if v is not None]
            counts = Counter(known)
            most = counts.most_common(1)[0][0] if known else None
            said = {"levels": len(counts), "most": most}
        else:
            seen = column[~np.isnan(column)]
            known = seen.tolist()
            said = {
                "min": float(seen.min()) if known else None,
                "median": float(np.median(seen)) if known else None,
                "max": float(seen.max()) if known else None,
            }
        kind = "text" if column.dtype == object else "number"
        described.append(
            {"column": name, "kind": kind, "missing": 1 - len(known) / max(1, len(column)), **said}
        )
    return described


def write_columns(path: Path, columns: dict[str, np.ndarray]) -> None:
    """A csv file of these columns, replaced durably."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    write_text(path, text.getvalue())


def _evaluate(
    directory: RunDirectory,
    config: TableConfig,
    model: Estimator,
    train: Table,
    test: Table,
    y: np.ndarray,
    rows: np.ndarray,
) -> None:
    folder = directory.eval
    found = {"source": config.source, "count": len(y), **scores(model, test, y)}
    predicted = {"row": rows, "true": y, "predicted": model.predict(test)}
    if isinstance(model, TabularClassifier):
        shares = model.predict_proba(test)
        predicted |= {f"p({c})": shares[:, i] for i, c in enumerate(model.classes_)}
        directory.write_json(folder / "calibration.json", calibration(model, test, y))
    ranked = importances(model, test, y)
    directory.write_json(folder / "columns.json", {"columns": describe_columns(train)})
    directory.write_json(folder / "importance.json", {"columns": ranked})
    kept = [row["column"] for row in ranked if row["column"] not in model.encoder_.dropped]
    curves = [partial_dependence(model, test, name) for name in kept[:_SHOWN]]
    directory.write_json(folder / "dependence.json", {"columns": curves})
    write_columns(folder / "predictions.csv", predicted)
    directory.write_json(folder / "scores.json", found)  # last: the mark of completeness


def _with_target(table: Table, config: TableConfig) -> tuple[Table, np.ndarray]:
    """Rows that have a target."""
    y = table[config.target]
    for name in (config.time, config.group):
        if name is not None:
            table[name]
    there = np.array([v is not None and v == v for v in y], dtype=bool)
    if not there.any():
        raise AllmlpError(f"column {config.target!r} is the target and is missing in every row")
    return table.take(np.flatnonzero(there)), y[there]


def _is_classes(config: TableConfig, y: np.ndarray) -> bool:
    if config.task != "auto":
        return config.task == "classification"
    return y.dtype == object or len(np.unique(y)) <= 2


def _labels(y: np.ndarray) -> np.ndarray:
    """Texts, or whole numbers where all are."""
    if y.dtype == object:
        return y.astype(str)
    return y.astype(np.int64) if (y == np.round(y)).all() else y.astype(str)


def _as_learned(model: Estimator, y: np.ndarray) -> np.ndarray:
    if isinstance(model, TabularRegressor):
        return y
    labels = _labels(y)
    unseen = np.setdiff1d(labels, model.classes_)
    if len(unseen):
        raise AllmlpError(
            f"the run knows the classes {listing([str(c) for c in model.classes_])}, the table has "
            f"{listing([str(c) for c in unseen])} besides"
        )
    return labels


def _parts(config: TableConfig, table: Table, y: np.ndarray | None) -> dict[str, np.ndarray]:
    if config.time is not None:
        return time_parts(table[config.time])
    if config.group is not None:
        return group_parts(table[config.group])
    labels = y if y is not None and _is_classes(config, y) else None
    return random_parts(len(table), labels)
