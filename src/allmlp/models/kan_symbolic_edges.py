"""A KAN with other edges as formulas: what changes in its config and its state dict.

Axes: s subnodes, i inputs, e symbolic edges of a layer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.models.kan_config import KANConfig

__all__ = ["set_edges"]


def set_edges(
    config: KANConfig,
    state: Mapping[str, Tensor],
    edges: Mapping[tuple[int, int, int], tuple[str, Sequence[float]] | None],
) -> tuple[KANConfig, dict[str, Tensor]]:
    """Config and state dict with some edges replaced.

    Args:
        config: as it is.
        state: as it is.
        edges: (layer, input, sum) -> function and (a, b, c, d), or None for the numeric edge.

    Raises:
        AllmlpError: as `KAN.set_symbolic`.
    """
    new = dict(state)
    listed: list[tuple[int, int, int, str]] = []
    for edge, formula in edges.items():
        _check_edge(config, edge)
        if formula is not None:
            numbers = formula[1]
            if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
                raise AllmlpError(f"a formula has four finite numbers a, b, c, d, got {numbers}")
    for layer in range(config.depth):
        prefix = f"layers.{layer}."
        old = [entry for entry in config.symbolic if entry[0] == layer]
        affine = state.get(prefix + "symbolic.affine")
        example = state[prefix + "numeric.spline_weight"]
        rows = [] if affine is None else list(affine)
        kept = [(e, row) for e, row in zip(old, rows, strict=True) if e[:3] not in edges]
        for edge, formula in edges.items():
            if edge[0] == layer and formula is not None:
                kept.append(((*edge, formula[0]), example.new_tensor(list(formula[1]))))
        listed += [entry for entry, _ in kept]
        new.pop(prefix + "symbolic.affine", None)
        if kept:
            new[prefix + "symbolic.affine"] = torch.stack([row for _, row in kept])
        if not edges:
            continue
        mask = state.get(prefix + "numeric.mask")
        mask = torch.ones_like(example[:, 0]) if mask is None else mask.clone()
        for edge, formula in edges.items():
            if edge[0] == layer:
                mask[edge[2], edge[1]] = float(formula is None)
        new[prefix + "numeric.mask"] = mask
    return replace(config, symbolic=tuple(listed), mask=config.mask or bool(edges)), new


def _check_edge(config: KANConfig, edge: tuple[int, int, int]) -> None:
    layer, source, target = edge
    if 0 <= layer < config.depth:
        inputs, sums = config.width(layer), config.subnodes(layer + 1)
        if 0 <= source < inputs and 0 <= target < sums:
            return
        raise AllmlpError(
            f"layer {layer} has {inputs} inputs and {sums} sums, so there is no edge from input "
            f"{source} to sum {target}; all count from 0"
        )
    raise AllmlpError(f"a KAN of {config.depth} layers has no edges in layer {layer}")
