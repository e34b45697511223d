"""The figures of a measurement: accuracy against time, cost against tokens."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.ticker import NullFormatter, StrMethodFormatter

from allmlp.bench import Benchmark, TokenCost
from allmlp.report.charts import draw_scatter
from allmlp.report.figures import new_figure, picture
from allmlp.report.page import Picture
from allmlp.report.palette import SERIES

__all__ = ["draw_accuracy_by_time", "draw_tokens", "plot_tokens"]

BLOCKS = {"mixer": "Mixer", "attention": "ViT (attention)"}
WHAT: dict[str, tuple[str, Callable[[TokenCost], float]]] = {
    "macs": ("GMACs, one block, one image", lambda cost: cost.macs / 1e9),
    "time": ("ms, one block, one image", lambda cost: 1e3 * cost.forward.median),
}


def draw_accuracy_by_time(benchmark: Benchmark) -> Picture | None:
    """Published accuracy of ImageNet-1k alone against the time of one image in a batch.

    None if fewer than two rows have both. Points bear the numbers of their rows.
    """
    shown = [
        (number, row, row.published.top1)
        for number, row in enumerate(benchmark.rows, 1)
        if row.published is not None
        and row.published.data == "ImageNet-1k"
        and row.published.pretraining.startswith("none (ImageNet-1k")
        and row.forward is not None
        and row.precision == "fp32"
        and not row.compiled
    ]
    if len(shown) < 2:
        return None
    points = [
        (1e3 * row.forward.median / row.batch_size, top1)
        for _, row, top1 in shown
        if row.forward is not None
    ]
    drawn = draw_scatter(
        points,
        [number for number, _, _ in shown],
        label=f"ms for one image, in a batch of {shown[0][1].batch_size}",
        log=max(points)[0] > 5 * min(points)[0],
    )
    names = ", ".join(f"{number} {row.model}" for number, row, _ in shown)
    return Picture(
        drawn.alt.replace("run ", "row "),
        f"Published top-1 of ImageNet-1k alone against measured time, fp32: {names}.",
        svg=drawn.svg,
    )


def draw_tokens(costs: Sequence[TokenCost]) -> tuple[Picture, Picture]:
    """Products and time of one block against the number of tokens."""
    pictures = []
    for what, caption in (
        ("macs", "Multiply-accumulates. Mixing is linear in tokens, attention quadratic in the "
                 "end; the blocks differ in nothing else."),
        ("time", "Median time of a forward pass."),
    ):  # fmt: skip
        with new_figure(4.4, 3.0) as figure:
            plot_tokens(figure.subplots(), costs, what)
        label, value = WHAT[what]
        most = max(cost.tokens for cost in costs)
        ends = ", ".join(
            f"{value(cost):.3g} for {BLOCKS[cost.block]}" for cost in costs if cost.tokens == most
        )
        alt = f"{label}, against tokens; at {most:,} tokens {ends}."
        pictures.append(picture(figure, alt=alt, caption=caption))
    return pictures[0], pictures[1]


def plot_tokens(axes: Any, costs: Sequence[TokenCost], what: str) -> None:
    """One panel of it.

    Args:
        axes: matplotlib's.
        costs: of both blocks.
        what: `macs` or `time`.
    """
    label, value = WHAT[what]
    for (block, name), colour, mark in zip(BLOCKS.items(), SERIES, "os", strict=False):
        own = [cost for cost in costs if cost.block == block]
        axes.plot([c.tokens for c in own], [value(c) for c in own], f"{mark}-", color=colour,
                  label=name, markersize=4)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="tokens", title=label)
    counts = sorted({cost.tokens for cost in costs})
    axes.set_xticks(counts, [f"{count:,}" for count in counts], rotation=40)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.legend()
