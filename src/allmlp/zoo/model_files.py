"""Any model to a folder, and back; foreign files of known formats as well."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.models.kan import KAN
from allmlp.ops.symbolic import SymbolicFunction
from allmlp.zoo.pretrained import read_weights
from allmlp.zoo.registry import build_model, family_of, name_of
from allmlp.zoo.stored import load_state, write_record, write_weights

__all__ = ["load_model", "save_model"]


def save_model(model: nn.Module, folder: str | Path) -> Path:
    """Write `model.safetensors` and `model.json`, from which `load_model` rebuilds the model.

    Args:
        model: of a family that the zoo knows; its dtype is kept.
        folder: to create.

    Raises:
        AllmlpError: the folder exists, or the model is of no known family.
    """
    path = Path(folder)
    if path.exists():
        raise AllmlpError(f"{path} exists; choose another folder or delete it")
    family = family_of(model)
    path.mkdir(parents=True)
    write_weights(path, model.state_dict())
    write_record(path, name_of(family, model.config), model, None, None)
    return path


def load_model(path: str | Path, *, functions: Iterable[SymbolicFunction] = ()) -> nn.Module:
    """The model in a folder of ours, or in a weight file of any known format.

    Nothing in the file is executed: safetensors, npz without pickle, or PyTorch's state dicts with
    `weights_only=True`. The model has the dtype of its weights.

    Args:
        path: what `save_model`, `allmlp convert` or a run wrote, or somebody's weight file.
        functions: of one's own, which a KAN's symbolic edges name.

    Raises:
        AllmlpError: nothing is there, it is damaged, or of no known network.
    """
    weights = read_weights(Path(path))
    # weights are drawn and thrown away: from a copy of the caller's random state
    with torch.random.fork_rng(devices=[]):
        if weights.family == "kan":
            model: nn.Module = KAN.from_config(weights.config, functions)
        else:
            model = build_model(weights.family, asdict(weights.config))
    # of what is trained: a KAN keeps its knots in float32 at least
    trained = dict(model.named_parameters())
    dtypes = {t.dtype for name, t in weights.state.items() if name in trained}
    if len(dtypes) == 1:
        model.to(dtypes.pop())
    load_state(model, weights.state, weights.source)
    return model
