"""What the columns of a table hold, and what a reader of them should know.

Axes: n rows.
"""

import re
from collections import Counter
from typing import Any

import numpy as np

from allmlp.data import Table

__all__ = ["describe_columns"]

# 2024-05-01, 1.5.24, 5/1/2024, perhaps with a time of day
_DATE = re.compile(r"\d{1,4}([-./])\d{1,2}\1\d{1,4}([ T]\d{1,2}:.*)?")
_DECIMAL_COMMA = re.compile(r"[-+]?(\d+|\d{1,3}(\.\d{3})+),\d+")
# share of the levels that look alike, or of the rows with a level of their own
_NEARLY_ALL = 0.9
_FEWEST = 20


def describe_columns(table: Table) -> list[dict[str, Any]]:
    """Kind, missing values, range or number of levels, and what is odd about each column.

    Returns:
        For each: column, kind (number or text), missing (share of rows), min, median and max (None
        if it is empty) or levels and most (the most frequent), and for texts `hint`: what they
        seem to be besides names of levels, or None.
    """
    described = []
    for name, column in zip(table.names, table.columns, strict=True):
        said: dict[str, Any]
        if column.dtype == object:
            known = [v for v in column if v is not None]
            counts = Counter(known)
            most = counts.most_common(1)[0][0] if known else None
            said = {"levels": len(counts), "most": most, "hint": _hint(counts)}
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


def _hint(counts: Counter[str]) -> str | None:
    """What texts seem to be, if a model would make little of them."""
    if len(counts) < 2:
        return None
    for pattern, hint in (
        (_DATE, "dates, read as mere names: give year, month or weekday as numbers"),
        (_DECIMAL_COMMA, "numbers with a decimal comma, read as mere names: write a point"),
    ):
        if sum(bool(pattern.fullmatch(v)) for v in counts) > _NEARLY_ALL * len(counts):
            return hint
    if len(counts) > max(_FEWEST, _NEARLY_ALL * counts.total()):
        return "nearly every row has its own, from which nothing is learned for others"
    return None
