"""Laws as pictures: the runs, the law with its band, and what is left over.

`draw_law` and `draw_allocation` return a matplotlib `Figure` that belongs to no window; the others
draw one part of it on axes of their caller's.

Axes: n runs.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from allmlp.errors import AllmlpError
from allmlp.scaling.allocation import optimal_allocation
from allmlp.scaling.frontier import pareto_frontier
from allmlp.scaling.law import PowerLawFit

__all__ = [
    "Colors",
    "draw_allocation",
    "draw_budgets",
    "draw_division",
    "draw_law",
    "draw_residuals",
    "plain_ticks",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Colors:
    """By default of Okabe and Ito, told apart by everybody."""

    runs: str = "#0072b2"
    law: str = "#d55e00"
    frontier: str = "#009e73"
    ink: str = "#222222"
    shade: str = "#ebebeb"


_COLORS = Colors()


def draw_law(law: PowerLawFit, *, labels: tuple[str, ...] = ("x",), flops: float = 6.0) -> Figure:
    """Runs and law, the reducible part L - E, and the residuals.

    Args:
        law: of one variable, or of (N, D), which is drawn over compute.
        labels: of the variables, for the axes.
        flops: for each parameter and sample, for the compute of (N, D).
    """
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    if len(law.variables) == 1:
        _draw_curve(left, law)
        left.set_xlabel(labels[0])
        _draw_reducible(middle, law, law.variables[0])
        middle.set_xlabel(labels[0])
    else:
        draw_budgets(left, law, flops=flops)
        _draw_reducible(middle, law, flops * law.variables[0] * law.variables[1])
        for axes in (left, middle):
            axes.set_xlabel(f"compute ({flops:g} N D, FLOPs)")
    left.set_ylabel("loss")
    draw_residuals(right, law)
    return figure


def draw_allocation(law: PowerLawFit, *, flops: float = 6.0) -> Figure:
    """The best size and number of samples over compute, with 95 % bands, and where runs were.

    Args:
        law: of (N, D).
        flops: for each parameter and sample.

    Raises:
        AllmlpError: the law divides no budget.
    """
    if len(law.variables) != 2:
        raise AllmlpError(f"a budget is divided by a law of (N, D), this is {law.form}")
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_division(left, law, "parameters", flops=flops)
    draw_division(right, law, "samples", flops=flops)
    return figure


def draw_residuals(axes: Axes, law: PowerLawFit, *, colors: Colors = _COLORS) -> None:
    """Log of loss over predicted loss, over the latter."""
    predicted = law.predict(*law.variables)
    axes.axhline(0, color=colors.ink, linewidth=0.8)
    axes.plot(predicted, law.residuals, "o", color=colors.runs, markersize=3)
    if np.isfinite(law.delta):
        for bound in (-law.delta, law.delta):
            axes.axhline(bound, color=colors.law, linewidth=0.8, linestyle=":")
    axes.set_xlabel("predicted loss")
    axes.set_ylabel("log (loss / predicted)")
    axes.set_title("residuals; dotted: Huber's delta" if np.isfinite(law.delta) else "residuals")


def draw_division(
    axes: Axes, law: PowerLawFit, name: str, *, flops: float = 6.0, colors: Colors = _COLORS
) -> None:
    """The best `parameters` or `samples` over compute, and those of the runs.

    Raises:
        AllmlpError: the law divides no budget.
    """
    compute = flops * law.variables[0] * law.variables[1]
    budgets = np.geomspace(compute.min(), 10 * compute.max(), 40)
    best = [optimal_allocation(law, float(c), flops_per=flops) for c in budgets]
    symbol, own = {"parameters": ("N", law.variables[0]), "samples": ("D", law.variables[1])}[name]
    axes.plot(compute, own, "o", color=colors.runs, markersize=3, label="runs")
    axes.plot(budgets, [getattr(b, name) for b in best], color=colors.law, label="best division")
    if best[0].intervals:
        bands = np.array([b.intervals[name] for b in best])
        # a resample without a best division has a band without an end: it ends with the picture
        low, high = own.min() / 10, own.max() * 10
        axes.fill_between(
            budgets, *np.clip(bands.T, low, high), color=colors.law, alpha=0.2, linewidth=0
        )
    axes.axvspan(compute.max(), budgets[-1], color=colors.shade, zorder=0, label="extrapolated")
    axes.set(xscale="log", yscale="log", xlabel="compute (FLOPs)", ylabel=f"{name} {symbol}")
    axes.legend(frameon=False, fontsize=8)


def _draw_curve(axes: Axes, law: PowerLawFit) -> None:
    x = law.variables[0]
    wide = np.geomspace(x.min(), x.max() * 3, 200)
    axes.plot(x, law.loss, "o", color=_COLORS.runs, markersize=4, label="runs")
    axes.plot(wide, law.predict(wide), color=_COLORS.law, label="law")
    if len(law.samples):
        axes.fill_between(
            wide,
            *law.predict_interval(wide),
            color=_COLORS.law,
            alpha=0.2,
            linewidth=0,
            label="95 %",
        )
    axes.set(xscale="log", yscale="log", title="runs and law")
    plain_ticks(axes.yaxis)
    axes.legend(frameon=False, fontsize=8)


def draw_budgets(
    axes: Axes, law: PowerLawFit, *, flops: float = 6.0, colors: Colors = _COLORS
) -> None:
    """The runs of a law of (N, D) over compute, their frontier, and what the law promises."""
    compute = flops * law.variables[0] * law.variables[1]
    front = pareto_frontier(compute, law.loss)
    axes.plot(compute, law.loss, "o", color=colors.runs, markersize=3, label="runs")
    axes.plot(compute[front], law.loss[front], color=colors.frontier, label="frontier of the runs")
    budgets = np.geomspace(compute.min(), compute.max() * 3, 60)
    try:
        best = [optimal_allocation(law, float(c), flops_per=flops) for c in budgets]
    except AllmlpError:  # a law without a best division is still worth seeing beside its runs
        best = []
    if best:
        axes.plot(budgets, [b.loss for b in best], color=colors.law, label="law, best division")
        if best[0].intervals:
            bands = np.array([b.intervals["loss"] for b in best])
            axes.fill_between(budgets, *bands.T, color=colors.law, alpha=0.2, linewidth=0)
    axes.set(xscale="log", yscale="log", title="runs and law")
    plain_ticks(axes.yaxis)
    axes.legend(frameon=False, fontsize=8)


def _draw_reducible(axes: Axes, law: PowerLawFit, x: Array) -> None:
    floor = law.params.get("E", 0.0)
    above = law.loss > floor
    axes.plot(x[above], law.loss[above] - floor, "o", color=_COLORS.runs, markersize=3)
    if len(law.variables) == 1:
        wide = np.geomspace(x.min(), x.max() * 3, 200)
        axes.plot(wide, law.predict(wide) - floor, color=_COLORS.law)
    axes.set(xscale="log", yscale="log", ylabel="loss - E", title=f"above E = {floor:.4g}")
    plain_ticks(axes.yaxis)


def plain_ticks(axis: Axis) -> None:
    """Losses as people write them: 0.2, 0.5, 1, not 2 x 10^-1."""
    low, high = axis.get_view_interval()
    # of a narrow range, powers of ten and their parts would mark nothing
    locator = LogLocator(subs=(1, 2, 5)) if high > 5 * low else MaxNLocator(6)
    axis.set_major_locator(locator)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
