"""From `optimizer=` to an optimizer over the model's parameters."""

import importlib
import inspect
from typing import Any

from torch import nn
from torch.optim import LBFGS, AdamW, Optimizer

from allmlp.errors import AllmlpError, unknown_name
from allmlp.training.parameters import decay_groups

__all__ = ["choose_optimizer"]

_NAMES = ("adamw", "lbfgs")


def choose_optimizer(
    model: nn.Module,
    optimizer: str | type[Optimizer] | Optimizer,
    lr: float | None,
    weight_decay: float,
) -> Optimizer:
    """An optimizer over all parameters that are not frozen.

    Args:
        model: with its parameters.
        optimizer: `adamw`; `lbfgs` (history of 10, strong Wolfe line search, up to 20 iterations a
            step, Nocedal & Wright 2006, §7.2 and §3.5); a class of optimizers or its dotted path;
            or an optimizer, which is taken as it is.
        lr: learning rate; None is 1e-3 for `adamw`, 1 for `lbfgs`, its own default for a class.
        weight_decay: of matrices only (`decay_groups`).

    Raises:
        AllmlpError: nobody knows the optimizer, it lacks what is asked of it, or there is nothing
            to train.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise AllmlpError("the model has no parameter to train; are all of them frozen?")
    if isinstance(optimizer, Optimizer):
        _check_given(optimizer, parameters, lr, weight_decay)
        return optimizer
    if optimizer == "lbfgs":
        if weight_decay:
            raise AllmlpError("lbfgs has no weight decay; add a penalty to the loss instead")
        # it ends when nothing moves any more, and not at a size that suits float32 alone
        return LBFGS(
            parameters,
            lr=1.0 if lr is None else lr,
            history_size=10,
            line_search_fn="strong_wolfe",
            tolerance_grad=0.0,
            tolerance_change=0.0,
        )
    kind = optimizer if isinstance(optimizer, type) else _find(optimizer)
    options: dict[str, Any] = {} if lr is None else {"lr": lr}
    if kind is AdamW:
        options.setdefault("lr", 1e-3)
    known = inspect.signature(kind).parameters
    if not weight_decay:
        # torch's AdamW decays by itself unless told otherwise
        if "weight_decay" in known:
            options["weight_decay"] = 0.0
        return kind(parameters, **options)
    if "weight_decay" not in known:
        raise AllmlpError(f"{kind.__name__} has no weight decay; leave weight_decay at 0")
    return kind(decay_groups(model, weight_decay), **options)


def _check_given(
    optimizer: Optimizer, parameters: list[nn.Parameter], lr: float | None, weight_decay: float
) -> None:
    if lr is not None or weight_decay:
        raise AllmlpError(
            "an optimizer that is made already has its own lr and weight decay; set them there, "
            "or pass its class"
        )
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not held & {id(p) for p in parameters}:
        raise AllmlpError(
            "the optimizer holds no parameter of the model; make it with model.parameters(), after "
            "the model has been moved to its device"
        )


def _find(name: str) -> type[Optimizer]:
    if name == "adamw":
        return AdamW
    module, _, attribute = name.rpartition(".")
    if not module:
        raise AllmlpError(unknown_name("optimizer", name, _NAMES) + " (or a dotted path)")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as e:
        raise AllmlpError(f"no optimizer at {name!r} ({e})") from e
    if not (isinstance(found, type) and issubclass(found, Optimizer)):
        raise AllmlpError(f"{name} must be a class of torch optimizers, got {found!r}")
    return found
