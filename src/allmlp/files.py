"""Durable writes: a reader sees the old file or the new one, never half of either."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["duplicate_file", "replace_file", "sync_folder", "temporary_path", "write_text"]


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
    temporary = temporary_path(path)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Replace the content of `path` by `text` (UTF-8), durably."""
    with replace_file(path) as file:
        file.write(text.encode())


def duplicate_file(source: Path, target: Path) -> None:
    """Let `target` have the content of `source`, durably, where possible without a second copy.

    They may share their storage: neither may be written in place afterwards.

    Raises:
        OSError: `source` is missing, or the folder of `target` is missing, read-only or full.
    """
    temporary = temporary_path(target)
    try:
        temporary.unlink(missing_ok=True)
        os.link(source, temporary)
    except OSError:  # a file system without hard links
        with replace_file(target) as file, source.open("rb") as original:
            shutil.copyfileobj(original, file)
        return
    temporary.replace(target)
    temporary.unlink(missing_ok=True)  # renaming one name of a file to another one does nothing
    sync_folder(target.parent)


def temporary_path(path: Path) -> Path:
    """Where to write what shall be renamed to `path`: beside it, hidden.

    One fixed name for each writing process: a killed one leaves at most one stray file behind.
    """
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def sync_folder(folder: Path) -> None:
    """Make what was renamed into a folder outlast a power cut."""
    # the rename itself lives in the folder; without this it may be lost with the power
    if os.name != "posix":  # other systems cannot open a folder for fsync
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
