"""The functions on a KAN's edges, sampled where the data are.

Axes: n samples, i inputs of a layer, s sums, e edges.
"""

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError, check_integers
from allmlp.layers.kan_layer import KANLayer
from allmlp.models.kan import KAN

__all__ = ["Edge", "EdgeCurves", "active_edges", "edge_curves", "layers_of"]

Edge = tuple[int, int, int]  # layer, input, sum


@dataclass(frozen=True, eq=False)
class EdgeCurves:
    """Samples of chosen edges, sorted by x."""

    edges: tuple[Edge, ...]
    x: Float[Tensor, "e n"]  # what each edge reads
    y: Float[Tensor, "e n"]  # what it gives, splines and formula together


def layers_of(model: KAN) -> list[KANLayer]:
    """The layers, typed."""
    return [cast(KANLayer, layer) for layer in model.layers]


def active_edges(model: KAN, kind: str = "all") -> list[Edge]:
    """The edges that carry something.

    Args:
        model: the network.
        kind: `numeric` where splines are not masked, `symbolic` where there is a formula, `all`.
    """
    found: list[Edge] = []
    for number, layer in enumerate(layers_of(model)):
        inputs, sums = layer.numeric.in_features, layer.numeric.out_features
        mask = layer.numeric.mask
        formulas = () if layer.symbolic is None else layer.symbolic.edges
        symbolic = {(edge.input, edge.output) for edge in formulas}
        for i in range(inputs):
            for s in range(sums):
                numeric = mask is None or bool(mask[s, i] != 0)
                wanted = {
                    "numeric": numeric,
                    "symbolic": (i, s) in symbolic,
                    "all": numeric or (i, s) in symbolic,
                }
                if wanted[kind]:
                    found.append((number, i, s))
    return found


@torch.no_grad()
def edge_curves(
    model: KAN, x: Float[Tensor, "n i"], edges: list[Edge] | None = None, *, points: int = 200
) -> EdgeCurves:
    """Sample edges at quantiles of what they read while the network maps x.

    Args:
        model: without `norm`.
        x: inputs of the network.
        edges: which; None takes all active ones.
        points: at most so many of each, spread evenly over the sorted samples.

    Raises:
        AllmlpError: no sample, values that are not finite, an edge that does not exist, or a
            network whose LayerNorms make every edge a function of all inputs.
    """
    check_integers("edge_curves", minimum=2, points=points)
    if model.config.norm:
        raise AllmlpError(
            "a KAN with norm=True has no curves on its edges: LayerNorm makes each a function of "
            "all inputs; build it without norm"
        )
    chosen = active_edges(model) if edges is None else edges
    if len(x) == 0:
        raise AllmlpError("edges are sampled where data are, got no data")
    found = model.forward_intermediates(x)
    xs: dict[Edge, Tensor] = {}
    ys: dict[Edge, Tensor] = {}
    for number, layer in enumerate(layers_of(model)):
        here = [edge for edge in chosen if edge[0] == number]
        if not here:
            continue
        seen = found[f"layers.{number}.input"]
        if not bool(seen.isfinite().all()):
            raise AllmlpError(
                f"what layer {number} reads is not finite on these data; drop the rows that are not"
            )
        index = torch.linspace(0, len(seen) - 1, min(points, len(seen))).round().long()
        sampled = seen.sort(0).values[index.to(seen.device)]
        functions, weights = layer.numeric.edge_functions(sampled), layer.numeric.edge_weights()
        formulas = layer.symbolic
        values = None if formulas is None else formulas.edge_values(sampled)
        places = {} if formulas is None else {e[:2]: p for p, e in enumerate(formulas.edges)}
        for edge in here:
            _, i, s = edge
            if not (0 <= i < layer.numeric.in_features and 0 <= s < layer.numeric.out_features):
                raise AllmlpError(f"there is no edge {edge} (layer, input, sum); all count from 0")
            y = functions[:, i] @ weights[s, i]
            if values is not None and (i, s) in places:
                y = y + values[:, places[i, s]]
            xs[edge], ys[edge] = sampled[:, i], y
    missing = [edge for edge in chosen if edge not in xs]
    if missing:
        raise AllmlpError(f"there is no edge {missing[0]} (layer, input, sum); all count from 0")
    if not chosen:
        empty = x.new_zeros(0, min(points, len(x)))
        return EdgeCurves((), empty, empty)
    return EdgeCurves(
        tuple(chosen),
        torch.stack([xs[edge] for edge in chosen]),
        torch.stack([ys[edge] for edge in chosen]),
    )
