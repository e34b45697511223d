"""What a network gets of a table: scaled numbers, flags of what is missing, codes of categories.

Everything is learned from the training rows alone.

Axes: n rows, f numeric features.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri

from allmlp.data.table import Table
from allmlp.data.table_levels import BOOLEANS, is_number, number_text, spellings
from allmlp.errors import AllmlpError, listing

__all__ = [
    "FAR",
    "TAIL",
    "CategoryColumn",
    "NumberColumn",
    "TableEncoder",
    "as_numbers",
    "as_texts",
]

Dtype = Literal["float32", "float64"]

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
        kind: `quantile`, `robust` or `standard`.
        numbers: the quantiles, else centre and divisor.
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
            >>> from allmlp.data import fit_encoder, to_table
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
            numbers[:, index] = as_numbers(table[column.name], column.name)
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


def _codes(category: CategoryColumn, values: np.ndarray) -> list[int]:
    code = {level: number for number, level in enumerate(category.levels, start=1)}
    texts = as_texts(values)
    for text in {*texts} - code.keys():
        if text is not None:
            code[text] = next((code[s] for s in spellings(text) if s in code), 0)
    known = [text for text in texts if text is not None]
    if values.dtype != object and known and not any(code[text] for text in known):
        warnings.warn(
            f"column {category.name!r} held texts in training, such as {listing(category.levels)}; "
            "it holds numbers now, and none of them is among those",
            stacklevel=4,
        )
    return [category.missing if text is None else code[text] for text in texts]


def as_numbers(values: np.ndarray, name: str) -> np.ndarray:
    """A column as float64, NaN where it is missing.

    Raises:
        AllmlpError: infinity, or texts that are no numbers.
    """
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
        return np.array([np.nan if v is None else _number(v) for v in values])
    except ValueError:
        wrong = next(v for v in values if v not in {None, *BOOLEANS} and not is_number(v))
        raise AllmlpError(
            f"column {name!r} held numbers in training, got {wrong!r}; train with texts in it, "
            "or mend the value"
        ) from None


def _number(text: str) -> float:
    return BOOLEANS[text] if text in BOOLEANS else float(text)


def as_texts(values: np.ndarray) -> list[str | None]:
    """A column as names of levels, None where it is missing."""
    if values.dtype == object:
        return list(values)
    return [None if np.isnan(v) else number_text(v) for v in values]
