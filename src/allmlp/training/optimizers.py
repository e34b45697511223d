"""Optimizers by name, over a model's parameters in their groups."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from allmlp.errors import AllmlpError, unknown_name
from allmlp.training.layer_decay import layer_decay_groups
from allmlp.training.lion import Lion
from allmlp.training.muon import MuonAdamW, hidden_matrices
from allmlp.training.parameters import decay_groups

__all__ = ["OPTIMIZERS", "build_optimizer", "find_optimizer"]

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adamw": AdamW,
    "adam": Adam,
    "sgd": SGD,
    "lion": Lion,
    "muon": MuonAdamW,
}
# where ours differ from the class's own
_DEFAULTS: dict[str, dict[str, Any]] = {"sgd": {"momentum": 0.9}}
_FROM_ELSEWHERE = {"params", "lr", "weight_decay"}


def build_optimizer(
    name: str,
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    layer_decay: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> Optimizer:
    """An optimizer over every trained parameter of a model.

    Args:
        name: one of `OPTIMIZERS`, or the dotted path of an importable class, which is imported.
        model: as it is trained: after `distribute`.
        lr: peak learning rate.
        weight_decay: of matrices (`decay_groups`). Decoupled, per unit of learning rate,
            except with `adam` and `sgd`, which add it to the gradient.
        layer_decay: see `layer_decay_groups`; None is none.
        options: further arguments of the class, by name.

    Raises:
        AllmlpError: an unknown name, a path that leads to no optimizer, or an option that the
            class does not have or refuses.

    Example:
        >>> from torch import nn
        >>> options = {"betas": [0.9, 0.95]}
        >>> net = nn.Linear(2, 1)
        >>> adam = build_optimizer("adamw", net, lr=0.1, weight_decay=0.0, options=options)
        >>> adam.param_groups[0]["betas"]
        (0.9, 0.95)
    """
    kind, given = find_optimizer(name, options)
    groups = decay_groups(model, weight_decay)
    if kind is MuonAdamW:
        groups = _split_for_muon(groups, model)
    if layer_decay is not None:
        groups = layer_decay_groups(groups, model, lr, layer_decay)
    try:
        return kind(groups, lr=lr, **given)
    except (TypeError, ValueError) as e:
        raise AllmlpError(f"{name} refuses its options: {e}") from e


def find_optimizer(
    name: str, options: Mapping[str, Any] | None = None
) -> tuple[Callable[..., Optimizer], dict[str, Any]]:
    """The class that `build_optimizer` takes, and the options it gets.

    Raises:
        AllmlpError: as there, but for values that the class refuses.
    """
    kind = OPTIMIZERS[name] if name in OPTIMIZERS else _import_class(name)
    known = set(inspect.signature(kind).parameters) - _FROM_ELSEWHERE
    given = dict(_DEFAULTS.get(name, {}))
    for option, value in (options or {}).items():
        if option in _FROM_ELSEWHERE:
            raise AllmlpError(f"{option} is no option of {name}; it is set beside the optimizer")
        if option not in known:
            raise AllmlpError(unknown_name(f"option of {name}", option, known))
        given[option] = tuple(value) if isinstance(value, list) else value  # YAML has no tuples
    return kind, given


def _split_for_muon(groups: list[dict[str, Any]], model: nn.Module) -> list[dict[str, Any]]:
    names = hidden_matrices(model)
    hidden = {id(p) for n, p in model.named_parameters() if n in names}
    split = [
        {**group, "params": [p for p in group["params"] if (id(p) in hidden) is muon], "muon": muon}
        for muon in (True, False)
        for group in groups
    ]
    return [group for group in split if group["params"]]


def _import_class(path: str) -> Callable[..., Optimizer]:
    module, _, name = path.rpartition(".")
    if not module:
        raise AllmlpError(unknown_name("optimizer", path, OPTIMIZERS))
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as e:
        raise AllmlpError(f"optimizer {path!r} cannot be imported: {e}") from e
    if not (isinstance(kind, type) and issubclass(kind, Optimizer)):
        raise AllmlpError(f"{path} must be a class of torch.optim.Optimizer, got {kind!r}")
    return kind
