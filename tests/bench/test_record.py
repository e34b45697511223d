"""Records that outlive the process that measures."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from allmlp.bench import Record
from allmlp.errors import AllmlpError

WANTED = [("a", 0), ("a", 1), ("b", 0)]


def rows_of(path: Path, **settings: Any) -> Iterator[tuple[Any, ...]]:
    record = Record(path, ("name", "seed"), settings, lambda rows: [{"rows": len(rows)}])
    for name, seed in record.missing(WANTED):
        yield name, seed
        record.add({"name": name, "seed": seed, "y": len(name) + seed})


def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    first = rows_of(path, steps=(1, 2))
    assert [next(first), next(first)] == WANTED[:2]  # the second row is never added
    held = json.loads(path.read_text())
    assert [row["seed"] for row in held["rows"]] == [0]
    assert list(rows_of(path, steps=(1, 2))) == WANTED[1:]
    held = json.loads(path.read_text())
    assert [row["y"] for row in held["rows"]] == [1, 2, 1]
    assert held["table"] == [{"rows": 3}]
    assert set(held) == {"machine", "settings", "rows", "table"}
    assert list(rows_of(path, steps=(1, 2))) == []


def test_other_settings_are_another_record(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    list(rows_of(path, steps=3))
    before = path.read_bytes()
    with pytest.raises(AllmlpError, match=r"share their settings, \{'steps': 3\}, got"):
        Record(path, ("name", "seed"), {"steps": 4})
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"rows": [{"name": "a"}], "settings": {}}', '{"rows": 3}']
)
def test_a_file_that_is_no_record_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(AllmlpError, match="must be a record"):
        Record(path, ("name", "seed"), {})
    assert path.read_text() == text


def test_nothing_is_written_before_the_first_row(tmp_path: Path) -> None:
    Record(tmp_path / "record.json", ("name",), {})
    assert not list(tmp_path.iterdir())
