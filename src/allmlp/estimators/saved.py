"""A fitted estimator as one safetensors file, which runs no code when it is read."""

import json
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.files import replace_file

__all__ = ["Saved", "read_estimator", "saved_class", "write_estimator"]

_FORMAT = "allmlp-estimator"
# raised when a reader of the old form could misread the new one
_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Saved:
    """What a file holds.

    Attributes:
        record: what JSON can hold.
        tensors: by prefixed name.
    """

    record: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    def below(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under a prefix, without it."""
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}


def write_estimator(path: Path, kind: str, saved: Saved) -> None:
    """Replace `path` durably.

    Args:
        path: of the file.
        kind: the estimator's class.
        saved: what to keep.

    Raises:
        AllmlpError: a parameter is neither text nor number.
        OSError: the folder is missing, read-only or full.
    """
    try:
        # numpy's integers are numbers as well
        content = {"schema": _SCHEMA, "class": kind, **saved.record}
        record = json.dumps(content, default=operator.index)
    except TypeError as e:
        raise AllmlpError(
            f"a saved estimator has parameters of texts and numbers only ({e}); name the "
            "optimizer by its path, give random_state as an integer, or use pickle"
        ) from e
    with replace_file(path) as file:
        file.write(save(dict(saved.tensors), metadata={_FORMAT: record}))


def read_estimator(path: Path, kind: str) -> Saved:
    """What `write_estimator` wrote.

    Raises:
        AllmlpError: the file is missing, damaged, or of another estimator.
    """
    record = _record(path)
    if record.get("class") != kind or record.get("schema") != _SCHEMA:
        raise AllmlpError(
            f"{path} holds {record.get('class', 'no estimator')}, form {record.get('schema')}, "
            f"and not {kind}, form {_SCHEMA}"
        )
    with safe_open(path, "pt") as file:
        return Saved(record, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118


def saved_class(path: Path) -> str | None:
    """The class of the estimator in a file; None if it holds none.

    Raises:
        AllmlpError: the file is missing or damaged.
    """
    return _record(path).get("class")


def _record(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, "pt") as file:
            return json.loads((file.metadata() or {}).get(_FORMAT, "{}"))
    except (OSError, SafetensorError, json.JSONDecodeError) as e:
        raise AllmlpError(
            f"{path} cannot be read as an estimator ({e}); give an intact safetensors file"
        ) from e
