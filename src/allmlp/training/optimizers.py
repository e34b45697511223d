"""Optimizers by name, over a model's parameters in their groups."""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.optim import Optimizer

from allmlp.errors import AllmlpError, unknown_name
from allmlp.training.layer_decay import layer_decay_groups
from allmlp.training.muon import MuonAdamW, hidden_matrices
from allmlp.training.parameters import decay_groups

__all__ = ["OPTIMIZERS", "build_optimizer", "check_made", "find_optimizer"]


@dataclass(frozen=True)
class _Known:
    """A class by its path, imported when it is asked for, and where ours differ from its own."""

    path: str
    options: Mapping[str, Any] = field(default_factory=dict)
    lr: float | None = None
    extra: str | None = None  # of allmlp, that brings the class


OPTIMIZERS: dict[str, _Known] = {
    "adamw": _Known("torch.optim.AdamW"),
    "adam": _Known("torch.optim.Adam"),
    "sgd": _Known("torch.optim.SGD", {"momentum": 0.9}),
    "lion": _Known("allmlp.training.lion.Lion"),
    "muon": _Known("allmlp.training.muon.MuonAdamW"),
    "schedule_free": _Known("schedulefree.AdamWScheduleFree", extra="schedulefree"),
    # with strong Wolfe line search, up to 20 iterations a step (Nocedal & Wright 2006, §7.2, §3.5);
    # it ends when nothing moves any more, and not at a size that suits float32 alone
    "lbfgs": _Known(
        "allmlp.training.scaled_lbfgs.ScaledLBFGS",
        {
            "history_size": 10,
            "line_search_fn": "strong_wolfe",
            "tolerance_grad": 0.0,
            "tolerance_change": 0.0,
        },
        lr=1.0,
    ),
}
_FROM_ELSEWHERE = {"params", "lr", "weight_decay"}


def build_optimizer(
    optimizer: str | type[Optimizer],
    model: nn.Module,
    *,
    lr: float | None = None,
    weight_decay: float = 0.0,
    layer_decay: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> Optimizer:
    """An optimizer over every trained parameter of a model.

    Args:
        optimizer: one of `OPTIMIZERS`, the dotted path of an importable class, which is imported,
            or a class.
        model: as it is trained: after `distribute`.
        lr: peak learning rate; None is the class's own, and 1 for `lbfgs`.
        weight_decay: of matrices (`decay_groups`). Decoupled, per unit of learning rate,
            except with `adam` and `sgd`, which add it to the gradient.
        layer_decay: see `layer_decay_groups`; None is none.
        options: further arguments of the class, by name.

    Raises:
        AllmlpError: an unknown name, a path that leads to no optimizer, an option that the class
            does not have or refuses, or nothing to train.

    Example:
        >>> from torch import nn
        >>> options = {"betas": [0.9, 0.95]}
        >>> net = nn.Linear(2, 1)
        >>> adam = build_optimizer("adamw", net, lr=0.1, options=options)
        >>> adam.param_groups[0]["betas"]
        (0.9, 0.95)
    """
    kind, given = find_optimizer(optimizer, options)
    name = optimizer if isinstance(optimizer, str) else kind.__name__
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise AllmlpError("the model has no parameter to train; are all of them frozen?")
    if lr is not None:
        given["lr"] = lr
    decays = "weight_decay" in inspect.signature(kind).parameters
    if weight_decay and not decays:
        raise AllmlpError(f"{name} has no weight decay; leave weight_decay at 0")
    if weight_decay or kind is MuonAdamW or layer_decay is not None:
        groups = decay_groups(model, weight_decay)
    else:  # one group: each costs a few launches a step
        groups = [{"params": parameters}]
    if decays:  # some classes decay unless told otherwise
        given["weight_decay"] = weight_decay
    if kind is MuonAdamW:
        groups = _split_for_muon(groups, model)
    if layer_decay is not None:
        if lr is None:
            raise AllmlpError("layer decay divides a learning rate; give one")
        groups = layer_decay_groups(groups, model, lr, layer_decay)
    try:
        return kind(groups, **given)
    except (TypeError, ValueError) as e:
        if isinstance(e, AllmlpError):
            raise
        raise AllmlpError(f"{name} refuses its options: {e}") from e


def find_optimizer(
    optimizer: str | type[Optimizer], options: Mapping[str, Any] | None = None
) -> tuple[type[Optimizer], dict[str, Any]]:
    """The class that `build_optimizer` takes, and the options it gets.

    Raises:
        AllmlpError: as there, but for values that the class refuses.
    """
    known = OPTIMIZERS.get(optimizer) if isinstance(optimizer, str) else None
    if isinstance(optimizer, str):
        kind, name = _import_class(known.path if known else optimizer, known), optimizer
    else:
        kind, name = optimizer, optimizer.__name__
    given = dict(known.options) if known else {}
    if known and known.lr is not None:
        given["lr"] = known.lr
    parameters = inspect.signature(kind).parameters
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    takes = set(parameters) - _FROM_ELSEWHERE
    for option, value in (options or {}).items():
        if option in _FROM_ELSEWHERE:
            raise AllmlpError(f"{option} is no option of {name}; it is set beside the optimizer")
        if option not in takes and not anything:
            raise AllmlpError(unknown_name(f"option of {name}", option, takes))
        given[option] = tuple(value) if isinstance(value, list) else value  # YAML has no tuples
    return kind, given


def check_made(
    optimizer: Optimizer,
    parameters: Sequence[nn.Parameter],
    lr: float | None,
    weight_decay: float,
) -> None:
    """Require that an optimizer which somebody made trains these parameters, and as asked.

    Raises:
        AllmlpError: it trains others, or settings are given that it has already.
    """
    if lr is not None or weight_decay:
        raise AllmlpError(
            "an optimizer that is made already has its own lr and weight decay; set them there, "
            "or pass its class"
        )
    if not parameters:
        raise AllmlpError("the model has no parameter to train; are all of them frozen?")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not held & {id(p) for p in parameters}:
        raise AllmlpError(
            "the optimizer holds no parameter of the model; make it with model.parameters(), after "
            "the model has been moved to its device"
        )


def _split_for_muon(groups: list[dict[str, Any]], model: nn.Module) -> list[dict[str, Any]]:
    names = hidden_matrices(model)
    hidden = {id(p) for n, p in model.named_parameters() if n in names}
    split = [
        {**group, "params": [p for p in group["params"] if (id(p) in hidden) is muon], "muon": muon}
        for muon in (True, False)
        for group in groups
    ]
    return [group for group in split if group["params"]]


def _import_class(path: str, known: _Known | None) -> type[Optimizer]:
    module, _, name = path.rpartition(".")
    if not module:
        raise AllmlpError(unknown_name("optimizer", path, OPTIMIZERS) + " (or a dotted path)")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as e:
        remedy = f"; pip install 'allmlp[{known.extra}]'" if known and known.extra else ""
        raise AllmlpError(f"optimizer {path!r} cannot be imported: {e}{remedy}") from e
    if not (isinstance(kind, type) and issubclass(kind, Optimizer)):
        raise AllmlpError(f"{path} must be a class of torch.optim.Optimizer, got {kind!r}")
    return kind
