"""Laws as pictures: the runs, the law with its band, and what is left over.

Every function returns a matplotlib `Figure` that belongs to no window.

Axes: n runs.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from allmlp.errors import AllmlpError
from allmlp.scaling.allocation import optimal_allocation
from allmlp.scaling.frontier import pareto_frontier
from allmlp.scaling.law import PowerLawFit

__all__ = ["draw_allocation", "draw_law"]

Array = NDArray[np.float64]

# of Okabe and Ito, told apart by everybody
_RUNS, _LAW, _FRONTIER, _INK = "#0072b2", "#d55e00", "#009e73", "#222222"


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
        compute = flops * law.variables[0] * law.variables[1]
        _draw_budgets(left, law, compute, flops)
        _draw_reducible(middle, law, compute)
        for axes in (left, middle):
            axes.set_xlabel(f"compute ({flops:g} N D, FLOPs)")
    left.set_ylabel("loss")
    predicted = law.predict(*law.variables)
    right.axhline(0, color=_INK, linewidth=0.8)
    right.plot(predicted, law.residuals, "o", color=_RUNS, markersize=3)
    if np.isfinite(law.delta):
        for bound in (-law.delta, law.delta):
            right.axhline(bound, color=_LAW, linewidth=0.8, linestyle=":")
    right.set_xlabel("predicted loss")
    right.set_ylabel("log (loss / predicted)")
    right.set_title("residuals; dotted: Huber's delta" if np.isfinite(law.delta) else "residuals")
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
    compute = flops * law.variables[0] * law.variables[1]
    budgets = np.geomspace(compute.min(), 10 * compute.max(), 40)
    best = [optimal_allocation(law, float(c), flops_per=flops) for c in budgets]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    for axes, name, symbol, own in zip(
        figure.subplots(1, 2), ("parameters", "samples"), ("N", "D"), law.variables, strict=True
    ):
        axes.plot(compute, own, "o", color=_RUNS, markersize=3, label="runs")
        axes.plot(budgets, [getattr(b, name) for b in best], color=_LAW, label="best division")
        if best[0].intervals:
            bands = np.array([b.intervals[name] for b in best])
            axes.fill_between(budgets, *bands.T, color=_LAW, alpha=0.2, linewidth=0)
        axes.axvspan(compute.max(), budgets[-1], color="0.92", zorder=0, label="extrapolated")
        axes.set(xscale="log", yscale="log", xlabel="compute (FLOPs)", ylabel=f"{name} {symbol}")
        axes.legend(frameon=False, fontsize=8)
    return figure


def _draw_curve(axes: Axes, law: PowerLawFit) -> None:
    x = law.variables[0]
    wide = np.geomspace(x.min(), x.max() * 3, 200)
    axes.plot(x, law.loss, "o", color=_RUNS, markersize=4, label="runs")
    axes.plot(wide, law.predict(wide), color=_LAW, label="law")
    if len(law.samples):
        axes.fill_between(
            wide, *law.predict_interval(wide), color=_LAW, alpha=0.2, linewidth=0, label="95 %"
        )
    axes.set(xscale="log", yscale="log", title="runs and law")
    _plain(axes)
    axes.legend(frameon=False, fontsize=8)


def _draw_budgets(axes: Axes, law: PowerLawFit, compute: Array, flops: float) -> None:
    front = pareto_frontier(compute, law.loss)
    axes.plot(compute, law.loss, "o", color=_RUNS, markersize=3, label="runs")
    axes.plot(compute[front], law.loss[front], color=_FRONTIER, label="frontier of the runs")
    budgets = np.geomspace(compute.min(), compute.max() * 3, 60)
    try:
        best = [optimal_allocation(law, float(c), flops_per=flops) for c in budgets]
    except AllmlpError:  # a law without a best division is still worth seeing beside its runs
        best = []
    if best:
        axes.plot(budgets, [b.loss for b in best], color=_LAW, label="law, best division")
        if best[0].intervals:
            bands = np.array([b.intervals["loss"] for b in best])
            axes.fill_between(budgets, *bands.T, color=_LAW, alpha=0.2, linewidth=0)
    axes.set(xscale="log", yscale="log", title="runs and law")
    _plain(axes)
    axes.legend(frameon=False, fontsize=8)


def _draw_reducible(axes: Axes, law: PowerLawFit, x: Array) -> None:
    floor = law.params.get("E", 0.0)
    above = law.loss > floor
    axes.plot(x[above], law.loss[above] - floor, "o", color=_RUNS, markersize=3)
    if len(law.variables) == 1:
        wide = np.geomspace(x.min(), x.max() * 3, 200)
        axes.plot(wide, law.predict(wide) - floor, color=_LAW)
    axes.set(xscale="log", yscale="log", ylabel="loss - E", title=f"above E = {floor:.4g}")
    _plain(axes)


def _plain(axes: Axes) -> None:
    """Losses as people write them: 2.4, not 2.4 x 10^0."""
    for of_ticks in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        of_ticks(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.tick_params(axis="y", which="both", labelsize=8)
