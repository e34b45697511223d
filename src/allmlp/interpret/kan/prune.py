"""What a KAN does not need, taken away.

Papers: Liu et al. 2024, arXiv:2404.19756, §2.5.1; KAN 2.0, arXiv:2408.10205, §4.1 (scores).
Reference: KindXiaoming/pykan, `prune`, `prune_input`, whose thresholds are the defaults.
DIFF: a new model; what goes leaves its mean behind where the sum has a spline or a formula to carry
it, so that only its variation is lost; the change of the outputs is measured.
Axes: n samples, s sums, i inputs of a layer.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.kan.curves import Edge, active_edges, layers_of
from allmlp.interpret.kan.scores import Scores, scores
from allmlp.layers.bspline import BSplineBasis
from allmlp.models.kan import KAN

__all__ = ["Pruned", "prune"]


@dataclass(frozen=True, eq=False)
class Pruned:
    """A smaller network, what is gone, and what that changed."""

    model: KAN
    nodes: tuple[tuple[int, int], ...]  # (entry of widths, node) of the network before
    edges: tuple[Edge, ...]  # of the nodes that stayed, numbered as in `model`
    inputs: tuple[int, ...]  # columns of the data that are no longer read
    change: Float[Tensor, " o"]  # of the outputs on the data: rms over their deviation before


@torch.no_grad()
def prune(
    model: KAN,
    x: Float[Tensor, "n c"],
    *,
    node: float = 1e-2,
    edge: float = 3e-2,
    input: float = 1e-2,
) -> Pruned:
    """The network without nodes, edges and inputs that hardly contribute to the outputs.

    Hidden nodes go first, then edges, then nodes left without a way in or out, then inputs; scores
    are computed anew in between. At least one node and one input stay of every entry of `widths`.

    Args:
        model: the network; it stays as it is, and every option of it is kept. With `norm`, whose
            LayerNorms mix all nodes, edges alone can go.
        x: inputs of the network; its scores (`scores`) are over them.
        node: hidden nodes with an attribution (mean over outputs, of 1 in all) up to here go.
        edge: edges likewise.
        input: inputs likewise.

    Raises:
        AllmlpError: a threshold below 0, or no data.
    """
    if not min(node, edge, input) >= 0:
        raise AllmlpError(f"thresholds must be at least 0, got {node}, {edge} and {input}")
    before = model(x)
    gone_nodes: list[tuple[int, int]] = []
    small = model
    if not model.config.norm:
        kept = {place: _above(scores_of, node) for place, scores_of in _hidden(scores(model, x))}
        small, gone_nodes = _keep_nodes(model, kept, x)
    edges_before = set(active_edges(small))
    found = scores(small, x)
    stay = {number: found.edge_importance(number) > edge for number in range(small.config.depth)}
    small = _keep_edges(small, stay, found)
    gone_edges = sorted(edges_before - set(active_edges(small)))
    columns = list(range(small.in_features))
    read = columns if small.inputs is None else small.inputs.tolist()
    gone_inputs: list[int] = []
    if not model.config.norm:
        small = _without_dead_ends(small, x)
        features = scores(small, x).features
        chosen = _above(features, input)
        if len(chosen) < len(features):
            small = small.keep(inputs=chosen)
        gone_inputs = [column for n, column in enumerate(read) if n not in chosen]
    after = small(x)
    change = (after - before).square().mean(0).sqrt()
    size = before.std(0, correction=0)
    return Pruned(
        small,
        tuple(gone_nodes),
        tuple(gone_edges),
        tuple(gone_inputs),
        torch.where(size > 0, change / torch.where(size > 0, size, 1), change),
    )


def _hidden(found: Scores) -> list[tuple[int, Tensor]]:
    return [
        (place, found.node_importance(place)) for place in range(1, len(found.node_attribution) - 1)
    ]


def _above(values: Tensor, threshold: float) -> list[int]:
    """Those above; the largest, if none is."""
    chosen = (values > threshold).nonzero()[:, 0].tolist()
    return chosen or [int(values.argmax())]


def _keep_nodes(
    model: KAN, kept: dict[int, list[int]], x: Tensor
) -> tuple[KAN, list[tuple[int, int]]]:
    gone = [
        (place, v)
        for place, nodes in kept.items()
        for v in range(model.config.width(place))
        if v not in nodes
    ]
    if not gone:
        return model, []
    # a node that goes is first silenced, so that its mean stays with the sums it fed
    stay = {}
    for place, nodes in kept.items():
        feeds = torch.zeros(model.config.width(place), dtype=torch.bool)
        feeds[nodes] = True
        stay[place] = feeds.expand(model.config.subnodes(place + 1), -1)
    return _keep_edges(model, stay, scores(model, x)).keep(nodes=kept), gone


def _without_dead_ends(model: KAN, x: Tensor) -> KAN:
    """Without nodes that nothing reaches or that reach nothing, until none is left."""
    while True:
        edges = active_edges(model)
        kept = {}
        for place in range(1, model.config.depth):
            nodes = layers_of(model)[place - 1].nodes
            reached = {s for layer, _, s in edges if layer == place - 1}
            used = {i for layer, i, _ in edges if layer == place}
            alive = [
                v
                for v in range(model.config.width(place))
                if v in used and any(s in reached for s in nodes.subnodes_of(v))
            ]
            kept[place] = alive or [0]
        smaller, gone = _keep_nodes(model, kept, x)
        if not gone:
            return model
        model = smaller


def _keep_edges(model: KAN, stay: dict[int, Tensor], found: Scores) -> KAN:
    """The network with other edges masked; their means go to what is left of their sums."""
    if all(bool(kept.all()) for kept in stay.values()):
        return model
    small = model.keep(edges={number: kept.cpu() for number, kept in stay.items()})
    for number, kept in stay.items():
        lost = (found.edge_means[number] * ~kept.to(found.edge_means[number].device)).sum(1)
        for s, mean in enumerate(lost.tolist()):
            if mean != 0:
                _add_constant(small, number, s, mean)
    return small


def _add_constant(model: KAN, number: int, s: int, value: float) -> None:
    """Shift a sum: by its bias, or by a formula's d, or by a spline, which can be any constant."""
    layer = layers_of(model)[number]
    numeric = layer.numeric
    if numeric.bias is not None:
        numeric.bias[s] += value
        return
    for place, formula in enumerate(() if layer.symbolic is None else layer.symbolic.edges):
        if formula.output == s and layer.symbolic is not None:
            layer.symbolic.affine[place, 3] += value
            return
    basis = numeric.basis
    if not isinstance(basis, BSplineBasis) or basis.outside == "zero":
        return
    factor = torch.ones_like(numeric.spline_weight[s, 0])
    for part in (numeric.mask, numeric.scale):
        factor = factor if part is None else factor * part[s]
    i = int(factor.abs().argmax())
    if factor[i] != 0:
        numeric.spline_weight[s, :, i] += value / factor[i]
