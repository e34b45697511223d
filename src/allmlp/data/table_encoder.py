"""What a network gets of a table: scaled numbers, flags of what is missing, codes of categories.

Everything is learned from the training rows alone.

Axes: n rows, f numeric features, q quantiles.
"""

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri

from allmlp.data.table import Table
from allmlp.errors import AllmlpError, check_choice, check_integers, listing

__all__ = [
    "FAR",
    "TAIL",
    "CategoryColumn",
    "NumberColumn",
    "TableEncoder",
    "fit_encoder",
    "quantile_edges",
    "spellings",
]

Scaling = Literal["quantile", "robust", "standard", "range"]
Dtype = Literal["float32", "float64"]

# a column with more levels keeps the most frequent ones
MAX_LEVELS = 10_000
# ndtri beyond it is 5.2 deviations, as far as scikit-learn's QuantileTransformer goes
TAIL = 1e-7
# so many deviations or quartile distances are as good as infinitely many
FAR = 1e6


@dataclass(frozen=True, eq=False)
class NumberColumn:
    """How one column of numbers is prepared.

    Attributes:
        name: of the column.
        median: of the training rows, taken for what is missing.
        flagged: whether a flag says where it was missing; if it was in training.
        scale: (kind, numbers): `quantile` with the quantiles, else centre and divisor.
    """

    name: str
    median: float
    flagged: bool
    kind: str
    numbers: np.ndarray

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """(n,) to (n,), both float64 and without missing values."""
        if self.kind == "quantile":
            # values that are there many times have many ranks; both ends of them are averaged
            ranks = np.linspace(0, 1, len(self.numbers))
            below = np.interp(values, self.numbers, ranks)
            above = -np.interp(-values, -self.numbers[::-1], -ranks[::-1])
            return ndtri(np.clip((below + above) / 2, TAIL, 1 - TAIL))
        centre, divisor = self.numbers
        # a divisor may be as small as numbers get, and float32 ends at 3e38
        with np.errstate(over="ignore"):
            scaled = np.clip((values - centre) / divisor, -FAR, FAR)
        # robust scaling leaves tails, which RealMLP bends back into (-3, 3)
        return scaled / np.hypot(1, scaled / 3) if self.kind == "robust" else scaled


@dataclass(frozen=True, eq=False)
class CategoryColumn:
    """How one column of texts is prepared.

    Attributes:
        name: of the column.
        levels: texts by code, from 1; 0 is for all others.
        missing: code of what is missing; 0 if nothing was in training.
    """

    name: str
    levels: tuple[str, ...]
    missing: int

    @property
    def count(self) -> int:
        """Codes beside 0; at least one, as embeddings need it."""
        return max(1, len(self.levels) + (self.missing > 0))


@dataclass(frozen=True, eq=False)
class TableEncoder:
    """From tables with the columns of the training to rows of numbers.

    A row holds the numeric features, then the flags, then the codes, as `layers.TableStem` reads
    it.

    Attributes:
        names: columns of the training, in order.
        numbers: numeric columns that are kept.
        categories: categorical columns that are kept.
        dropped: columns that hold one value only, and are left out.
        dtype: of the rows.
    """

    names: tuple[str, ...]
    numbers: tuple[NumberColumn, ...]
    categories: tuple[CategoryColumn, ...]
    dropped: tuple[str, ...]
    dtype: Dtype = "float32"

    @property
    def num_flags(self) -> int:
        """Numeric columns with a flag."""
        return sum(column.flagged for column in self.numbers)

    @property
    def levels(self) -> tuple[int, ...]:
        """Of each categorical column, 0 not counted."""
        return tuple(column.count for column in self.categories)

    @property
    def width(self) -> int:
        """Of a row."""
        return len(self.numbers) + self.num_flags + len(self.categories)

    def places(self, name: str) -> list[int]:
        """Where in a row a column of the table is: none if it is dropped.

        Example:
            >>> from allmlp.data import to_table
            >>> encoder = fit_encoder(to_table([[1, "a"], [None, "b"], [2, "a"]]))
            >>> encoder.places("x0"), encoder.places("x1")  # a number and its flag; a code
            ([0, 1], [2])
        """
        found = []
        flag = len(self.numbers)
        for index, column in enumerate(self.numbers):
            if column.name == name:
                found += [index, flag] if column.flagged else [index]
            flag += column.flagged
        return found + [flag + i for i, c in enumerate(self.categories) if c.name == name]

    def encode(self, table: Table) -> np.ndarray:
        """Rows for the network.

        A level that the training has not seen becomes 0; a number that is missing in a column where
        none was, its median, with one warning.

        Args:
            table: with the training's columns, in any order; others are refused.

        Returns:
            (n, width), of the encoder's dtype.

        Raises:
            AllmlpError: columns are missing or unknown, a number is infinite, or texts stand where
                numbers were.
        """
        numbers, codes = self.columns(table)
        rows = np.empty((len(table), self.width), dtype=self.dtype)
        flag = len(self.numbers)
        surprised = []
        for index, column in enumerate(self.numbers):
            values = numbers[:, index]
            missing = np.isnan(values)
            if column.flagged:
                rows[:, flag] = missing
                flag += 1
            elif missing.any():
                surprised.append(column.name)
            rows[:, index] = column.scaled(np.where(missing, column.median, values))
        if surprised:
            warnings.warn(
                f"numbers are missing in {listing(surprised)}, where none was in training; the "
                "training's median is taken",
                stacklevel=2,
            )
        rows[:, flag:] = codes
        return rows

    def columns(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """The columns that are kept, before they are scaled.

        Args:
            table: as in `encode`.

        Returns:
            Numbers (n, f) float64, NaN where they are missing; codes of categories (n, c) int64.

        Raises:
            AllmlpError: as `encode`.
        """
        self._check_names(table)
        numbers = np.empty((len(table), len(self.numbers)))
        for index, column in enumerate(self.numbers):
            numbers[:, index] = _numbers(table[column.name], column.name)
        codes = np.empty((len(table), len(self.categories)), dtype=np.int64)
        for index, category in enumerate(self.categories):
            codes[:, index] = _codes(category, table[category.name])
        return numbers, codes

    def _check_names(self, table: Table) -> None:
        lacking = [name for name in self.names if name not in table.names]
        unknown = [name for name in table.names if name not in self.names]
        if lacking or unknown:
            says = [f"lacks {listing(lacking)}"] if lacking else []
            says += [f"has {listing(unknown)} besides"] if unknown else []
            raise AllmlpError(
                f"the table needs the {len(self.names)} columns of the training, but "
                f"{' and '.join(says)}"
            )

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What JSON can hold, and the arrays that go with it."""
        plain = {
            "names": list(self.names),
            "numbers": [
                {"name": c.name, "median": c.median, "flagged": c.flagged, "kind": c.kind}
                for c in self.numbers
            ],
            "categories": [
                {"name": c.name, "levels": list(c.levels), "missing": c.missing}
                for c in self.categories
            ],
            "dropped": list(self.dropped),
            "dtype": self.dtype,
        }
        return plain, {f"numbers.{i}": c.numbers for i, c in enumerate(self.numbers)}

    @classmethod
    def from_state(
        cls, plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> "TableEncoder":
        """The encoder that `state` describes."""
        return cls(
            tuple(plain["names"]),
            tuple(
                NumberColumn(**column, numbers=arrays[f"numbers.{i}"])
                for i, column in enumerate(plain["numbers"])
            ),
            tuple(
                CategoryColumn(c["name"], tuple(c["levels"]), c["missing"])
                for c in plain["categories"]
            ),
            tuple(plain["dropped"]),
            plain.get("dtype", "float32"),  # what was saved before there was another
        )


def fit_encoder(
    table: Table,
    *,
    scaling: Scaling = "quantile",
    min_frequency: int = 2,
    seed: int = 0,
    rows: np.ndarray | None = None,
    dtype: Dtype = "float32",
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

    Raises:
        AllmlpError: no rows, an infinite number, or nothing is left to learn from.

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
    numbers: list[NumberColumn] = []
    categories: list[CategoryColumn] = []
    dropped: list[str] = []
    generator = np.random.default_rng(seed)
    for name, values in zip(table.names, table.columns, strict=True):
        if values.dtype == object:
            category = _fit_category(name, values, min_frequency)
            kept = len(category.levels) + (category.missing > 0) > 1 or _varies(values)
            if kept:
                categories.append(category)
        else:
            number = _fit_number(name, _numbers(values, name), scaling, generator)
            kept = number is not None
            if number is not None:
                numbers.append(number)
        if not kept:
            dropped.append(name)
    if not numbers and not categories:
        raise AllmlpError(
            f"a table needs a column that varies, but each of {listing(table.names)} holds one "
            "value only"
        )
    return TableEncoder(table.names, tuple(numbers), tuple(categories), tuple(dropped), dtype)


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


def _codes(category: CategoryColumn, values: np.ndarray) -> list[int]:
    code = {level: number for number, level in enumerate(category.levels, start=1)}
    texts = _as_texts(values)
    for text in {*texts} - code.keys():
        if text is not None:
            code[text] = next((code[s] for s in spellings(text) if s in code), 0)
    if values.dtype != object and not any(code[text] for text in texts if text is not None):
        warnings.warn(
            f"column {category.name!r} held texts in training, such as {listing(category.levels)}; "
            "it holds numbers now, and none of them is among those",
            stacklevel=4,
        )
    return [category.missing if text is None else code[text] for text in texts]


def spellings(value: str | float | int) -> list[str]:
    """How else a level or a class may have been written where it was learned.

    Example:
        >>> spellings("1.0"), spellings(0.5), spellings("red")
        (['1.0', '1', 'True'], ['0.5'], ['red'])
    """
    found = [str(value)]
    if _is_number(found[0]):
        number = float(found[0])
        found += [str(number), str(int(number))] if number.is_integer() else [str(number)]
        # a column of booleans, from where there are none
        found += [{0.0: "False", 1.0: "True"}[number]] if number in (0, 1) else []
    return list(dict.fromkeys(found))


def _fit_category(name: str, values: np.ndarray, min_frequency: int) -> CategoryColumn:
    counts = Counter(values)
    absent = counts.pop(None, 0)
    often = {level: n for level, n in counts.items() if n >= min_frequency}
    if len(often) > MAX_LEVELS:
        often = dict(Counter(often).most_common(MAX_LEVELS))
    kept = tuple(sorted(often))
    return CategoryColumn(name, kept, len(kept) + 1 if absent else 0)


def _varies(values: np.ndarray) -> bool:
    first = values[0]
    return any(value != first for value in values)


def _numbers(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype == object:
        values = _from_texts(values, name)
    if np.isinf(values).any():
        raise AllmlpError(
            f"column {name!r} holds infinity or a value too large; numbers must be finite or "
            "missing (NaN, for which inf may be exchanged)"
        )
    return values


def _from_texts(values: np.ndarray, name: str) -> np.ndarray:
    try:
        return np.array([np.nan if v is None else float(v) for v in values])
    except ValueError:
        wrong = next(v for v in values if v is not None and not _is_number(v))
        raise AllmlpError(
            f"column {name!r} held numbers in training, got {wrong!r}; train with texts in it, "
            "or mend the value"
        ) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # which Python allows within a number


def _as_texts(values: np.ndarray) -> list[str | None]:
    if values.dtype == object:
        return list(values)
    return [
        None if np.isnan(v) else str(int(v)) if float(v).is_integer() else str(float(v))
        for v in values
    ]
