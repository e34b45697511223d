"""A KAN to look into: its drawing, in which edges can be hovered over, clicked or tabbed to."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import escape
from matplotlib.ticker import MaxNLocator

from allmlp.interpret.kan import Diagram, DrawnEdge, DrawnNode
from allmlp.report.figures import new_figure, picture
from allmlp.report.page import Cell, Code, Explorer, Facts, Page, Part, Picture, Section, Table
from allmlp.report.palette import SERIES

__all__ = ["kan_page", "law_sections"]

# units of the drawing, pixels where there is room
_PANEL, _GAP, _LAYER, _EDGE = 104.0, 14.0, 210.0, 34.0
# points of a small curve: more cannot be seen in a hundred pixels
_POINTS = 60
# longer names of columns are cut; the page shows them whole beside the drawing
_LETTERS = 14
_NONE = Facts(())


def kan_page(
    shown: Diagram,
    *,
    title: str,
    lead: str = "",
    facts: Facts = _NONE,
    sections: tuple[Section, ...] = (),
) -> Page:
    """The page of one network.

    Args:
        shown: from `interpret.kan.diagram`.
        title: of the page.
        lead: a sentence below it.
        facts: the few numbers that matter.
        sections: that follow: the formula, scores, ….
    """
    edges = [edge for layer in shown.layers for edge in layer]
    names = {edge.edge: _title(shown, edge) for edge in edges}
    parts = tuple(_part(edge, names[edge.edge]) for edge in edges)
    table = Table(
        ("edge", "score", "function", "formula"),
        tuple(_row(edge, names[edge.edge]) for edge in edges),
        "Every edge; t is what it reads. The score is the share of the outputs' variation that "
        "passes through it (KAN 2.0). A function in parentheses is suggested for an edge that "
        "is still a spline, with its R².",
        sortable=True,
    )
    network = Section("Network", (Explorer(_drawing(shown, names), parts),))
    return Page(title, (network, *sections, Section("Edges", (table,))), lead, facts)


def law_sections(record: Mapping[str, Any]) -> tuple[Section, ...]:
    """What was found of laws.

    Args:
        record: of `eval/laws.json` (`estimators.kan_run`).
    """
    symbols = Facts(tuple(record["symbols"].items()))
    rows = tuple(
        (law["complexity"], f"{law['explained']:.6f}", ", ".join(law["functions"]), text)
        for law in record["laws"]
        for text in law["short"]
    )
    table = Table(
        ("complexity", "explained", "functions", "formula"),
        rows,
        "From short to true. Explained is the share of held-out rows' variance (of classes, of "
        "their entropy). Formulas are shortened: by 0.1 % of a standard deviation at most, or by "
        "1 % where noise drowns it.",
    )
    last = record["laws"][-1]
    full = tuple(
        Code(f"{formula}\n\n{latex}", f"{name}, the last law in full and as LaTeX, shortened")
        for name, formula, latex in zip(
            record["outputs"], last["formula"], last["latex"], strict=True
        )
    )
    return (Section("Laws", (symbols, table, *full)),)


def _drawing(shown: Diagram, names: dict[tuple[int, int, int], str]) -> Picture:
    width = max(420.0, shown.most * (_PANEL + _GAP))
    height = _LAYER * len(shown.layers) + 2 * _EDGE

    def y(place: int) -> float:
        return height - _EDGE - place * _LAYER

    pieces = []
    for number, layer in enumerate(shown.layers):
        size = min(_PANEL, width / len(layer) - _GAP / 2)
        low, high = y(number), y(number + 1)
        pieces += [_edge(edge, names[edge.edge], width, size, low, high) for edge in layer]
    for node in shown.nodes:
        full = str(escape(node.label))
        cut = node.label if len(node.label) <= _LETTERS else node.label[: _LETTERS - 1] + "…"
        pieces.append(
            f'<text x="{node.left * width:.1f}" y="{y(node.place) + 4:.1f}" text-anchor="middle">'
            f"<title>{full}</title>{escape(cut)}</text>"
        )
    count = len(names)
    return Picture(
        f"The network, data flowing upwards; {count} edge{'s' * (count != 1)} to choose from.",
        "Data flow upwards. An edge is as opaque as it matters; where it is a formula it is orange "
        "and bears its name. Choose one by hovering, by a click, or by the Tab key.",
        svg=f'viewBox="0 0 {width:.0f} {height:.0f}">{"".join(pieces)}',
        width=round(width),
    )


def _edge(edge: DrawnEdge, title: str, width: float, size: float, low: float, high: float) -> str:
    """One edge: wires, panel, curve and name, as a link to its part."""
    middle, start, end = (v * width for v in (edge.middle, edge.start.left, edge.end.left))
    centre = (low + high) / 2
    tall = min(64.0, size)
    bottom, top = centre + tall / 2, centre - tall / 2
    wire = (
        f"M{start:.1f} {low - 12:.1f}L{middle:.1f} {bottom:.1f}"
        f"M{middle:.1f} {top:.1f}L{end:.1f} {high + 12:.1f}"
    )
    left = middle - size / 2
    # at least a third, or what does nothing could not be found
    opacity = max(0.3, edge.opacity())
    name = edge.function or ""
    label = (
        f'<text class="label" x="{left + size - 4:.1f}" y="{bottom - 4:.1f}" text-anchor="end">'
        f"{escape(name)}</text>"
    )
    return (
        f'<a class="part {_kind(edge)}" href="#{_key(edge)}" aria-label="{escape(title)}">'
        f'<path class="near" d="{wire}"/>'
        f'<path class="wire" d="{wire}" opacity="{opacity:.2f}"/>'
        f'<rect class="panel" x="{left:.1f}" y="{top:.1f}" width="{size:.1f}" height="{tall:.1f}" '
        'rx="4"/>'
        f'<path class="curve" d="{_curve(edge, left, top, size, tall)}" opacity="{opacity:.2f}"/>'
        f"{label if name else ''}</a>"
    )


def _curve(edge: DrawnEdge, left: float, top: float, wide: float, tall: float) -> str:
    chosen = np.linspace(0, len(edge.read) - 1, min(_POINTS, len(edge.read))).round().astype(int)
    xs = _spread(edge.read[chosen]) * (wide - 12) + left + 6
    ys = (1 - _spread(edge.given[chosen])) * (tall - 12) + top + 6
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))


def _spread(values: np.ndarray) -> np.ndarray:
    """From 0 to 1; what is constant lies in the middle."""
    low, high = values.min(), values.max()
    if not high > low:
        return np.full(len(values), 0.5)
    return (values - low) / (high - low)


def _part(edge: DrawnEdge, title: str) -> Part:
    with new_figure(3.6, 2.5) as figure:
        axes = figure.subplots()
        axes.plot(edge.read, edge.given, color=SERIES[0])
        dots = np.linspace(0, len(edge.read) - 1, min(40, len(edge.read))).round().astype(int)
        axes.plot(edge.read[dots], edge.given[dots], ".", color=SERIES[0], markersize=4)
        if edge.suggestion is not None:
            axes.plot(edge.read, edge.suggestion.given, "--", color=SERIES[1])
        axes.set_xlabel("t, what the edge reads")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
    entries: list[tuple[str, str | float | None]] = [("score", float(f"{edge.score:.4g}"))]
    caption = "The edge's function, with dots where data are (quantiles)."
    if edge.formula is not None:
        entries.append(("formula", edge.formula))
    if edge.suggestion is not None:
        entries.append(("suggested function", edge.suggestion.formula))
        entries.append(("its R²", f"{edge.suggestion.r2:.8f}"))
        caption += " Dashed: the function suggested for it."
    entries.append(("reads", f"{edge.read.min():.4g} … {edge.read.max():.4g}"))
    alt = f"The function of the edge {title}."
    return Part(_key(edge), title, picture(figure, alt=alt, caption=caption), Facts(tuple(entries)))


def _row(edge: DrawnEdge, title: str) -> tuple[Cell | str | float | None, ...]:
    function, formula = edge.function, edge.formula
    if edge.suggestion is not None:
        function = f"({edge.suggestion.function}, {edge.suggestion.r2:.4f})"
    return Cell(title, href=f"#{_key(edge)}"), edge.score, function, formula


def _title(shown: Diagram, edge: DrawnEdge) -> str:
    return f"{_named(shown, edge.start)} to {_named(shown, edge.end)}"


def _named(shown: Diagram, node: DrawnNode) -> str:
    if node.place == 0:
        return node.label
    row = [other for other in shown.nodes if other.place == node.place]
    if node.place == len(shown.layers):
        return "the output" if len(row) == 1 else f"output {row.index(node) + 1}"
    kind = "sum" if node.label == "+" else "product"
    return f"{kind} {row.index(node) + 1} of layer {node.place}"


def _key(edge: DrawnEdge) -> str:
    return "edge-" + "-".join(map(str, edge.edge))


def _kind(edge: DrawnEdge) -> str:
    if edge.function is None:
        return "numeric"
    return "mixed" if edge.numeric else "symbolic"
