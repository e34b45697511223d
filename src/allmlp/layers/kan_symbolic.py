"""Edges that are formulas: c f(a x + b) + d on chosen edges of a KAN layer.

Paper: Liu et al. 2024, arXiv:2404.19756, §2.5; parameters in the order (a, b, c, d), as in pykan.
Axes: i inputs, o outputs, e symbolic edges.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers
from allmlp.ops.symbolic import SymbolicFunction, find_function

__all__ = ["SymbolicEdge", "SymbolicEdges"]


class SymbolicEdge(NamedTuple):
    """One edge and the name of its function."""

    input: int
    output: int
    function: str


class SymbolicEdges(nn.Module):
    """The symbolic branch of a KAN layer: a sum of named functions over chosen edges.

    ::

        y_o = sum over edges (i, o) of  c f(a x_i + b) + d

    It stands beside the numeric branch, and an edge may have both; to replace one, mask the numeric
    edge. `affine` (e, 4) holds (a, b, c, d), starting at (1, 0, 1, 0), and is trained as usual.

    Args:
        in_features: i.
        out_features: o.
        edges: (input, output, function name) of every symbolic edge, each edge at most once.
        functions: functions of one's own, beyond `ops.symbolic.LIBRARY`.

    Shape:
        (..., i) -> (..., o); dtype is that of x and the parameters together.

    Raises:
        AllmlpError: an edge that does not exist or comes twice, or an unknown function.

    Example:
        >>> layer = SymbolicEdges(2, 1, [(0, 0, "sin"), (1, 0, "x^2")])
        >>> layer(torch.tensor([[0.0, 3.0]])).tolist()
        [[9.0]]
    """

    inputs: Tensor
    outputs: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        edges: Sequence[tuple[int, int, str]] = (),
        functions: Iterable[SymbolicFunction] = (),
    ):
        super().__init__()
        check_integers(
            "SymbolicEdges", minimum=1, in_features=in_features, out_features=out_features
        )
        self.in_features, self.out_features = in_features, out_features
        self.functions = tuple(functions)
        self.edges = tuple(SymbolicEdge(*edge) for edge in edges)
        self._check_edges()
        found = [find_function(edge.function, self.functions) for edge in self.edges]
        # edges of one function are evaluated together
        self._groups = [
            (function, [e for e, other in enumerate(found) if other is function])
            for function in dict.fromkeys(found)
        ]
        self.affine = nn.Parameter(torch.tensor([1.0, 0.0, 1.0, 0.0]).repeat(len(self.edges), 1))
        for name, axis in (("inputs", 0), ("outputs", 1)):
            ends = torch.tensor([edge[axis] for edge in self.edges], dtype=torch.int64)
            self.register_buffer(name, ends, persistent=False)  # the edges say it already

    def _check_edges(self) -> None:
        for edge in self.edges:
            if not (0 <= edge.input < self.in_features and 0 <= edge.output < self.out_features):
                raise AllmlpError(
                    f"a layer of {self.in_features} inputs and {self.out_features} outputs has no "
                    f"edge from input {edge.input} to output {edge.output}; both count from 0"
                )
        ends = [(edge.input, edge.output) for edge in self.edges]
        twice = next((end for end in ends if ends.count(end) > 1), None)
        if twice:
            raise AllmlpError(
                f"the edge from input {twice[0]} to output {twice[1]} has two functions; give one"
            )

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        values = self.edge_values(x)
        y = values.new_zeros(*x.shape[:-1], self.out_features)
        return y.index_add(-1, self.outputs, values)

    def edge_values(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b e"]:
        """The output of every symbolic edge, in the order of `edges`."""
        a, b, c, d = self.affine.unbind(-1)
        return c * self._values(a * x[..., self.inputs] + b) + d

    def _values(self, arguments: Tensor) -> Tensor:
        values = torch.zeros_like(arguments)
        for function, members in self._groups:
            index = torch.tensor(members, device=arguments.device)
            values = values.index_copy(-1, index, function(arguments[..., index]))
        return values

    def functions_and_slopes(
        self, x: Float[Tensor, "*b i"]
    ) -> tuple[Float[Tensor, "*b e"], Float[Tensor, "*b e"]]:
        """Every edge's f and f' at its argument a x + b; no gradient flows through them."""
        a, b, _, _ = self.affine.detach().unbind(-1)
        with torch.enable_grad():
            arguments = (a * x.detach()[..., self.inputs] + b).requires_grad_()
            values = self._values(arguments)
            slopes = torch.zeros_like(values)
            if values.requires_grad:  # constants are not
                (slopes,) = torch.autograd.grad(values.sum(), arguments)
        return values.detach(), slopes

    def out_of_domain_fraction(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, " e"]:
        """For every edge, the share of samples whose argument its function is not defined at.

        There the edge takes the value at the nearest point of the domain.
        """
        a, b, _, _ = self.affine.detach().unbind(-1)
        arguments = (a * x[..., self.inputs] + b).flatten(0, -2)
        outside = torch.zeros(len(self.edges), dtype=arguments.dtype, device=x.device)
        for function, members in self._groups:
            inside = function.in_domain(arguments[:, members])
            outside[members] = 1 - inside.to(arguments.dtype).mean(0)
        return outside

    def extra_repr(self) -> str:
        shown = ", ".join(f"{f}({i}->{o})" for i, o, f in self.edges[:8])
        return shown + (", …" if len(self.edges) > 8 else "")
