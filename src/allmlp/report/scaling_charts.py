"""The figures of a sweep: its runs over compute, and the laws of its families.

Axes: n runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from allmlp.report.figures import new_figure, picture
from allmlp.report.page import Picture
from allmlp.report.palette import LIGHT, SERIES
from allmlp.scaling import PowerLawFit, pareto_frontier
from allmlp.scaling.pictures import (
    Colors,
    draw_budgets,
    draw_division,
    draw_residuals,
    plain_ticks,
)

__all__ = ["draw_families", "draw_family_law"]

Row = Mapping[str, Any]

_COLORS = Colors(SERIES[0], SERIES[1], SERIES[2], LIGHT["muted"], LIGHT["line"])
_MARKERS = "os^Dv"


def draw_families(rows: Sequence[Row], target: str) -> Picture:
    """Every run over its compute, by family, with the frontier of each.

    Args:
        rows: of a sweep.
        target: `loss` or `error`.
    """
    families = sorted({row["family"] for row in rows})
    with new_figure(4.4, 3.2) as figure:
        axes = figure.subplots()
        for number, family in enumerate(families):
            color, marker = SERIES[number % len(SERIES)], _MARKERS[number % len(_MARKERS)]
            own = [row for row in rows if row["family"] == family]
            compute = np.array([row["flops"] for row in own], dtype=float)
            values = np.array([row[target] for row in own], dtype=float)
            front = pareto_frontier(compute, values)
            axes.plot(compute, values, marker, color=color, markersize=2.5, alpha=0.55)
            axes.plot(compute[front], values[front], marker + "-", color=color, markersize=2.5,
                      label=family)  # fmt: skip
        axes.set(xscale="log", xlabel="compute of training, FLOPs", title=target)
        # an error of 0 has no logarithm
        if all(row[target] > 0 for row in rows):
            axes.set_yscale("log")
            plain_ticks(axes.yaxis)
        figure.legend(loc="outside lower center", ncols=min(3, len(families)))
    best = min(rows, key=lambda row: row[target])
    return picture(
        figure,
        alt=f"{target.capitalize()} over compute of {len(rows)} runs of {len(families)} families; "
        f"the lowest is {best[target]:.3g}, of {best['key']}.",
        caption="Lines join the runs that no cheaper run of the family equals. As minima over "
        "seeds they lie too low for a fit.",
    )


def draw_family_law(law: PowerLawFit, *, target: str, flops: float) -> tuple[Picture, ...]:
    """Runs and law with its band; residuals; the best size of each budget.

    Args:
        law: of (N, D).
        target: `loss` or `error`.
        flops: for each parameter and sample.
    """
    about = f"k N D, FLOPs; k = {flops:.3g}"
    band = ", with a 95 % band" if len(law.samples) else ""
    pictures = []
    with new_figure(4.4, 3.0) as figure:
        axes = figure.subplots()
        draw_budgets(axes, law, flops=flops, colors=_COLORS)
        axes.set(xlabel=about, title=target)
    spread = float(np.sqrt(np.mean(law.residuals**2)))
    pictures.append(
        picture(
            figure,
            alt=f"{target.capitalize()} of {len(law.loss)} runs over compute, and what the law "
            f"promises under the best division{band}.",
            caption="The line is the law under the best division of each budget between N and D; "
            "runs that are divided otherwise lie above it.",
        )
    )
    with new_figure(4.4, 3.0) as figure:
        axes = figure.subplots()
        draw_residuals(axes, law, colors=_COLORS)
        axes.set(xlabel=f"predicted {target}", ylabel=f"log ({target} / predicted)")
    pictures.append(
        picture(
            figure,
            alt=f"Logarithms of {target} over predicted {target}, root mean square {spread:.2g}.",
            caption="A bend, or a slope, is what the form cannot say.",
        )
    )
    if all(law.params[name] > 0 for name in ("alpha", "beta", "A", "B")):
        with new_figure(4.4, 3.0) as figure:
            draw_division(figure.subplots(), law, "parameters", flops=flops, colors=_COLORS)
        pictures.append(
            picture(
                figure,
                alt=f"The best number of parameters over compute{band}, beside those of the runs.",
                caption="Grey is further than any run went.",
            )
        )
    return tuple(pictures)
