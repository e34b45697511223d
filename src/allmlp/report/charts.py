"""The figures of a run. Names that users chose are not drawn: tables and captions carry them.

Axes: n images, k classes.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from allmlp.report.figures import new_figure, picture
from allmlp.report.page import Picture
from allmlp.report.palette import LIGHT, SERIES
from allmlp.runs.scores import Bin
from allmlp.training import FlowRecord

__all__ = [
    "Curves",
    "draw_accuracy",
    "draw_confusion",
    "draw_flow",
    "draw_loss",
    "draw_lr",
    "draw_reliability",
    "draw_scatter",
    "draw_sparkline",
    "last_value",
    "thin",
]

# of one line: more cannot be told apart on a page, and would make it large
_POINTS = 300


@runtime_checkable
class Curves(Protocol):
    """A run whose metrics are drawn over its epochs."""

    def series(self, name: str) -> tuple[list[float], list[float]]:
        """Epochs (as fractions) and values of a metric."""
        ...


def draw_loss(run: Curves) -> Picture:
    """Loss on train and val over the epochs."""
    last = {part: last_value(run, f"{part}/loss") for part in ("train", "val")}
    with new_figure() as figure:
        _draw_parts(figure, run, "loss")
    return picture(
        figure,
        alt=f"Loss over the epochs; at the end {last['train']} on train and {last['val']} on val.",
        caption=f"Loss. At the end {last['train']} on train, {last['val']} on val.",
    )


def draw_accuracy(run: Curves) -> Picture:
    """Accuracy on train and val over the epochs."""
    last = {part: last_value(run, f"{part}/accuracy") for part in ("train", "val")}
    with new_figure() as figure:
        _draw_parts(figure, run, "accuracy")
    return picture(
        figure,
        alt=f"Accuracy over the epochs; at the end {last['train']} on train, {last['val']} on val.",
        caption="Accuracy. On train, images are augmented and weights are still changing.",
    )


def draw_lr(run: Curves) -> Picture:
    """The learning rate over the epochs."""
    epochs, rates = thin(*run.series("lr"))
    with new_figure() as figure:
        axis = figure.subplots()
        axis.plot(epochs, rates, color=SERIES[2])
        axis.set(xlabel="epoch", title="learning rate")
        axis.set_ylim(bottom=0)
    peak = f"{max(rates, default=0):.3g}"
    return picture(
        figure, alt=f"Learning rate over the epochs, up to {peak}.", caption=f"Peak {peak}."
    )


def draw_reliability(bins: Sequence[Bin], error: float, examples: str = "images") -> Picture:
    """Accuracy against confidence, and how many images (or other examples) have which."""
    full = [b for b in bins if b.count]
    total = sum(b.count for b in full)
    with new_figure(4.4, 3.6) as figure:
        top, bottom = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1], "hspace": 0.06}
        )
        width = bins[0].high - bins[0].low
        top.plot([0, 1], [0, 1], color=LIGHT["muted"], linewidth=1, dashes=(3, 3))
        top.bar(
            [(b.low + b.high) / 2 for b in full],
            [b.accuracy for b in full],
            width=0.86 * width,
            color=SERIES[0],
        )
        top.plot(
            [b.confidence for b in full],
            [b.accuracy for b in full],
            "o",
            color=SERIES[1],
            markersize=3.5,
        )
        top.set(ylim=(0, 1.03), xlim=(0, 1), title="accuracy at each confidence")
        bottom.bar(
            [(b.low + b.high) / 2 for b in full],
            [b.count / total for b in full],
            width=0.86 * width,
            color=LIGHT["muted"],
        )
        bottom.set(xlabel="confidence", title=f"share of the {examples}")
    return picture(
        figure,
        alt=f"Reliability diagram: accuracy against confidence in {len(bins)} bins, of which "
        f"{len(full)} hold {examples}. Expected calibration error {error:.3f}.",
        caption="Bars on the dashed line mean that a confidence of 80 % is right in 80 % of cases. "
        "Dots stand at the mean confidence of their bin; "
        f"bins with few {examples} say little.",
    )


def draw_confusion(counts: Int[np.ndarray, "k k"], examples: str = "images") -> Picture:
    """The confusion matrix of many classes, as shares of each row."""
    k = len(counts)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    # the depth of one colour: the paper shows through, light or dark
    pixels = np.empty((k, k, 4))
    pixels[..., :3] = to_rgb(SERIES[0])
    # a square root, else single mistakes among many right answers could not be seen
    pixels[..., 3] = np.sqrt(shares)
    with new_figure(5.2, 4.8) as figure:
        axis = figure.subplots()
        axis.imshow(pixels, interpolation="nearest" if k <= 400 else "antialiased")
        axis.grid(False)
        axis.set(xlabel="number of the class it was taken for", ylabel="number of its class")
    hits = counts.trace() / max(1, counts.sum())
    return picture(
        figure,
        alt=f"Confusion matrix of {k} classes; {hits:.1%} of the {examples} lie on the diagonal.",
        caption="Rows are true classes, columns what they were taken for, in the order of the "
        "table of classes; colour is the root of the share of the row.",
    )


def draw_flow(records: Sequence[FlowRecord]) -> tuple[Picture, ...]:
    """Gradients by layer at the start, the middle and the end; updates by layer over time."""
    backward = [r for r in records if r.gradient is not None and r.nonfinite is None]
    if not backward:
        return ()
    # a head of zeros hands nothing back at the first step
    reached = [r for r in backward if all(layer.gradient for layer in r.layers)] or backward
    moments = list(dict.fromkeys([0, len(reached) // 2, len(reached) - 1]))
    with new_figure() as figure:
        axis = figure.subplots()
        for index, color in zip(moments, SERIES, strict=False):
            record = reached[index]
            norms = [layer.gradient or np.nan for layer in record.layers]
            axis.plot(range(1, len(norms) + 1), norms, "o-", color=color, markersize=2.5,
                      label=f"step {record.step}")  # fmt: skip
        axis.set_yscale("log")
        axis.set(xlabel="layer, in order of execution", title="gradient at the output")
        figure.legend(loc="outside lower center", ncols=len(moments))
    by_layer = picture(
        figure,
        alt=f"Norm of the gradient at each of {len(backward[0].layers)} layers, at "
        f"{len(moments)} moments.",
        caption="A line that falls steeply to the left means vanishing, one that rises exploding "
        "gradients.",
    )
    with new_figure() as figure:
        axis = figure.subplots()
        steps = [r.step for r in backward]
        quantiles = np.array([_quantiles(r) for r in backward])
        axis.fill_between(steps, quantiles[:, 0], quantiles[:, 2], color=LIGHT["line"])
        axis.plot(steps, quantiles[:, 1], color=SERIES[0])
        if np.isfinite(quantiles[:, 1]).any():
            axis.set_yscale("log")
        axis.set(xlabel="step", title="update over weight")
    updates = picture(
        figure,
        alt="Size of an update over that of its weight, over the steps: the median parameter, "
        "and the range from the tenth to the ninetieth percentile.",
        caption="Median over the parameters, and the range that holds eight of ten.",
    )
    return by_layer, updates


def draw_scatter(
    points: Sequence[tuple[float, float]], numbers: Sequence[int], *, label: str, log: bool
) -> Picture:
    """Accuracy against a cost, one numbered point for each run.

    Args:
        points: cost and accuracy in percent.
        numbers: what to write beside each.
        label: of the cost.
        log: spread the cost by ratios.
    """
    with new_figure() as figure:
        axis = figure.subplots()
        axis.plot(*zip(*points, strict=True), "o", color=SERIES[0], markersize=4.5)
        for (x, y), number in zip(points, numbers, strict=True):
            axis.annotate(f"{number}", (x, y), (4, 4), textcoords="offset points")
        if log:
            axis.set_xscale("log")
            # within one decade a tick at its end would be the only one
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_minor_formatter(NullFormatter())
        else:
            axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.xaxis.set_major_formatter(EngFormatter(sep=" "))
        axis.margins(0.12)
        axis.set(xlabel=label, title="accuracy, %")
    best = max(range(len(points)), key=lambda i: points[i][1])
    return picture(
        figure,
        alt=f"Accuracy against {label} of {len(points)} runs; run {numbers[best]} is the most "
        f"accurate with {points[best][1]:.1f} %.",
    )


def draw_sparkline(run: Curves) -> Picture:
    """Validation accuracy over the epochs, as small as a word."""
    epochs, values = thin(*run.series("val/accuracy"))
    with new_figure(1.7, 0.5) as figure:
        axis = figure.subplots()
        axis.plot(epochs, values, color=SERIES[0], linewidth=1.6)
        axis.set_ylim(0, 1.02)
        axis.set_axis_off()
    last = f"{values[-1]:.1%}" if values else "nothing yet"
    return picture(figure, alt=f"Validation accuracy over the epochs, at the end {last}.")


def _draw_parts(figure: Figure, run: Curves, metric: str) -> None:
    axis: Any = figure.subplots()
    epochs, values = thin(*run.series(f"train/{metric}"))
    axis.plot(epochs, values, color=SERIES[0], linewidth=1, label="train")
    epochs, values = thin(*run.series(f"val/{metric}"))
    few = "o-" if len(values) < 30 else "-"
    axis.plot(epochs, values, few, color=SERIES[1], markersize=2.5, label="val")
    axis.set(xlabel="epoch", title=metric)
    axis.legend()


def thin(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most `_POINTS` points, each the mean of its neighbours."""
    size = -(-len(x) // _POINTS) or 1
    parts = [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]
    return [float(np.mean(a)) for a, _ in parts], [float(np.mean(b)) for _, b in parts]


def last_value(run: Curves, name: str) -> str:
    """Of a metric, for people."""
    _, values = run.series(name)
    return f"{values[-1]:.3g}" if values else "nothing yet"


def _quantiles(record: FlowRecord) -> tuple[float, float, float]:
    ratios = [p.update_ratio for p in record.parameters if p.update_ratio]
    if not ratios:
        return (np.nan, np.nan, np.nan)
    low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
    return float(low), float(middle), float(high)
