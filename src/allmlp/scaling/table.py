"""Runs from a csv file, by the names of its columns.

Axes: n runs.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from allmlp.errors import AllmlpError, unknown_name

__all__ = ["read_columns"]


def read_columns(path: str | Path, names: Sequence[str]) -> list[NDArray[np.float64]]:
    """Columns (n,) of a csv file with a header; other columns may hold anything.

    Raises:
        AllmlpError: no such file or column, no rows, or a cell that is no number (its line is
            named).
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            for name in names:
                if name not in header:
                    raise AllmlpError(unknown_name(f"column of {path}", name, header))
            columns: list[list[float]] = [[] for _ in names]
            for row in reader:
                for column, name in zip(columns, names, strict=True):
                    try:
                        column.append(float(row[name]))
                    except (TypeError, ValueError):
                        raise AllmlpError(
                            f"{path}, line {reader.line_num}: {name} must be a number, got "
                            f"{row[name]!r}; mend it or remove the line"
                        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise AllmlpError(f"runs are read from a csv file; {path} cannot be read: {e}") from e
    if not columns[0]:
        raise AllmlpError(f"{path} has no rows below its header")
    return [np.array(column) for column in columns]
