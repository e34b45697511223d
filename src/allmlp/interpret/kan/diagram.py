"""What a drawing of a KAN shows and where, whoever draws it: figures here, pages in `report`.

Paper: Liu et al. 2024, arXiv:2404.19756, §2.5.1 (transparency tanh(3 x score)).
Axes: n samples, c columns of the data.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.kan.curves import Edge, active_edges, edge_curves, layers_of
from allmlp.interpret.kan.scores import scores
from allmlp.interpret.kan.symbolic import Candidate, auto_symbolic
from allmlp.models.kan import KAN
from allmlp.ops.symbolic import find_function

__all__ = ["Diagram", "DrawnEdge", "DrawnNode", "Suggestion", "diagram"]

_EDGES = 400  # beyond, nobody sees a curve


@dataclass(frozen=True)
class DrawnNode:
    """A node: an input with its name, or `+`, or `×`."""

    place: int  # entry of widths
    label: str
    left: float  # of its middle, 0 … 1 of the width


@dataclass(frozen=True, eq=False)
class DrawnEdge:
    """An edge, its curve, and what there is to say of it."""

    edge: Edge
    start: DrawnNode
    end: DrawnNode
    middle: float  # of its curve's panel, 0 … 1 of the width
    read: Float[np.ndarray, " n"]  # values that the edge reads, ascending
    given: Float[np.ndarray, " n"]  # what it makes of them
    score: float  # attribution, mean over outputs
    numeric: bool  # whether it carries a spline
    function: str | None  # of its formula
    formula: str | None  # in t, what the edge reads; numbers to four digits
    suggestion: "Suggestion | None"  # of a numeric edge, if asked for

    def opacity(self, contrast: float = 3.0) -> float:
        """As it matters: tanh(contrast · score), and never quite invisible."""
        return max(0.04, math.tanh(contrast * self.score))


@dataclass(frozen=True, eq=False)
class Suggestion:
    """What a numeric edge would be named."""

    function: str
    formula: str
    r2: float
    given: Float[np.ndarray, " n"]  # by the formula, of what the edge reads


@dataclass(frozen=True, eq=False)
class Diagram:
    """A network with data flowing upwards."""

    nodes: tuple[DrawnNode, ...]  # inputs first
    layers: tuple[tuple[DrawnEdge, ...], ...]  # of each, from left to right

    @property
    def most(self) -> int:
        """Edges of the layer that has most."""
        return max(map(len, self.layers))


def diagram(
    model: KAN,
    x: Float[Tensor, "n c"],
    *,
    names: list[str] | None = None,
    suggest: bool = False,
) -> Diagram:
    """The parts of a drawing.

    Args:
        model: without `norm`, of at most 400 active edges.
        x: inputs of the network.
        names: of the columns that it reads; x1 … xn by default.
        suggest: find the best function for every numeric edge as well (`auto_symbolic`).

    Raises:
        AllmlpError: too many edges, or none; names that do not fit.
    """
    edges = active_edges(model)
    if not 0 < len(edges) <= _EDGES:
        raise AllmlpError(
            f"a picture shows 1 to {_EDGES} edges, this network has {len(edges)} active ones; "
            "prune it first"
        )
    columns = range(model.in_features) if model.inputs is None else model.inputs.tolist()
    names = names or [f"x{column + 1}" for column in columns]
    if len(names) != len(columns):
        raise AllmlpError(f"the network reads {len(columns)} columns, got {len(names)} names")
    curves, found = edge_curves(model, x, edges), scores(model, x)
    rows = {edge: row for row, edge in enumerate(edges)}
    numeric = set(active_edges(model, "numeric"))
    suggested: dict[Edge, Suggestion] = {}
    if suggest and numeric:
        chosen = auto_symbolic(model, x, dry_run=True).chosen
        suggested = {c.edge: _suggestion(model, c, curves.x[rows[c.edge]]) for c in chosen}
    below = _row(0, names)
    nodes = list(below)
    layers: list[tuple[DrawnEdge, ...]] = []
    for number, layer in enumerate(layers_of(model)):
        own = layer.nodes
        above = _row(number + 1, ["+" if v < own.num_sums else "×" for v in range(own.num_nodes)])
        leads = {s: above[v] for v in range(own.num_nodes) for s in own.subnodes_of(v)}
        importance = found.edge_importance(number)
        formulas: dict[tuple[int, int], tuple[str, str]] = {}
        if layer.symbolic is not None:
            affine = layer.symbolic.affine.detach().double().tolist()
            for e, numbers in zip(layer.symbolic.edges, affine, strict=True):
                formulas[e.input, e.output] = e.function, _formula(model, e.function, numbers)
        here = [edge for edge in edges if edge[0] == number]
        here.sort(key=lambda e: below[e[1]].left + leads[e[2]].left)
        drawn = []
        for slot, edge in enumerate(here):
            _, i, s = edge
            function, formula = formulas.get((i, s), (None, None))
            drawn.append(
                DrawnEdge(
                    edge,
                    below[i],
                    leads[s],
                    (slot + 0.5) / len(here),
                    curves.x[rows[edge]].double().cpu().numpy(),
                    curves.y[rows[edge]].double().cpu().numpy(),
                    float(importance[s, i]),
                    edge in numeric,
                    function,
                    formula,
                    suggested.get(edge),
                )
            )
        layers.append(tuple(drawn))
        nodes += above
        below = above
    return Diagram(tuple(nodes), tuple(layers))


def _suggestion(model: KAN, found: Candidate, read: Tensor) -> Suggestion:
    a, b, c, d = found.affine
    given = c * find_function(found.function, model.functions)(a * read + b) + d
    text = _formula(model, found.function, found.affine)
    return Suggestion(found.function, text, found.r2, given.double().cpu().numpy())


def _formula(model: KAN, name: str, affine: Sequence[float]) -> str:
    import sympy

    function = find_function(name, model.functions)
    a, b, c, d = (sympy.Float(number, 4) for number in affine)
    t = sympy.Symbol("t")
    if function.formula is None:
        return f"{c}*{name}({a * t + b}) + {d}"
    return str(c * function.expression(a * t + b) + d)


def _row(place: int, labels: list[str]) -> list[DrawnNode]:
    return [DrawnNode(place, label, (n + 0.5) / len(labels)) for n, label in enumerate(labels)]
