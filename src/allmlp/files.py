"""Durable writes: a reader sees the old file or the new one, never half of either."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["replace_file", "write_text"]


@contextmanager
def replace_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a new content for `path` that takes its place on success only.

    Written beside the target, fsynced, renamed over it, and the folder fsynced, so that neither a
    kill nor a power cut leaves a half-written file. On an exception (a full disk, say) the
    temporary file is removed and `path` is what it was before.

    Args:
        path: the file to write; its folder must exist.

    Yields:
        A binary file open for writing.

    Raises:
        OSError: the folder is missing, read-only or full.
    """
    # one fixed name for each writer process: a killed one leaves at most one stray file behind
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Replace the content of `path` by `text` (UTF-8), durably."""
    with replace_file(path) as file:
        file.write(text.encode())


def _sync_folder(folder: Path) -> None:
    # the rename itself lives in the folder; without this it may be lost with the power
    if os.name != "posix":  # other systems cannot open a folder for fsync
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
