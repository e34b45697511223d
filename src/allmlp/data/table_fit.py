"""What of a table is learned from its training rows: scales, quantiles, levels, edges of bins.

Axes: n rows, f numeric features.
"""

from collections import Counter
from collections.abc import Collection
from typing import Literal

import numpy as np

from allmlp.data.table import Table
from allmlp.data.table_encoder import (
    CategoryColumn,
    Dtype,
    NumberColumn,
    TableEncoder,
    as_numbers,
    as_texts,
)
from allmlp.errors import AllmlpError, check_choice, check_integers, listing

__all__ = ["fit_encoder", "quantile_edges"]

Scaling = Literal["quantile", "robust", "standard", "range"]

# a column with more levels keeps the most frequent ones
MAX_LEVELS = 10_000


def fit_encoder(
    table: Table,
    *,
    scaling: Scaling = "quantile",
    min_frequency: int = 2,
    seed: int = 0,
    rows: np.ndarray | None = None,
    dtype: Dtype = "float32",
    categories: Collection[str] = (),
) -> TableEncoder:
    """Learn how to prepare a table's columns.

    Args:
        table: the training rows.
        scaling: of numbers: `quantile` maps ranks to a normal law; `robust` subtracts the median,
            divides by the quartiles' distance and bends the tails (RealMLP); `standard` subtracts
            the mean and divides by the deviation; `range` maps least and largest to -1 and 1.
        min_frequency: a level seen less often shares the code of unseen ones, which so learns what
            a rare level means. Beyond 10 000 levels the most frequent are kept.
        seed: of the noise that keeps equal values from one quantile (1e-5 deviations).
        rows: positions of the rows to learn from; all by default.
        dtype: of the encoded rows.
        categories: columns whose numbers are names of levels: codes of places or products.

    Raises:
        AllmlpError: no rows, an infinite number, no such column, or nothing is left to learn from.

    Example:
        >>> from allmlp.data import to_table
        >>> table = to_table([[1, "a"], [3, "b"], [None, "a"], [2, "a"]])
        >>> encoder = fit_encoder(table, scaling="standard", min_frequency=1)
        >>> encoder.encode(table)[2].tolist()  # the median, its flag, the code of "a"
        [0.0, 1.0, 1.0]
    """
    check_choice("scaling", scaling, ("quantile", "robust", "standard", "range"))
    check_integers("fit_encoder", minimum=1, min_frequency=min_frequency)
    table = table if rows is None else table.take(rows)
    if not len(table):
        raise AllmlpError("a table needs at least one row to learn from, got 0")
    for name in categories:
        table[name]  # must be there
    numbers: list[NumberColumn] = []
    levels: list[CategoryColumn] = []
    dropped: list[str] = []
    generator = np.random.default_rng(seed)
    for name, values in zip(table.names, table.columns, strict=True):
        if values.dtype == object or name in categories:
            texts = as_texts(values)
            category = _fit_category(name, texts, min_frequency)
            kept = len(category.levels) + (category.missing > 0) > 1 or len({*texts}) > 1
            if kept:
                levels.append(category)
        else:
            number = _fit_number(name, as_numbers(values, name), scaling, generator)
            kept = number is not None
            if number is not None:
                numbers.append(number)
        if not kept:
            dropped.append(name)
    if not numbers and not levels:
        raise AllmlpError(
            f"a table needs a column that varies, but each of {listing(table.names)} holds one "
            "value only"
        )
    return TableEncoder(table.names, tuple(numbers), tuple(levels), tuple(dropped), dtype)


def quantile_edges(features: np.ndarray, bins: int) -> list[np.ndarray]:
    """Edges of each feature's bins, at most so many, each with about as many rows.

    A value that would fill a bin by itself is an edge, and the other bins are shared out among the
    other values: a feature that is mostly 0 has its bins where it is not.

    DIFF: the code of Gorishniy et al. (2022, arXiv:2203.05556) takes quantiles of all values and
    drops equal ones, which leaves such a feature with few bins.

    Args:
        features: (n, f), the training rows as they are encoded.
        bins: wanted of each feature.

    Returns:
        For every feature at least two ascending edges, float32.

    Example:
        >>> quantile_edges(np.array([[0.0], [0.0], [0.0], [1.0], [2.0], [3.0]]), 3)
        [array([0., 1., 2., 3.], dtype=float32)]
    """
    check_integers("quantile_edges", minimum=1, bins=bins)
    # as float32 from the start: edges that differ in float64 alone would be one
    edges = [_edges_of(column, bins) for column in features.astype(np.float32).T]
    # a column that is known in one value only, and otherwise missing
    return [e if len(e) > 1 else np.array([e[0] - 0.5, e[0] + 0.5], np.float32) for e in edges]


def _edges_of(column: np.ndarray, bins: int) -> np.ndarray:
    values, of_row, counts = np.unique(column, return_inverse=True, return_counts=True)
    heavy = np.zeros(len(values), dtype=bool)
    while True:
        # so many are left for the others: fewer values are heavy than there are bins
        room = bins - heavy.sum()
        more = ~heavy & (counts * room > counts[~heavy].sum())
        if not more.any():
            break
        heavy |= more
    others = column[~heavy[of_row]]
    if not len(others):
        return values
    quantiles = np.quantile(others, np.linspace(0, 1, room + 1)).astype(np.float32)
    return np.unique(np.concatenate([values[heavy], quantiles]))


def _fit_number(
    name: str, values: np.ndarray, scaling: str, generator: np.random.Generator
) -> NumberColumn | None:
    missing = np.isnan(values)
    seen = values[~missing]
    if not len(seen):
        return None
    low, high = seen.min(), seen.max()
    # one value throughout says nothing, unless that it is there does
    if low == high and not missing.any():
        return None
    median = float(np.median(seen))
    flagged = bool(missing.any())
    if scaling == "quantile" and low < high:
        noisy = seen + generator.normal(0, 1e-5, len(seen)) * _deviation(seen)
        count = int(np.clip(len(seen) // 30, 10, 1000))
        found = np.quantile(noisy, np.linspace(0, 1, count))
        # the ends are the data's own, whatever the noise
        found[0], found[-1] = min(found[0], low), max(found[-1], high)
        return NumberColumn(name, median, flagged, "quantile", np.maximum.accumulate(found))
    if scaling == "robust":
        quartiles = np.quantile(seen, [0.25, 0.75])
        divisor = quartiles[1] - quartiles[0] or (high - low) / 2
        found = np.array([median, divisor or 1.0])
    elif scaling == "range":
        found = np.array([low / 2 + high / 2, (high / 2 - low / 2) or 1.0])
    else:
        # of one value the mean may be off by a rounding, and the deviation nothing but that
        found = np.array([low, 1.0] if low == high else [seen.mean(), _deviation(seen) or 1.0])
    return NumberColumn(
        name, median, flagged, "robust" if scaling == "robust" else "standard", found
    )


def _deviation(values: np.ndarray) -> float:
    with np.errstate(over="ignore"):
        found = values.std()
    if np.isfinite(found):
        return float(found)
    largest = np.abs(values).max()  # whose square is too large
    return float(largest * (values / largest).std())


def _fit_category(name: str, texts: list[str | None], min_frequency: int) -> CategoryColumn:
    counts = Counter(texts)
    absent = counts.pop(None, 0)
    often = {level: n for level, n in counts.items() if level is not None and n >= min_frequency}
    if len(often) > MAX_LEVELS:
        often = dict(Counter(often).most_common(MAX_LEVELS))
    kept = tuple(sorted(often))
    return CategoryColumn(name, kept, len(kept) + 1 if absent else 0)
