import errno
import os
from pathlib import Path

import pytest

from allmlp.files import replace_file, write_text


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
