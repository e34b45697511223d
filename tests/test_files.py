import errno
import os
import shutil
from pathlib import Path

import pytest

from allmlp.files import duplicate_file, replace_file, write_text


def test_write_text_replaces(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    write_text(path, "old")
    write_text(path, "new ✓")
    assert path.read_text(encoding="utf-8") == "new ✓"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stage", ["write", "fsync", "replace"])
def test_a_failure_at_any_stage_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    path = tmp_path / "note.txt"
    write_text(path, "old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if stage == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    if stage == "replace":
        monkeypatch.setattr(Path, "replace", full)

    def write() -> None:
        with replace_file(path) as file:
            file.write(b"half")
            if stage == "write":
                full()

    with pytest.raises(OSError, match="No space left"):
        write()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def refuse_links(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False])
def test_a_duplicate_is_its_source_also_the_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refuse_links)
    source, target = tmp_path / "source", tmp_path / "target"
    for content in ("old", "new"):
        write_text(source, content)
        for _ in range(2):
            duplicate_file(source, target)
            assert target.read_text() == content
            assert {p.name for p in tmp_path.iterdir()} == {"source", "target"}
    assert source.samefile(target) == links
    write_text(source, "newer")  # replaced, not written in place: the duplicate stays
    assert target.read_text() == "new"


def test_a_duplicate_of_nothing_leaves_the_target(tmp_path: Path) -> None:
    target = tmp_path / "target"
    write_text(target, "old")
    with pytest.raises(FileNotFoundError):
        duplicate_file(tmp_path / "source", target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_duplicate_that_does_not_fit_leaves_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    write_text(source, "new")
    write_text(target, "old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", refuse_links)
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        duplicate_file(source, target)
    assert target.read_text() == "old"
    assert {p.name for p in tmp_path.iterdir()} == {"source", "target"}
