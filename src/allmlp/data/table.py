"""Tables from anywhere, as named columns of numbers or of texts.

Axes: n rows.
"""

import csv
import io
import math
import numbers
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from allmlp.data.table_levels import number_text
from allmlp.errors import AllmlpError, listing

__all__ = ["Table", "read_table", "to_table"]

# those of databases and of parquet's decimal columns are no `Real` to Python
_NUMBERS = (numbers.Real, Decimal)
# types of columns, as pandas, polars and pyarrow spell them, in lower case
_NUMERIC = ("int", "uint", "float", "double", "halffloat")
_SPANS = ("duration", "timedelta")
_DATED = ("date", "time", *_SPANS)
# what a csv file may say for "nothing is known"
MISSING = frozenset({"", "?", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "none"})


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of equal length.

    Attributes:
        names: of the columns.
        columns: each either numbers (float64, NaN where missing) or texts (objects: `str`, None
            where missing).
    """

    names: tuple[str, ...]
    columns: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def __getitem__(self, name: str) -> np.ndarray:
        """The column of this name.

        Raises:
            AllmlpError: there is none.
        """
        if name not in self.names:
            raise AllmlpError(f"the table has no column {name!r}; it has {listing(self.names, 10)}")
        return self.columns[self.names.index(name)]

    def drop(self, *names: str) -> "Table":
        """Without these columns.

        Raises:
            AllmlpError: one of them is not there.
        """
        for name in names:
            self[name]
        kept = [i for i, name in enumerate(self.names) if name not in names]
        return Table(tuple(self.names[i] for i in kept), tuple(self.columns[i] for i in kept))

    def take(self, rows: np.ndarray) -> "Table":
        """Of these rows, in this order."""
        return Table(self.names, tuple(column[rows] for column in self.columns))


def to_table(values: Any, dates: Collection[str] = ()) -> Table:
    """Columns of a data frame, an array or nested lists.

    Numbers and their missing values (None, NaN, pandas' NA) make a column of numbers. Texts,
    categories and booleans make a column of texts, and so does a single text among numbers: `1`,
    `1.0` and `"1"` are the same text. Columns without names are called x0, x1, ….

    Args:
        values: a `Table`, a frame of pandas or polars, a table of pyarrow, a 2-D numpy array, or
            rows as a list of lists. Nothing is changed in it.
        dates: columns that may hold dates or times of days; they become texts in ISO 8601.

    Raises:
        AllmlpError: it is none of those, a name is there twice, or another column holds dates,
            complex numbers, or things.

    Example:
        >>> table = to_table([[1, "a"], [None, "b"]])
        >>> table.names, table.columns[0].tolist(), table.columns[1].tolist()
        (('x0', 'x1'), [1.0, nan], ['a', 'b'])
    """
    if isinstance(values, Table):
        return values
    names, columns = _parts(values)
    twice = {name for name in names if names.count(name) > 1} if len({*names}) < len(names) else {}
    if twice:
        raise AllmlpError(f"columns need names of their own, {min(twice)!r} is there twice")
    return Table(
        tuple(names),
        tuple(
            _dates(column, name) if name in dates else _column(column, name)
            for column, name in zip(columns, names, strict=True)
        ),
    )


def read_table(path: str | Path, texts: Collection[str] = (), dates: Collection[str] = ()) -> Table:
    """A table from a csv or parquet file.

    Of a csv file the first line names the columns; the separator is whichever of comma, semicolon
    and tab the first line has most of. A column is numeric if every value is a number or missing;
    spaces around values are dropped, and missing are: nothing, ?, NA, N/A, NaN, null, None.

    Args:
        path: of the file; parquet needs pyarrow.
        texts: columns of a csv file that hold texts even if every value is a number, for example
            those that did in training. Names that are not there do not matter.
        dates: columns of a parquet file that may hold dates, as in `to_table`.

    Raises:
        AllmlpError: the file is missing, of another kind, has no rows, a column has no name or that
            of another one, or a line has another number of values than the first one.
    """
    path = Path(path)
    if not path.is_file():
        raise AllmlpError(f"no table at {path}; give the path of a csv or parquet file")
    kind = path.suffix.lower()
    if kind in (".parquet", ".pq"):
        return to_table(_parquet(path), dates)
    if kind not in (".csv", ".tsv", ".txt"):
        raise AllmlpError(f"a table is a .csv, .tsv or .parquet file, got {path.name}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise AllmlpError(f"{path} must be UTF-8 text ({e}); save it again as UTF-8") from e
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    try:
        # a field in quotes may hold line breaks, and one without anything that is no "\n"
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        rows = [row for row in lines if row]
    except csv.Error as e:
        raise AllmlpError(
            f"{path} is no intact csv ({e}); look for a quote without its pair"
        ) from e
    if len(rows) < 2:
        raise AllmlpError(f"{path} must hold a line of names and at least one row")
    names = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            raise AllmlpError(
                f"{path} names {len(names)} columns, but row {number} has {len(row)} values"
            )
    if "" in names:
        raise AllmlpError(
            f"{path}: column {names.index('') + 1} has no name; name it, or leave it out (pandas "
            "writes the numbers of rows so: to_csv(path, index=False))"
        )
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise AllmlpError(f"{path}: columns need names of their own, {twice!r} is there twice")
    columns = [
        (_texts_of if name in texts else _parse)([v.strip() for v in values])
        for name, values in zip(names, zip(*rows[1:], strict=True), strict=True)
    ]
    return Table(tuple(names), tuple(columns))


def _texts_of(values: Sequence[str]) -> np.ndarray:
    return _objects([None if v in MISSING else v for v in values])


def _parse(values: Sequence[str]) -> np.ndarray:
    try:
        if any("_" in v for v in values):  # to Python 1_1 is a number, in a table it is a code
            raise ValueError
        return np.array([math.nan if v in MISSING else float(v) for v in values])
    except ValueError:
        return _texts_of(values)


def _parquet(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise AllmlpError(
            "parquet needs pyarrow; pip install 'allmlp[tabular]', or convert the table to csv"
        ) from None
    try:
        return parquet.read_table(path)
    except (OSError, ValueError) as e:  # pyarrow's own are of the latter
        raise AllmlpError(
            f"{path} is no readable parquet file ({e}); write it again, or as csv"
        ) from e


def _parts(values: Any) -> tuple[list[str], list[Any]]:
    """Names and columns, whatever the type."""
    if hasattr(values, "iloc") and hasattr(values, "columns"):  # pandas
        return [str(n) for n in values.columns], [values.iloc[:, i] for i in range(values.shape[1])]
    if hasattr(values, "collect"):
        raise AllmlpError("a lazy frame has no rows yet; give what its .collect() returns")
    if hasattr(values, "get_columns"):  # polars
        return list(values.columns), values.get_columns()
    if hasattr(values, "column_names"):  # pyarrow
        return values.column_names, [values.column(i) for i in range(values.num_columns)]
    if hasattr(values, "toarray") or hasattr(values, "tocsr"):
        raise AllmlpError("a table must be dense, got a sparse matrix; convert it with .toarray()")
    array = values if isinstance(values, np.ndarray) else _array(values)
    if array.ndim != 2:
        raise AllmlpError(
            f"a table has two axes, rows and columns, got {array.ndim}D array of shape "
            f"{array.shape}. Reshape your data: X.reshape(-1, 1) for a single column, "
            "X.reshape(1, -1) for a single row"
        )
    return [f"x{i}" for i in range(array.shape[1])], list(array.T)


def _array(values: Any) -> np.ndarray:
    if hasattr(values, "__array__"):  # tensors, memory views and the like
        return np.asarray(values)
    try:
        return np.array(values, dtype=None if _plain(values) else object)
    except (TypeError, ValueError) as e:
        raise AllmlpError(
            f"a table is a data frame, a 2-D array or a list of rows of equal length, got "
            f"{type(values).__name__} ({e})"
        ) from e


def _plain(values: Any) -> bool:
    """Whether nested lists hold numbers alone: numpy would turn 1 beside "a" into "1"."""
    if not isinstance(values, Iterable) or isinstance(values, str):
        return False
    return all(
        isinstance(v, numbers.Number) for row in values for v in (row if _listed(row) else [row])
    )


def _listed(row: Any) -> bool:
    return isinstance(row, Iterable) and not isinstance(row, str)


def _column(values: Any, name: str) -> np.ndarray:
    kind = _kind(values)
    if kind.lower().startswith(_DATED):
        raise AllmlpError(
            f"column {name!r} holds dates or times ({kind}), which are not read as they are; give "
            "what matters of them as numbers, for example the year, the weekday or the seconds"
        )
    if kind.startswith("complex"):
        raise AllmlpError(f"Complex data not supported: column {name!r} has type {kind}")
    if kind.lower().startswith(_NUMERIC):
        # at once: through Python's numbers it takes a thousand times as long
        array = values if isinstance(values, np.ndarray) else _to_numpy(values)
        if array.dtype.kind in "fiu":
            return array.astype(np.float64)
    found = _listed_values(values)
    # categories may be numbers, and are no quantities then
    if kind.startswith(("category", "Categorical", "Enum", "dictionary")):
        return _texts(found, name)
    if all(_missing(v) or (isinstance(v, _NUMBERS) and not _boolean(v)) for v in found):
        return np.array([math.nan if _missing(v) else float(v) for v in found], dtype=np.float64)
    return _texts(found, name)


def _kind(values: Any) -> str:
    return str(getattr(values, "dtype", getattr(values, "type", "")))


def _to_numpy(values: Any) -> np.ndarray:
    """A column; of what is missing NaN, or an array of objects."""
    if hasattr(values, "to_pylist"):  # pyarrow
        found: np.ndarray = values.to_numpy(zero_copy_only=False)
        return found
    return np.asarray(values.to_numpy())


def _listed_values(values: Any) -> list[Any]:
    if hasattr(values, "to_pylist"):  # pyarrow
        return list(values.to_pylist())
    return list(values.to_list() if hasattr(values, "to_list") else values)


def _dates(values: Any, name: str) -> np.ndarray:
    """A column that may hold dates, which become texts in ISO 8601."""
    kind = _kind(values).lower()
    if not kind.startswith(_DATED) or kind.startswith(_SPANS):
        return _column(values, name)
    written = [
        v.isoformat() if hasattr(v, "isoformat") and not _missing(v) else v
        for v in _listed_values(values)
    ]
    return _texts(written, name)


def _texts(values: Sequence[Any], name: str) -> np.ndarray:
    # most are texts already, and there may be millions of them
    return _objects(
        [v if isinstance(v, str) else None if _missing(v) else _text(v, name) for v in values]
    )


def _text(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if _boolean(value):
        return str(bool(value))
    if isinstance(value, numbers.Integral):  # not as a float, to which large ones are the same
        return str(int(value))
    if isinstance(value, _NUMBERS):  # 1 and 1.0 are one level, whatever held them
        return number_text(float(value))
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if type(value).__module__ in ("datetime", "pandas._libs.tslibs.timestamps"):
        raise AllmlpError(
            f"column {name!r} holds dates or times, which are not read as they are; give what "
            "matters of them as numbers, for example the year, the weekday or the seconds"
        )
    raise AllmlpError(
        f"column {name!r} must hold numbers or texts, got {type(value).__name__}; a value's "
        "argument must be a string or a real number"
    )


def _objects(values: Sequence[str | None]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _boolean(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _missing(value: Any) -> bool:
    # NaN is not itself; pandas' NA and NaT have no truth
    return value is None or type(value).__name__ in ("NAType", "NaTType") or _nan(value)


def _nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and math.isnan(value)
