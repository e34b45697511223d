"""A part of a KAN: which numbers of the whole one belong to chosen inputs, nodes and edges.

Axes: i inputs of a layer, s subnodes, m functions per edge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.layers.bases import make_basis
from allmlp.models.kan_config import KANConfig

__all__ = ["keep_parts"]

State = dict[str, Tensor]


def keep_parts(
    config: KANConfig,
    state: Mapping[str, Tensor],
    inputs: Sequence[int] | None,
    nodes: Mapping[int, Sequence[int]],
    edges: Mapping[int, Tensor],
) -> tuple[KANConfig, State]:
    """Config and state dict of what is left.

    Args:
        config: of the whole.
        state: of the whole.
        inputs: to keep; None for all.
        nodes: entry of `widths` -> nodes to keep.
        edges: layer -> True where an edge stays, (s, i) of the whole.

    Raises:
        AllmlpError: as `KAN.keep`.
    """
    kept = _kept_nodes(config, inputs, nodes)
    stay = _staying_edges(config, edges)
    new = _smaller_config(config, kept, stay)
    return new, _smaller_state(config, new, state, kept, stay)


def _kept_nodes(
    config: KANConfig, inputs: Sequence[int] | None, nodes: Mapping[int, Sequence[int]]
) -> list[list[int]]:
    """The kept nodes of every entry of `widths`, in their order."""
    for place in nodes:
        if not 0 < place < config.depth:
            raise AllmlpError(
                f"nodes are kept of hidden entries of widths, 1 to {config.depth - 1}, got "
                f"{place}; inputs have an argument of their own, outputs all stay"
            )
    asked = dict(nodes) | ({} if inputs is None else {0: inputs})
    kept = []
    for place in range(config.depth + 1):
        width = config.width(place)
        numbers = [int(n) for n in asked.get(place, range(width))]
        if not numbers or not all(0 <= n < width for n in numbers):
            raise AllmlpError(
                f"kept nodes of entry {place} of widths must be numbers from 0 to {width - 1}, at "
                f"least one, got {numbers}"
            )
        if len(set(numbers)) < len(numbers):
            raise AllmlpError(f"kept nodes of entry {place} of widths come twice in {numbers}")
        if config.norm and len(numbers) < width and place < config.depth:
            raise AllmlpError(
                "a KAN with norm normalises over all nodes of a layer, so that none can go without "
                "changing the others; mask its edges instead"
            )
        kept.append(sorted(numbers))
    return kept


def _staying_edges(config: KANConfig, edges: Mapping[int, Tensor]) -> dict[int, Tensor]:
    for layer, stay in edges.items():
        if not 0 <= layer < config.depth:
            raise AllmlpError(f"a KAN of {config.depth} layers has no edges in layer {layer}")
        shape = (config.subnodes(layer + 1), config.width(layer))
        if stay.shape != shape or stay.dtype != torch.bool:
            raise AllmlpError(
                f"edges of layer {layer} are a bool tensor (subnodes, inputs) of shape {shape}, "
                f"got {stay.dtype} of {tuple(stay.shape)}"
            )
    return dict(edges)


def _subnodes(config: KANConfig, place: int, nodes: Sequence[int]) -> list[int]:
    """The subnodes that nodes of an entry of `widths` are made of, in order."""
    sums = config.sums_and_products(place)[0]
    arities = config.arities(place)
    starts = [sums + sum(arities[:p]) for p in range(len(arities))]
    found: list[int] = []
    for node in nodes:
        if node < sums:
            found.append(node)
        else:
            product = node - sums
            found.extend(range(starts[product], starts[product] + arities[product]))
    return found


def _smaller_config(
    config: KANConfig, kept: list[list[int]], stay: Mapping[int, Tensor]
) -> KANConfig:
    widths: list[Any] = []
    arities: list[tuple[int, ...]] = []
    for place, nodes in enumerate(kept):
        sums = config.sums_and_products(place)[0]
        left = sum(node < sums for node in nodes)
        plain = isinstance(config.widths[place], int)
        widths.append(len(nodes) if plain else (left, len(nodes) - left))
        own = config.arities(place) if place else ()
        arities.append(tuple(own[node - sums] for node in nodes if node >= sums))
    symbolic = []
    for layer, i, s, function in _symbolic_left(config, kept, stay):
        rows = _subnodes(config, layer + 1, kept[layer + 1])
        symbolic.append((layer, kept[layer].index(i), rows.index(s), function))
    return replace(
        config,
        widths=tuple(widths),
        mult_arity=config.mult_arity if isinstance(config.mult_arity, int) else tuple(arities),
        mask=config.mask or bool(stay),
        symbolic=tuple(symbolic),
        in_features=config.in_features or config.width(0),
    )


def _symbolic_left(
    config: KANConfig, kept: list[list[int]], stay: Mapping[int, Tensor]
) -> list[tuple[int, int, int, str]]:
    left = []
    for layer, i, s, function in config.symbolic:
        ends_stay = i in kept[layer] and s in _subnodes(config, layer + 1, kept[layer + 1])
        if ends_stay and (layer not in stay or bool(stay[layer][s, i])):
            left.append((layer, i, s, function))
    return left


def _smaller_state(
    config: KANConfig,
    new: KANConfig,
    state: Mapping[str, Tensor],
    kept: list[list[int]],
    stay: Mapping[int, Tensor],
) -> State:
    smaller: State = {}
    chosen = state.get("inputs", torch.arange(config.width(0)))[torch.tensor(kept[0])]
    if new.in_features is not None and new.in_features > len(chosen):
        smaller["inputs"] = chosen
    smaller |= {key: state[key] for key in ("middle", "unit") if key in state}
    left = _symbolic_left(config, kept, stay)
    for layer in range(config.depth):
        columns = torch.tensor(kept[layer])
        rows = torch.tensor(_subnodes(config, layer + 1, kept[layer + 1]))
        nodes = torch.tensor(kept[layer + 1])
        prefix = f"layers.{layer}."
        own = {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}
        if new.mask:
            mask = own.get("numeric.mask")
            if mask is None:
                mask = torch.ones_like(own["numeric.spline_weight"][:, 0])
            own["numeric.mask"] = mask * stay[layer].to(mask) if layer in stay else mask
        for key, tensor in own.items():
            rows, columns, nodes = (index.to(tensor.device) for index in (rows, columns, nodes))
            match key.split("."):
                case ["numeric", "spline_weight" | "base_weight" | "scale" | "mask"]:
                    part = tensor[rows][..., columns]
                case ["numeric", "bias"] | ["nodes", "subnode_scale" | "subnode_bias"]:
                    part = tensor[rows]
                case ["nodes", "node_scale" | "node_bias"]:
                    part = tensor[nodes]
                case ["numeric", "basis", *_]:
                    part = tensor
                case ["symbolic", "affine"]:
                    all_here = [edge for edge in config.symbolic if edge[0] == layer]
                    part = tensor[[all_here.index(edge) for edge in left if edge[0] == layer]]
                    if len(part) == 0:
                        continue
                case _:  # norm, where every node stays
                    part = tensor
            smaller[prefix + key] = part
        smaller |= _smaller_basis(config, prefix + "numeric.basis.", smaller, columns)
    return smaller


def _smaller_basis(config: KANConfig, prefix: str, state: State, columns: Tensor) -> State:
    """Tensors of a basis for fewer inputs: the axis that a smaller basis has shorter is cut."""
    with torch.device("meta"):
        basis = make_basis(config.basis, len(columns), **config.basis_options())
    cut: State = {}
    for key, example in basis.state_dict().items():
        tensor = state[prefix + key]
        axes = [a for a, n in enumerate(example.shape) if n != tensor.shape[a]]
        cut[prefix + key] = tensor.index_select(axes[0], columns) if axes else tensor
    return cut
