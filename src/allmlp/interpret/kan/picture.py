"""A KAN drawn: every edge its true curve over the data's range. Figures belong to no window.

Paper: Liu et al. 2024, arXiv:2404.19756, §2.5.1 (transparency tanh(3 x score)).
Reference: KindXiaoming/pykan, `plot`.
DIFF: one vector figure without files in between; curves are the functions, over what they read.
Axes: n samples.
"""

import math
from typing import Any

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.kan.curves import active_edges, edge_curves, layers_of
from allmlp.interpret.kan.scores import scores
from allmlp.models.kan import KAN

__all__ = ["draw_edge", "draw_kan"]

_NUMERIC, _SYMBOLIC, _MIXED = "#000000", "#c0392b", "#7d3c98"
_EDGES = 400  # of a figure: beyond, nobody sees a curve


def draw_kan(
    model: KAN, x: Float[Tensor, "n c"], *, names: list[str] | None = None, contrast: float = 3.0
) -> Figure:
    """The network with data flowing upwards: nodes, edges, and on every edge its curve.

    An edge is as opaque as it matters, tanh(contrast · attribution); black is numeric, red a
    formula with its name, purple both.

    Args:
        model: without `norm`, of at most 400 active edges.
        x: inputs of the network.
        names: of the columns that it reads; x1 … xn by default.
        contrast: pykan's beta.

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
    symbolic, numeric = set(active_edges(model, "symbolic")), set(active_edges(model, "numeric"))
    per_layer = [[e for e in edges if e[0] == number] for number in range(model.config.depth)]
    width = max(map(len, per_layer))
    figure = Figure(figsize=(max(3.0, 0.95 * width), 2.6 * len(per_layer) + 0.6))
    whole = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    whole.set(xlim=(0, 1), ylim=(-0.25, len(per_layer) + 0.15))
    whole.axis("off")
    height = len(per_layer) + 0.4

    def place(entry: int, node: int) -> tuple[float, float]:
        return (node + 0.5) / model.config.width(entry), float(entry)

    for number, own in enumerate(per_layer):
        nodes = layers_of(model)[number].nodes
        leads = {s: v for v in range(nodes.num_nodes) for s in nodes.subnodes_of(v)}
        importance = found.edge_importance(number)
        formulas = layers_of(model)[number].symbolic
        labels = {} if formulas is None else {e[:2]: e.function for e in formulas.edges}
        ends = {e: (place(number, e[1]), place(number + 1, leads[e[2]])) for e in own}
        order = sorted(own, key=lambda e: ends[e][0][0] + ends[e][1][0])
        for slot, edge in enumerate(order):
            _, i, s = edge
            alpha = max(0.04, math.tanh(contrast * float(importance[s, i])))
            colour = _SYMBOLIC if edge not in numeric else _NUMERIC
            if edge in symbolic and edge in numeric:
                colour = _MIXED
            middle = (slot + 0.5) / len(order)
            start, end = ends[edge]
            line: dict[str, Any] = {"color": colour, "alpha": alpha, "linewidth": 1.1, "zorder": 1}
            whole.plot([start[0], middle], [start[1] + 0.06, number + 0.33], **line)
            whole.plot([middle, end[0]], [number + 0.67, end[1] - 0.06], **line)
            size = min(0.8 / len(order), 0.75 / figure.get_figwidth())
            panel = figure.add_axes(
                (middle - size / 2, (number + 0.36 + 0.25) / height, size, 0.28 / height)
            )
            row = edges.index(edge)
            _curve(panel, curves.x[row], curves.y[row], colour, alpha)
            if (i, s) in labels:
                box: dict[str, Any] = {
                    "facecolor": "white",
                    "alpha": 0.8,
                    "edgecolor": "none",
                    "pad": 1,
                }
                corner: dict[str, Any] = {
                    "ha": "right",
                    "va": "bottom",
                    "transform": panel.transAxes,
                    "bbox": box,
                }
                panel.text(0.97, 0.04, labels[i, s], fontsize=8, color=colour, **corner)
        for v in range(nodes.num_nodes):
            sign = "+" if v < nodes.num_sums else "×"
            whole.text(*place(number + 1, v), sign, ha="center", va="center", fontsize=11)
    for i, name in enumerate(names):
        whole.text(*place(0, i), name, ha="center", va="center", fontsize=11)
    return figure


def draw_edge(model: KAN, layer: int, input: int, output: int, x: Float[Tensor, "n c"]) -> Figure:
    """One edge's curve over what it reads, with the samples' places along the axis.

    Args:
        model: without `norm`.
        layer: of the edge.
        input: it comes from.
        output: sum it leads to.
        x: inputs of the network.

    Raises:
        AllmlpError: no such edge.
    """
    curves = edge_curves(model, x, [(layer, input, output)])
    read, given = curves.x[0].double().cpu().numpy(), curves.y[0].double().cpu().numpy()
    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(read, given, color=_NUMERIC, linewidth=1.4)
    axes.plot(read, given, ".", color=_SYMBOLIC, markersize=3)
    axes.set_xlabel(f"input {input} of layer {layer}")
    axes.set_ylabel(f"share of sum {output}")
    return figure


def _curve(panel: Axes, x: Tensor, y: Tensor, colour: str, alpha: float) -> None:
    panel.plot(x.double().cpu().numpy(), y.double().cpu().numpy(), color=colour, alpha=alpha)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.patch.set_alpha(0.9)
    for spine in panel.spines.values():
        spine.set(linewidth=0.5, alpha=alpha)
