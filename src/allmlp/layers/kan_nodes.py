"""What stands between two layers of edges: affine maps, and nodes that multiply.

Paper: Liu et al. 2024, KAN 2.0, arXiv:2408.10205, §2 (MultKAN).
DIFF: also allowed behind the last layer, which the paper's networks do not have.
Axes: b any leading axes, s subnodes (sums over edges), n nodes.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_integers

__all__ = ["KANNodes"]


class KANNodes(nn.Module):
    """Subnodes to nodes: the first pass on, the others are multiplied in groups.

    ::

        s' = subnode_scale s + subnode_bias
        n  = [s'_1 .. s'_num_sums, products of the next arities[0], arities[1], ... subnodes]
        out = node_scale n + node_bias

    Args:
        num_sums: nodes that are a sum over edges; they come first.
        arities: for each product node, how many subnodes it multiplies, at least 2.
        affine: whether the two affine maps exist; they start as the identity and are trained.

    Shape:
        (..., num_sums + sum(arities)) -> (..., num_sums + len(arities)); dtype unchanged.

    Raises:
        AllmlpError: a negative number of sums, or an arity below 2.

    Example:
        >>> KANNodes(1, [2, 3])(torch.tensor([5.0, 2.0, 3.0, 1.0, 2.0, 4.0])).tolist()
        [5.0, 6.0, 8.0]
    """

    def __init__(self, num_sums: int, arities: Sequence[int] = (), *, affine: bool = False):
        super().__init__()
        check_integers("KANNodes", minimum=0, num_sums=num_sums)
        for arity in arities:
            check_integers("a product node", minimum=2, arity=arity)
        self.num_sums = num_sums
        self.arities = tuple(arities)
        self.num_subnodes = num_sums + sum(arities)
        self.num_nodes = num_sums + len(self.arities)

        def ones(count: int) -> nn.Parameter | None:
            return nn.Parameter(torch.ones(count)) if affine else None

        def zeros(count: int) -> nn.Parameter | None:
            return nn.Parameter(torch.zeros(count)) if affine else None

        self.subnode_scale = ones(self.num_subnodes)
        self.subnode_bias = zeros(self.num_subnodes)
        self.node_scale = ones(self.num_nodes)
        self.node_bias = zeros(self.num_nodes)

    def forward(self, sums: Float[Tensor, "*b s"]) -> Float[Tensor, "*b n"]:
        x = _affine(sums, self.subnode_scale, self.subnode_bias)
        if self.arities:
            head, *factors = x.split([self.num_sums, *self.arities], dim=-1)
            products = [group.prod(-1, keepdim=True) for group in factors]
            x = torch.cat([head, *products], dim=-1)
        return _affine(x, self.node_scale, self.node_bias)

    def subnodes_of(self, node: int) -> range:
        """The subnodes that a node is made of."""
        if node < self.num_sums:
            return range(node, node + 1)
        start = self.num_sums + sum(self.arities[: node - self.num_sums])
        return range(start, start + self.arities[node - self.num_sums])

    def extra_repr(self) -> str:
        return (
            f"num_sums={self.num_sums}, arities={self.arities}, "
            f"affine={self.node_scale is not None}"
        )


def _affine(x: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
    return x if scale is None or bias is None else x * scale + bias
