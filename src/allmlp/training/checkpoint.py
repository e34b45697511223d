"""Checkpoints: a dictionary of tensors and plain values, written whole or not at all."""

import pickle
from pathlib import Path
from typing import Any

import torch

from allmlp.errors import AllmlpError, first_line
from allmlp.files import replace_file

__all__ = ["SCHEMA", "load_checkpoint", "save_checkpoint"]

# raised when a reader of the old form could misread the new one
SCHEMA = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` durably; on failure the previous file stays.

    Raises:
        OSError: the folder is missing, read-only or full.
    """
    with replace_file(path) as file:
        try:
            torch.save({"schema": SCHEMA, **state}, file)
        except RuntimeError as e:
            # torch's zip writer stumbles over its own position once a write has failed
            if isinstance(e.__context__, OSError):
                raise e.__context__ from None
            raise


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint without running any code that it may carry.

    Raises:
        AllmlpError: no checkpoint, a damaged one, or one of a newer allmlp.
    """
    if not path.is_file():
        raise AllmlpError(f"no checkpoint at {path}; give the file of one, as last.ckpt of a run")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, LookupError) as e:
        raise AllmlpError(
            f"{path} is no intact checkpoint ({first_line(e)}); use another one"
        ) from e
    if not isinstance(state, dict) or not isinstance(state.get("schema"), int):
        raise AllmlpError(
            f"{path} is no checkpoint of allmlp; foreign weights are read by load_pretrained"
        )
    if state["schema"] > SCHEMA:
        raise AllmlpError(
            f"{path} has checkpoint schema {state['schema']}, this allmlp reads up to {SCHEMA}; "
            "update allmlp"
        )
    return state
