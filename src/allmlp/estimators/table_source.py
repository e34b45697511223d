"""What a run on a table is asked for, and the rows that it gets by that.

Axes: n rows.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from allmlp.data import Table, group_parts, random_parts, read_table, time_parts
from allmlp.errors import AllmlpError, check_choice

__all__ = ["Examples", "TableConfig", "as_labels", "read_examples", "read_source"]


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


@dataclass(frozen=True, eq=False)
class Examples:
    """The rows of a table that have a target.

    Attributes:
        config: what was asked for.
        table: all columns.
        y: (n,) targets: numbers, or labels as texts or whole numbers.
        classes: whether they are labels.
        left_out: rows that have none.
    """

    config: TableConfig
    table: Table
    y: np.ndarray
    classes: bool
    left_out: int

    @property
    def inputs(self) -> Table:
        """The columns that a model reads."""
        names = (self.config.target, self.config.time, self.config.group)
        return self.table.drop(*(n for n in names if n is not None and n in self.table.names))

    def parts(self) -> dict[str, np.ndarray]:
        """Positions of the rows that train, validate (`val`) and test, always the same.

        A class that training does not see can be neither validated nor tested; its rows are left
        out.

        Raises:
            AllmlpError: too few rows, times, groups, or rows of a class.
        """
        config, y = self.config, self.y
        if config.time is not None:
            parts = time_parts(self.table[config.time])
        elif config.group is not None:
            parts = group_parts(self.table[config.group])
        else:
            parts = random_parts(len(self.table), y if self.classes else None)
        if self.classes:
            seen = y[parts["train"]]
            parts = {name: rows[np.isin(y[rows], seen)] for name, rows in parts.items()}
        if not all(map(len, parts.values())):
            raise AllmlpError(
                f"each part needs rows of classes that training sees, but of {len(np.unique(y))} "
                f"classes in {config.target!r} too many have a single row; take a target with "
                "fewer classes, or --task regression"
            )
        return parts


def read_source(
    config: TableConfig, source: str | Path | None = None, texts: Collection[str] = ()
) -> Table:
    """All columns and rows.

    Args:
        config: of the run: `time` may hold dates, and numbers that `categorical_features` names
            keep their spelling.
        source: another table; None is the run's own.
        texts: columns that hold texts, as in `read_table`.

    Raises:
        AllmlpError: as `read_table`.
    """
    named = config.parameters.get("categorical_features") or ()
    dates = () if config.time is None else (config.time,)
    return read_table(source or config.source, {*texts, *named}, dates)


def read_examples(
    config: TableConfig, source: str | None = None, texts: Collection[str] = ()
) -> Examples:
    """The rows that have a target.

    Args:
        config: of the run.
        source: another table with the same columns; None is the run's own.
        texts: columns that hold texts, as in `read_table`.

    Raises:
        AllmlpError: the table cannot be read, lacks a column, or has no target in any row.
    """
    table = read_source(config, source, texts)
    y = table[config.target]
    for name in (config.time, config.group):
        if name is not None and source is None:
            table[name]
    there = np.array([v is not None and v == v for v in y], dtype=bool)
    if not there.any():
        raise AllmlpError(f"column {config.target!r} is the target and is missing in every row")
    y = y[there]
    classes = config.task == "classification"
    if config.task == "auto":
        classes = y.dtype == object or len(np.unique(y)) <= 2
    if not classes and y.dtype == object:
        wrong = next(v for v in y if v is not None)
        raise AllmlpError(
            f"regression needs numbers in {config.target!r}, got {wrong!r}; take "
            "--task classification"
        )
    table = table.take(np.flatnonzero(there))
    y = as_labels(y) if classes else y
    return Examples(config, table, y, classes, left_out=len(there) - len(y))


def as_labels(y: np.ndarray) -> np.ndarray:
    """Texts, or whole numbers where all are."""
    if y.dtype == object:
        return y.astype(str)
    return y.astype(np.int64) if (y == np.round(y)).all() else y.astype(str)
