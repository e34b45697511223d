"""A layer of a KAN: functions on its edges, sums and products at its nodes.

Axes: b any leading axes, i inputs, s subnodes, n nodes.
"""

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.layers.kan import KANLinear
from allmlp.layers.kan_nodes import KANNodes
from allmlp.layers.kan_symbolic import SymbolicEdges

__all__ = ["KANLayer"]


class KANLayer(nn.Module):
    """One layer of a KAN: numeric and symbolic edges, summed; then nodes.

    Args:
        numeric: the learnable functions, (..., n) -> (..., s).
        symbolic: edges that are formulas, or None.
        nodes: (..., s) -> (..., n').

    Shape:
        (..., n) -> (..., n'); dtype unchanged.
    """

    numeric: KANLinear
    symbolic: SymbolicEdges | None
    nodes: KANNodes

    def __init__(self, numeric: KANLinear, symbolic: SymbolicEdges | None, nodes: KANNodes):
        super().__init__()
        self.numeric = numeric
        self.symbolic = symbolic
        self.nodes = nodes

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b n"]:
        return self.nodes(self.sums(x))

    def sums(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b s"]:
        """The sums over edges, before what the nodes make of them."""
        sums = self.numeric(x)
        return sums if self.symbolic is None else sums + self.symbolic(x)
