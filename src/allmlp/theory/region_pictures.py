"""Pictures of regions and of signals at initialisation, drawn from the results themselves.

Every function returns a matplotlib `Figure`; `allmlp.theory.pictures.save` writes it.
"""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from allmlp.errors import AllmlpError
from allmlp.theory.decision_boundary import decision_boundary
from allmlp.theory.expected_regions import expected_regions
from allmlp.theory.init_check import InitCheck
from allmlp.theory.line_regions import LineRegions
from allmlp.theory.mean_field import MeanField, edge_of_chaos
from allmlp.theory.plane_regions import PlaneRegions
from allmlp.theory.region_bounds import montufar_lower, serra_upper
from allmlp.theory.regions import Regions, count_regions
from allmlp.theory.relu_net import random_relu_net

__all__ = [
    "draw_counts",
    "draw_history",
    "draw_init",
    "draw_line",
    "draw_regions",
]

_INK, _ACCENT, _SECOND, _PALE, _WARM = (
    "#222222",
    "#c0392b",
    "#2471a3",
    "#95a5a6",
    "#e67e22",
)


def draw_regions(
    regions: PlaneRegions,
    *,
    points: Float[np.ndarray, "n 2"] | None = None,
    labels: Int[np.ndarray, " n"] | None = None,
) -> Figure:
    """Regions shaded by how steep the network is, its decision boundary, and points if given.

    Args:
        regions: of a plane.
        points: in slice coordinates.
        labels: colours of the points.
    """
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    axis = figure.subplots()
    shades = _fill(axis, regions, points, labels)
    figure.colorbar(shades, ax=axis, label="slope", shrink=0.8, format="%.2g")
    if shades.colorbar is not None:
        shades.colorbar.ax.yaxis.set_minor_formatter("{x:.2g}")
    axis.set_title(
        f"{regions.count:,} activation regions, {regions.linear_count:,} linear", fontsize=10
    )
    return figure


def draw_history(
    history: Sequence[tuple[int, Regions]],
    *,
    points: Float[np.ndarray, "n 2"] | None = None,
    labels: Int[np.ndarray, " n"] | None = None,
) -> Figure:
    """Small multiples: the regions of a plane after given numbers of steps.

    Raises:
        AllmlpError: an empty history.
    """
    if not history:
        raise AllmlpError("a history has at least one count of regions, got none; train a while")
    columns = min(3, len(history))
    rows = -(-len(history) // columns)
    tall = 1.0
    if isinstance(first := history[0][1], PlaneRegions):
        (left, right), (low, high) = first.box
        tall = (high - low) / (right - left)
    figure = Figure(figsize=(2.7 * columns, (2.6 * tall + 0.3) * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (number, regions) in zip(panels, history, strict=False):
        if isinstance(regions, PlaneRegions):
            _fill(axis, regions, points, labels)
        axis.set_title(f"step {number:,}: {regions.count:,}", fontsize=9)
    for axis in panels:
        axis.set_xticks([])
        axis.set_yticks([])
    for axis in panels[len(history) :]:
        axis.set_axis_off()
    return figure


def _fill(
    axis: Axes,
    regions: PlaneRegions,
    points: Float[np.ndarray, "n 2"] | None,
    labels: Int[np.ndarray, " n"] | None,
) -> PolyCollection:
    """Draws regions on an axis."""
    slopes = np.maximum(regions.gradient_norms, 1e-12)
    # the flattest percent would take up the scale
    low, high = np.quantile(slopes, 0.01), slopes.max()
    crowded = regions.count > 20_000  # lines would cover everything
    shades = PolyCollection(
        regions.polygons[:],
        array=slopes,
        norm=LogNorm(max(low, high / 1e4), high) if high > low * 1.01 else None,
        cmap="Greys",
        alpha=0.9,
        edgecolors=_PALE if not crowded else "face",
        linewidths=min(0.3, 10 / regions.count**0.5 / 2),
        rasterized=True,  # thousands of polygons: pixels in an SVG as well
    )
    axis.add_collection(shades)
    boundary = decision_boundary(regions)
    axis.add_collection(LineCollection(list(boundary.segments), colors=_ACCENT, linewidths=1.2))
    (left, right), (low_y, high_y) = regions.box
    if points is not None:
        inside = (points[:, 0] >= left) & (points[:, 0] <= right)
        inside &= (points[:, 1] >= low_y) & (points[:, 1] <= high_y)
        x, y = points[inside].T
        kind = np.zeros(len(x), dtype=int) if labels is None else labels[inside] % 2
        colors = [(_SECOND, _WARM)[i] for i in kind]
        axis.scatter(x, y, c=colors, s=7, linewidths=0.3, edgecolors="white", zorder=3)
    axis.set_xlim(left, right)
    axis.set_ylim(low_y, high_y)
    axis.set_aspect("equal")
    return shades


def draw_line(regions: LineRegions) -> Figure:
    """The outputs along a segment, with every breakpoint marked."""
    figure = Figure(figsize=(6.0, 3.0), layout="constrained")
    axis = figure.subplots()
    (low, high) = regions.box[0]
    knots = np.array([low, *regions.breakpoints, high])
    values = regions.net(regions.slice(knots[:, None]))
    for column in values.T[:10]:
        axis.plot(knots, column, color=_SECOND, linewidth=1)
    axis.plot(regions.breakpoints, np.full(regions.count - 1, values.min()), "|", color=_ACCENT)
    axis.set_xlabel("position on the line (red: breakpoints)")
    axis.set_ylabel("output")
    axis.set_title(f"{regions.count:,} regions", fontsize=10)
    return figure


def draw_counts(*, nets: int = 5) -> Figure:
    """Regions of random networks in the plane between the bounds, and W^L for comparison.

    Args:
        nets: random networks for each size.
    """
    figure = Figure(figsize=(8.6, 3.4), layout="constrained")
    panels = figure.subplots(1, 2)
    for axis, depth, widths in zip(
        panels, (2, 4), ((2, 4, 8, 16, 32, 64), (2, 4, 8, 16, 32)), strict=True
    ):
        sizes = [(width,) * depth for width in widths]
        counts = [
            count_regions(random_relu_net((2, *s), bias_std=0.3, seed=i)).count
            for s in sizes
            for i in range(nets)
        ]
        expected = [expected_regions((2, *s), bias_std=0.3) for s in sizes]
        axis.plot(widths, [serra_upper(2, s) for s in sizes], color=_INK, label="upper bound")
        axis.plot(
            widths, [montufar_lower(2, s) for s in sizes], "--", color=_INK, label="folding attains"
        )
        axis.plot(widths, [n**depth for n in widths], color=_ACCENT, label="$W^L$")
        axis.plot(widths, expected, color=_SECOND, label="expected at initialisation")
        axis.plot(np.repeat(widths, nets), counts, "o", color=_SECOND, markersize=3)
        axis.set_yscale("log")
        _plain_ticks(axis, widths)
        axis.set_xlabel("width W (dots: random networks on [-1, 1]²)")
        axis.set_title(f"L = {depth} hidden layers", fontsize=10)
    panels[0].set_ylabel("activation regions")
    panels[0].legend(frameon=False, fontsize=8)
    return figure


def _plain_ticks(axis: Axes, ticks: Sequence[float]) -> None:
    """A logarithmic axis labelled at these values alone."""
    axis.set_xscale("log")
    axis.set_xticks(list(ticks), [f"{tick:g}" for tick in ticks])
    axis.set_xticks([], minor=True)


def draw_init(
    checks: Sequence[InitCheck], *, curves: Sequence[str] = ("relu", "tanh", "sin")
) -> Figure:
    """Variance by layer, predicted band and measured dots; and where chaos begins.

    Args:
        checks: one line each on the left.
        curves: activations on the right: χ at the fixed point by σ_w² over its critical value.
    """
    figure = Figure(figsize=(8.6, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    colors = (_SECOND, _ACCENT, _INK, _PALE)
    for check, color in zip(checks, cycle(colors), strict=False):
        layers = np.arange(1, len(check.predicted) + 1)
        band = 2 * check.errors
        left.fill_between(
            layers, np.maximum(check.predicted - band, 1e-300), check.predicted + band,
            color=color, alpha=0.2, linewidth=0,
        )  # fmt: skip
        name = f"{check.field.activation}, $\\sigma_w^2$ = {check.field.weight_var:.3g}"
        left.plot(layers, check.predicted, color=color, linewidth=1, label=name)
        left.plot(layers, check.measured, "o", color=color, markersize=3.5)
    left.set_yscale("log")
    left.set_xlabel("layer (dots: measured, band: two standard errors)")
    left.set_ylabel("variance of pre-activations")
    left.legend(frameon=False, fontsize=8)
    ratios = np.geomspace(0.25, 4, 21)
    for name, color in zip(curves, colors, strict=False):
        critical = edge_of_chaos(name).weight_var
        chi = []
        for ratio in ratios:
            field = MeanField(name, ratio * critical)
            q = field.fixed_point(steps=100)
            # where signals run away, the activation is as good as its asymptotes
            chi.append(field.chi(min(max(q, 1e-12), 1e10)))
        right.plot(ratios, chi, color=color, label=name)
    right.axhline(1, color=_PALE, linewidth=0.8)
    right.axvline(1, color=_PALE, linewidth=0.8)
    right.set_ylim(0.2, 4.5)
    _plain_ticks(right, (0.25, 0.5, 1.0, 2.0, 4.0))
    right.set_xlabel("$\\sigma_w^2$ over its value at the edge (no biases)")
    right.set_ylabel("χ: growth of a small change per layer")
    right.legend(frameon=False, fontsize=8)
    return figure
