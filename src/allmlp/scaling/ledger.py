"""Lines that many processes append to, and locks that die with who holds them.

Both rest on the operating system's advisory locks (flock), which it gives back when a process is
killed, whatever kills it. They hold between the processes of one machine, and between machines on
file systems that say so.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from allmlp.errors import AllmlpError

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

__all__ = ["append_line", "hold", "hold_on"]


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Add one object to a JSONL file, whole and on the disk, or not at all.

    What a killed writer left of a line is cut off first.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("ab+") as file:
        _lock(file, wait=True)
        end = _end_of_lines(file)
        if end < file.seek(0, os.SEEK_END):
            file.truncate(end)
        file.write(json.dumps(record).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def hold(path: Path) -> Iterator[bool]:
    """Take a lock if nobody has it; yields whether this process has it now."""
    with path.open("ab") as file:
        yield _lock(file, wait=False)


@contextmanager
def hold_on(path: Path) -> Iterator[None]:
    """Take a lock, and wait for whoever has it."""
    with path.open("ab") as file:
        _lock(file, wait=True)
        yield


def _lock(file: IO[bytes], *, wait: bool) -> bool:
    if fcntl is None:
        raise AllmlpError("a sweep's folder needs the file locks of Linux or macOS; run it there")
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_of_lines(file: IO[bytes]) -> int:
    """Where the last whole line ends."""
    file.seek(0)
    return file.read().rfind(b"\n") + 1
