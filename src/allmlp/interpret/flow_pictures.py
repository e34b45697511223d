"""The gradient flow by depth and over time. Figures belong to no window; write with `savefig`."""

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from allmlp.errors import AllmlpError
from allmlp.training.flow_record import FlowRecord
from allmlp.training.flow_report import DEAD, SATURATED, FlowReport, depth_ratio, weight_ratios

__all__ = ["draw_flow", "draw_flow_history"]

_FINE, _WRONG, _PALE = "#2471a3", "#c0392b", "#95a5a6"
# what kinds of verdict say about which panel
_GRADIENT = {"vanishing", "exploding", "blocked", "nonfinite", "unused"}
_NAMES = 24  # labels that an axis has room for


def draw_flow(report: FlowReport) -> Figure:
    """One measured step, layer by layer from the input on, with its verdicts above.

    Three panels: the gradient with respect to each layer's output, on a logarithmic scale (a cross
    is exactly zero); how far the step moved each layer's weights, beside the usual 1e-3; and the
    dead and saturated shares of each activation, with the thresholds beyond which they are called
    so. Red is what a verdict is about.

    Args:
        report: as `GradFlow.report()` gives it.

    Raises:
        AllmlpError: the step has no layer.
    """
    record = report.record
    if not record.layers:
        raise AllmlpError("a picture of the gradient flow needs a measured layer, got none")
    kinds = {verdict.kind for verdict in report.verdicts}
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    gradient, update, activity = figure.subplots(1, 3)
    names = [f"{x.name} #{x.call + 1}" if x.call else x.name for x in record.layers]

    _log_bars(gradient, [x.gradient for x in record.layers], _WRONG if kinds & _GRADIENT else _FINE)
    _label(gradient, names, "‖∂L/∂(output)‖")
    _log_bars(update, [weight_ratios(record, x.name)[1] for x in record.layers], _FINE)
    update.axhline(1e-3, color=_PALE, linestyle="--", linewidth=1)
    _label(update, names, "‖Δw‖ / ‖w‖")

    places = range(len(record.activations))
    dead = [x.dead for x in record.activations]
    colours = [_WRONG if share > DEAD else _FINE for share in dead]
    activity.bar([p - 0.2 for p in places], dead, 0.4, color=colours, label="dead")
    saturated = [x.saturated or 0.0 for x in record.activations]
    if any(x.saturated is not None for x in record.activations):
        colours = [_WRONG if share > SATURATED else _PALE for share in saturated]
        activity.bar([p + 0.2 for p in places], saturated, 0.4, color=colours, label="saturated")
        activity.axhline(SATURATED, color=_PALE, linestyle=":", linewidth=1)
    activity.axhline(DEAD, color=_FINE, linestyle="--", linewidth=1)
    activity.set_ylim(0, 1)
    _label(activity, [x.name for x in record.activations], "share of units")
    if places:
        activity.legend(fontsize=8, frameon=False)

    facts = "\n".join(f"{verdict.kind}: {verdict.fact}" for verdict in report.verdicts)
    figure.suptitle(f"gradient flow at step {record.step}\n{facts}", fontsize=10)
    return figure


def draw_flow_history(records: Iterable[FlowRecord]) -> Figure:
    """Many measured steps: the global gradient norm, and early over late layers.

    Args:
        records: as `GradFlow.records` or `drain()` give them.

    Raises:
        AllmlpError: there is none.
    """
    steps = list(records)
    if not steps:
        raise AllmlpError("a picture over time needs a measured step, got none")
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    size, ratio = figure.subplots(1, 2)
    _log_line(size, steps, [r.gradient for r in steps], _FINE, "before clipping")
    if any(r.clipped is not None for r in steps):
        _log_line(size, steps, [r.clipped for r in steps], _PALE, "as applied", style="--")
    size.legend(fontsize=8, frameon=False)
    size.set_ylabel("global gradient norm")
    _log_line(ratio, steps, [depth_ratio(r) for r in steps], _FINE, "")
    for bound in (1e-3, 1e3):
        ratio.axhline(bound, color=_WRONG, linestyle="--", linewidth=1)
    ratio.set_ylabel("gradient of early over late layers")
    for axes in (size, ratio):
        axes.set_xlabel("step")
    return figure


def _log_bars(axes: Axes, values: Sequence[float | None], colour: str) -> None:
    axes.set_yscale("log")
    seen = [(place, v) for place, v in enumerate(values) if v and math.isfinite(v)]
    axes.bar([place for place, _ in seen], [value for _, value in seen], color=colour)
    # of one bar or none matplotlib sees no range
    sizes = [value for _, value in seen] or [1e-3]
    axes.set_ylim(min(sizes) / 3, max(sizes) * 3)
    # on a logarithmic axis nothing stands at zero: a mark at the lower edge; at the upper one, what
    # is not finite
    for edge, wrong in ((0.02, lambda v: v == 0), (0.98, lambda v: not math.isfinite(v))):
        places = [place for place, v in enumerate(values) if v is not None and wrong(v)]
        axes.plot(
            places, [edge] * len(places), "x", color=_WRONG, transform=axes.get_xaxis_transform()
        )
    axes.set_xlim(-0.7, len(values) - 0.3)


def _log_line(
    axes: Axes,
    records: Sequence[FlowRecord],
    values: Sequence[float | None],
    colour: str,
    name: str,
    style: str = "-",
) -> None:
    axes.set_yscale("log")
    seen = [(r.step, v) for r, v in zip(records, values, strict=True) if v]
    axes.plot([s for s, _ in seen], [v for _, v in seen], color=colour, linestyle=style, label=name)


def _label(axes: Axes, names: Sequence[str], quantity: str) -> None:
    axes.set_title(quantity, fontsize=10)
    step = -(-len(names) // _NAMES) or 1
    axes.set_xticks(range(0, len(names), step), names[::step], rotation=90, fontsize=7)
