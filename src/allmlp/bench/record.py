"""Measurements of hours, in a file that is whole after every row."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from allmlp.errors import AllmlpError
from allmlp.files import write_text
from allmlp.training.machine import describe_machine

__all__ = ["Record"]

Row = Mapping[str, Any]


class Record:
    """Rows of one measurement in a JSON file; a second call measures what is missing.

    The file holds `machine`, `settings`, `rows` and, where there is a `summary`, `table`.

    Args:
        path: of the file; read if it is there, else written with the first row.
        keys: columns that together name a row.
        settings: what all rows share, as JSON can hold it.
        summary: from all rows to the lines of a table.

    Raises:
        AllmlpError: the file is no record, or was measured with other settings.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "squares.json")
        ...     for _ in range(2):
        ...         record = Record(path, ("x",), {"power": 2})
        ...         for (x,) in record.missing([(1,), (3,)]):
        ...             record.add({"x": x, "y": x**2})
        {"x": 1, "y": 1}
        {"x": 3, "y": 9}
    """

    def __init__(
        self,
        path: Path,
        keys: Sequence[str],
        settings: Mapping[str, Any],
        summary: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] | None = None,
    ):
        self.path, self.keys, self._summary = path, tuple(keys), summary
        self._held: dict[str, Any] = {
            "machine": describe_machine(),
            "settings": json.loads(json.dumps(settings)),
            "rows": [],
        }
        if path.exists():
            self._held = self._read(self._held["settings"])

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Those measured so far."""
        return list(self._held["rows"])

    def missing(self, wanted: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """What of `wanted`, values of the keys, has no row; asked anew at each step."""
        for values in wanted:
            if values not in {tuple(row[key] for key in self.keys) for row in self._held["rows"]}:
                yield values

    def add(self, row: Row) -> None:
        """Write a row to the file, and print it."""
        self._held["rows"].append(dict(row))
        if self._summary is not None:
            self._held["table"] = self._summary(self.rows)
        write_text(self.path, json.dumps(self._held, indent=1) + "\n")
        print(json.dumps(row), flush=True)

    def print_table(self) -> None:
        """The lines of the summary."""
        for line in self._held.get("table", []):
            print(line)

    def _read(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        try:
            held = json.loads(self.path.read_text(encoding="utf-8"))
            for row in held["rows"]:
                {row[key] for key in self.keys}
            measured = held["settings"]
        except (ValueError, KeyError, TypeError) as e:
            raise AllmlpError(
                f"{self.path} must be a record with machine, settings and rows of "
                f"{', '.join(self.keys)}, got {e!r}; write to another file"
            ) from e
        if measured != settings:
            raise AllmlpError(
                f"rows of {self.path} must share their settings, {measured}, got {settings}; "
                "write to another file"
            )
        return dict(held)
