"""A KAN drawn: every edge its true curve over the data's range. Figures belong to no window.

Paper: Liu et al. 2024, arXiv:2404.19756, §2.5.1.
Reference: KindXiaoming/pykan, `plot`.
DIFF: one vector figure without files in between; curves are the functions, over what they read.
Axes: n samples.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from allmlp.interpret.kan.curves import edge_curves
from allmlp.interpret.kan.diagram import diagram
from allmlp.models.kan import KAN

__all__ = ["draw_edge", "draw_kan"]

_NUMERIC, _SYMBOLIC, _MIXED = "#000000", "#c0392b", "#7d3c98"


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
    shown = diagram(model, x, names=names)
    depth = len(shown.layers)
    figure = Figure(figsize=(max(3.0, 0.95 * shown.most), 2.6 * depth + 0.6))
    whole = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    whole.set(xlim=(0, 1), ylim=(-0.25, depth + 0.15))
    whole.axis("off")
    height = depth + 0.4
    for number, layer in enumerate(shown.layers):
        for edge in layer:
            alpha = edge.opacity(contrast)
            colour = _NUMERIC if edge.function is None else _MIXED if edge.numeric else _SYMBOLIC
            start, middle, end = edge.start.left, edge.middle, edge.end.left
            line: dict[str, Any] = {"color": colour, "alpha": alpha, "linewidth": 1.1, "zorder": 1}
            whole.plot([start, middle], [number + 0.06, number + 0.33], **line)
            whole.plot([middle, end], [number + 0.67, number + 0.94], **line)
            size = min(0.8 / len(layer), 0.75 / figure.get_figwidth())
            panel = figure.add_axes(
                (middle - size / 2, (number + 0.36 + 0.25) / height, size, 0.28 / height)
            )
            _curve(panel, edge.read, edge.given, colour, alpha)
            if edge.function is not None:
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
                panel.text(0.97, 0.04, edge.function, fontsize=8, color=colour, **corner)
    for node in shown.nodes:
        whole.text(node.left, node.place, node.label, ha="center", va="center", fontsize=11)
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


def _curve(panel: Axes, x: np.ndarray, y: np.ndarray, colour: str, alpha: float) -> None:
    panel.plot(x, y, color=colour, alpha=alpha)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.patch.set_alpha(0.9)
    for spine in panel.spines.values():
        spine.set(linewidth=0.5, alpha=alpha)
