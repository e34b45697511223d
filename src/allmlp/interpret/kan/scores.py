"""How much each edge, node and input of a KAN matters on given data.

Paper: Liu et al. 2024, KAN 2.0, arXiv:2408.10205, §4.1 (attribution scores).
Reference: KindXiaoming/pykan, `MultKAN.attribute`.
DIFF: exact over any number of batches in the memory of one; pykan adds 1e-4 to a sum's deviation,
which ties the scores to units: here what is added is 1e-4 of the deviation that the sum would have
if its edges were independent.
Axes: n samples, s sums, i inputs of a layer, v nodes, o outputs.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.kan.curves import layers_of
from allmlp.layers.kan_moments import LayerMoments, layer_moments
from allmlp.models.kan import KAN

__all__ = ["Scores", "feature_scores", "scores"]

_ROWS = 8192  # of one batch, where a whole tensor is given


@dataclass(frozen=True, eq=False)
class Scores:
    """Statistics over samples, layer by layer, and what they say about the outputs."""

    edges: tuple[Tensor, ...]  # (s, i): E, deviation of every edge
    edge_means: tuple[Tensor, ...]  # (s, i)
    sums: tuple[Tensor, ...]  # (s,): N, deviation of every sum over edges
    # A: shares of the outputs' variation, handed back from the outputs (each 1) to the inputs
    edge_attribution: tuple[Tensor, ...]  # (o, s, i)
    node_attribution: tuple[Tensor, ...]  # (o, v) of every entry of widths, inputs first

    @property
    def features(self) -> Float[Tensor, " i"]:
        """Attribution of every input that the network reads, mean over outputs."""
        return self.node_attribution[0].mean(0)

    def edge_importance(self, layer: int) -> Float[Tensor, "s i"]:
        """Attribution of a layer's edges, mean over outputs."""
        return self.edge_attribution[layer].mean(0)

    def node_importance(self, place: int) -> Float[Tensor, " v"]:
        """Attribution of the nodes of an entry of `widths`, mean over outputs."""
        return self.node_attribution[place].mean(0)


@torch.no_grad()
def scores(model: KAN, x: Float[Tensor, "n i"] | Iterable[Float[Tensor, "_ i"]]) -> Scores:
    """Deviations and attributions on data.

        E_si = std of edge,  N_s = std of sum,  A_edge = A_s E_si / N_s,  A_i = sum_s A_edge

    from A = 1 at each output back to the inputs; a product node hands its score to every factor.

    Args:
        model: the network.
        x: inputs; or batches of them, read once.

    Returns:
        Scores in the dtype of the model, at least float32.

    Raises:
        AllmlpError: no sample at all, or inputs of another width.

    Example:
        >>> found = scores(KAN([3, 4, 2]), torch.rand(100, 3))
        >>> found.edges[0].shape, found.features.shape
        (torch.Size([4, 3]), torch.Size([3]))
    """
    batches = x.split(_ROWS) if isinstance(x, Tensor) else x
    layers = layers_of(model)
    total: list[LayerMoments] | None = None
    for batch in batches:
        if len(batch) == 0:
            continue
        seen = model.forward_intermediates(batch)
        own = [
            layer_moments(layer.numeric, layer.symbolic, seen[f"layers.{number}.input"])
            for number, layer in enumerate(layers)
        ]
        total = own if total is None else [a + b for a, b in zip(total, own, strict=True)]
    if total is None:
        raise AllmlpError("scores are statistics over samples, got none")
    pairs = list(zip(total, layers, strict=True))
    edges = tuple(moments.edge_std(layer.numeric, layer.symbolic) for moments, layer in pairs)
    means = tuple(moments.edge_mean(layer.numeric, layer.symbolic) for moments, layer in pairs)
    sums = tuple(moments.sum_std() for moments in total)
    edge_attribution: list[Tensor] = []
    node_attribution = [torch.eye(model.out_features).to(edges[-1])]
    for number in reversed(range(len(layers))):
        own_share = _shares(edges[number], sums[number])
        handed = _to_sums(model, number, node_attribution[0])
        edge_attribution.insert(0, handed[..., None] * own_share)
        node_attribution.insert(0, edge_attribution[0].sum(1))
    return Scores(
        edges,
        means,
        sums,
        tuple(edge_attribution),
        tuple(node_attribution),
    )


def feature_scores(
    model: KAN, x: Float[Tensor, "n i"] | Iterable[Float[Tensor, "_ i"]]
) -> Float[Tensor, " c"]:
    """Attribution of every column of the data, zero for those that the network does not read.

    Raises:
        AllmlpError: as `scores`.
    """
    read = scores(model, x).features
    if model.inputs is None:
        return read
    return read.new_zeros(model.in_features).index_copy(0, model.inputs, read)


def _shares(edges: Tensor, sums: Tensor) -> Float[Tensor, "s i"]:
    """E / N, of a constant sum 0. Edges that cancel each other would divide by nearly nothing."""
    independent = edges.square().sum(1, keepdim=True).sqrt()
    size = sums[:, None] + 1e-4 * independent
    return torch.where(size > 0, edges / torch.where(size > 0, size, 1), 0)


def _to_sums(model: KAN, layer: int, nodes: Float[Tensor, "o v"]) -> Float[Tensor, "o s"]:
    """Every sum's score: that of the node it belongs to."""
    own = layers_of(model)[layer].nodes
    return nodes[:, [v for v in range(own.num_nodes) for _ in own.subnodes_of(v)]]
