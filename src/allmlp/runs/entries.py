"""Lists of facts beside a run, each an object of one dataclass, as JSON."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from allmlp.errors import AllmlpError
from allmlp.files import write_text

__all__ = ["read_entries", "write_entries"]

EntryT = TypeVar("EntryT")


def write_entries(path: Path, entries: Sequence[Any]) -> None:
    """Replace the content of `path` by the list of `entries`, durably."""
    content = json.dumps([asdict(entry) for entry in entries], indent=2, ensure_ascii=False)
    write_text(path, content + "\n")


def read_entries(path: Path, kind: Callable[..., EntryT], remedy: str) -> list[EntryT]:
    """What `write_entries` wrote; nothing without a file.

    Args:
        path: the file.
        kind: the dataclass of an entry.
        remedy: for a damaged file, as an instruction.

    Raises:
        AllmlpError: the file holds something else.
    """
    try:
        return [kind(**fields) for fields in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as e:
        raise AllmlpError(f"{path} is damaged ({e}); {remedy}") from e
