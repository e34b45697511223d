"""Smaller learning rates for lower layers, by the model's own account of its depth."""

import math
import re
from collections.abc import Sequence
from typing import Any

from torch import nn

from allmlp.errors import AllmlpError

__all__ = ["layer_decay_groups", "layer_depths"]

# in timm's patterns the mark of what shares the layer before it
_WITH_PREVIOUS = 99999.0


def layer_depths(model: nn.Module) -> dict[str, int]:
    """The layer of every parameter, from 0 at the input.

    Patterns of `model.group_matcher()` are tried in their order; layers are ordered by pattern,
    then by the numbers that it captures. What no pattern matches is the last layer: the head.

    Raises:
        AllmlpError: the model does not say how its parameters are grouped.

    Example:
        >>> from allmlp.zoo import create_model
        >>> depths = layer_depths(create_model("mixer_digits", depth=2))
        >>> [depths[k] for k in ("stem.proj.weight", "norm.weight", "head.weight")]
        [0, 2, 3]
    """
    if not hasattr(model, "group_matcher"):
        raise AllmlpError(
            f"layers are told apart by group_matcher(), which {type(model).__name__} does not "
            "have; write one, or set no layer decay"
        )
    patterns = [
        (float(order), re.compile(pattern), suffix or ())
        for order, entry in enumerate(model.group_matcher().values())
        for pattern, suffix in ([(entry, None)] if isinstance(entry, str) else entry)
    ]
    places = {name: _place(name, patterns) for name, _ in model.named_parameters()}
    numbers: dict[tuple[float, ...], int] = {}
    layer = -1
    for place in sorted(set(places.values())):
        if layer < 0 or place[-1] != _WITH_PREVIOUS:
            layer += 1
        numbers[place] = layer
    return {name: numbers[place] for name, place in places.items()}


def layer_decay_groups(
    groups: Sequence[dict[str, Any]], model: nn.Module, lr: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Split parameter groups by layer: layer l of L learns at lr · layer_decay^(L − l).

    As in ELECTRA (Clark et al. 2020, arXiv:2003.10555) and BEiT; the last layer, the head, learns
    at `lr`.

    Args:
        groups: for a torch optimizer, of the model's parameters.
        model: with `group_matcher()`.
        lr: of the last layer.
        layer_decay: in (0, 1]; 0.65 to 0.8 when a pretrained network is fine-tuned.

    Raises:
        AllmlpError: `layer_decay` outside (0, 1], or no `group_matcher()`.
    """
    if not 0 < layer_decay <= 1:
        raise AllmlpError(f"layer_decay must be in (0, 1], got {layer_decay!r}")
    depths = layer_depths(model)
    last = max(depths.values())
    of_parameter = {id(p): depths[name] for name, p in model.named_parameters()}
    split = []
    for group in groups:
        layers: dict[int, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            layers.setdefault(of_parameter[id(parameter)], []).append(parameter)
        split += [
            {**group, "params": layers[layer], "lr": lr * layer_decay ** (last - layer)}
            for layer in sorted(layers)
        ]
    return split


def _place(
    name: str, patterns: Sequence[tuple[float, re.Pattern[str], tuple[int, ...]]]
) -> tuple[float, ...]:
    for order, pattern, suffix in patterns:
        if match := pattern.match(name):
            return (
                order,
                *(float(g) for g in match.groups() if g is not None),
                *map(float, suffix),
            )
    return (math.inf,)
