"""Read tensor files of any common kind without running code that they may carry."""

import argparse
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from allmlp.errors import AllmlpError, first_line, shown

__all__ = ["read_settings", "read_tensors"]

# where training scripts keep the state dict within what they save, most specific first
_WRAPPERS = ("state_dict", "model_state_dict", "model", "module")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors`, `.npz`, or PyTorch (`.pt`, `.pth`, `.bin`, `.ckpt`) file.

    Pickled objects are refused: npz is read without pickle, PyTorch files with `weights_only=True`.

    Raises:
        AllmlpError: no such file, another kind of file, a damaged or a hostile one.
    """
    readers = {".safetensors": load_file, ".npz": _read_npz}
    if not path.is_file():
        raise AllmlpError(f"no weight file at {path}; give the path of one")
    reader = readers.get(path.suffix, _read_torch)
    try:
        return reader(path)
    # torch's own text says how to run what is in it, and any bytes may be instructions to a pickle
    except (pickle.UnpicklingError, LookupError, AttributeError, TypeError, AssertionError) as e:
        raise AllmlpError(
            f"cannot read weights from {path}: it is no state dict, or holds other things than "
            "tensors; give a safetensors, npz or PyTorch state-dict file"
        ) from e
    except (
        SafetensorError,
        zipfile.BadZipFile,
        RuntimeError,
        OSError,  # what torch raises where a truncated file ends
        ValueError,
        EOFError,
    ) as e:
        raise AllmlpError(
            f"cannot read weights from {path}: {first_line(e)[:200]}; give an intact "
            "safetensors, npz or PyTorch state-dict file"
        ) from e


def read_settings(path: Path) -> dict[str, Any]:
    """What the settings file beside a weight file says; empty without one.

    pykan saves `NAME_config.yml` with `NAME_state`. Only plain YAML is read, no Python objects.

    Raises:
        AllmlpError: the file is damaged, or holds Python objects.
    """
    beside = path.with_name(path.stem.removesuffix("_state") + "_config.yml")
    if not beside.is_file():
        return {}
    try:
        settings = yaml.safe_load(beside.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise AllmlpError(
            f"cannot read {beside}: {first_line(e)}; it must be plain YAML. After "
            "prune_input pykan writes a Python object as base_fun_name: put silu there"
        ) from e
    if not isinstance(settings, dict):
        raise AllmlpError(
            f"{beside} must hold names and values, it holds {shown(settings)}; "
            "mend it, or take it away"
        )
    return settings


def _read_npz(path: Path) -> dict[str, Tensor]:
    # opened here: numpy leaves the file open when it is damaged
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {key: torch.from_numpy(np.ascontiguousarray(arrays[key])) for key in arrays}


def _read_torch(path: Path) -> dict[str, Tensor]:
    # training scripts keep their arguments beside the weights; a Namespace only holds values
    with torch.serialization.safe_globals([argparse.Namespace]):
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    for wrapper in _WRAPPERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict):
        raise ValueError(f"it holds a {type(loaded).__name__}, no state dict")
    return {key: value for key, value in loaded.items() if isinstance(value, Tensor)}
