"""How a run came about: when, by which command, on what, how long.

`sessions.json` lists one entry for the start and one for every resumption.
"""

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from typing import Any

import torch

from allmlp.runs.directory import RunDirectory
from allmlp.runs.entries import read_entries, write_entries
from allmlp.runs.speed import peak_memory
from allmlp.training import describe_machine

__all__ = ["Session", "read_sessions", "record_session"]


@dataclass(frozen=True)
class Session:
    """One stretch of training.

    Args:
        began: local time with its offset, ISO 8601.
        command: as the process was started.
        machine: processor or card, cores, threads, load, versions of Python and torch.
        allmlp: its version.
        seconds: it took; None if it is still going on, or was killed.
        peak_memory: bytes; see `runs.speed.peak_memory`.
    """

    began: str
    command: str
    machine: dict[str, Any]
    allmlp: str
    seconds: float | None = None
    peak_memory: int | None = None


@contextmanager
def record_session(directory: RunDirectory, device: torch.device) -> Iterator[None]:
    """Note a session when it begins, and what it took when it ends, well or not."""
    earlier = read_sessions(directory)
    started = time.perf_counter()
    session = Session(
        began=datetime.now().astimezone().isoformat(timespec="seconds"),
        command=shlex.join(sys.orig_argv),
        machine=describe_machine(device),
        allmlp=version("allmlp"),
    )
    write_entries(directory.sessions, [*earlier, session])
    try:
        yield
    finally:
        ended = replace(
            session,
            seconds=round(time.perf_counter() - started, 3),
            peak_memory=peak_memory(device),
        )
        if directory.path.is_dir():
            write_entries(directory.sessions, [*earlier, ended])


def read_sessions(directory: RunDirectory) -> list[Session]:
    """The sessions of a run, oldest first; none of a run made before they were noted.

    Raises:
        AllmlpError: the file is damaged.
    """
    return read_entries(directory.sessions, Session, "delete it")
