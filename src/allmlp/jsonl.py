"""Read logs of one JSON object a line, which may be written to at the same time."""

import json
from pathlib import Path
from typing import Any

from allmlp.errors import AllmlpError

__all__ = ["read_lines"]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file; none without one, and a line that is only half written is none yet.

    Raises:
        AllmlpError: a whole line holds something else.
    """
    if not path.is_file():
        return []
    content = path.read_bytes()
    records = []
    # of bytes: lines of text end at U+2028, too, which JSON may hold
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError as e:
            raise AllmlpError(f"{path}, line {number} is damaged ({e}); remove it") from e
        if not isinstance(record, dict):
            raise AllmlpError(f"{path}, line {number} holds no object; remove it")
        records.append(record)
    return records
