"""The figures of a run on a table. Names of columns and classes are not drawn: captions carry them.

Axes: n rows, p points, k classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.ticker import MaxNLocator

from allmlp.report.charts import Curves, last_value, thin
from allmlp.report.figures import new_figure, picture
from allmlp.report.page import Picture, format_value
from allmlp.report.palette import LIGHT, SERIES
from allmlp.report.table_record import Values

__all__ = ["draw_answers", "draw_dependence", "draw_residuals", "draw_validation"]

# of a cloud: more hide each other, and would make the page large
_DOTS = 1000


def draw_validation(run: Curves, metric: str, best_epoch: int | None) -> Picture:
    """A metric of the validation part over the epochs.

    Args:
        run: whose records hold `val/METRIC`.
        metric: its name.
        best_epoch: whose weights were kept.
    """
    epochs, values = thin(*run.series(f"val/{metric}"))
    with new_figure() as figure:
        axis = figure.subplots()
        axis.plot(
            epochs, values, "o-" if len(values) < 30 else "-", color=SERIES[1], markersize=2.5
        )
        if best_epoch is not None:
            axis.axvline(best_epoch, color=LIGHT["muted"], linewidth=1, dashes=(3, 3))
        axis.set(xlabel="epoch", title=f"{metric} on val")
    kept = f" The dashed line is epoch {best_epoch}, which was kept." if best_epoch else ""
    last = last_value(run, f"val/{metric}")
    return picture(
        figure,
        alt=f"{metric} on val over the epochs, at the end {last}.{kept}",
        caption=f"At the end {last}.{kept}",
    )


def draw_answers(values: Values) -> Picture:
    """Predictions against the truth."""
    truth, predicted = _some(values)
    ends = [float(min(truth.min(), predicted.min())), float(max(truth.max(), predicted.max()))]
    with new_figure(4.4, 3.6) as figure:
        axis = figure.subplots()
        axis.plot(ends, ends, color=LIGHT["muted"], linewidth=1, dashes=(3, 3))
        _dots(axis, truth, predicted)
        axis.set(xlabel="truth", title="predicted")
    return picture(
        figure,
        alt=f"Predictions against true values of {len(truth)} rows, {_count(values)}; right ones "
        "lie on the diagonal.",
        caption=f"Each dot is a row, {_count(values)}; right answers lie on the dashed line.",
    )


def draw_residuals(values: Values) -> Picture:
    """What the predictions miss, against them."""
    truth, predicted = _some(values)
    with new_figure(4.4, 3.6) as figure:
        axis = figure.subplots()
        axis.axhline(0, color=LIGHT["muted"], linewidth=1, dashes=(3, 3))
        _dots(axis, predicted, truth - predicted)
        axis.set(xlabel="predicted", title="truth minus predicted")
    return picture(
        figure,
        alt=f"Residuals against predictions of {len(truth)} rows; without a pattern they would lie "
        "evenly around zero.",
        caption="Residuals. A bend means that something is not learned yet, a funnel that errors "
        "grow with the prediction.",
    )


def draw_dependence(
    values: Sequence[float],
    predictions: Float[np.ndarray, "p k"],
    *,
    label: str,
    column: str,
    lines: Sequence[str],
) -> Picture:
    """The mean prediction over the values of a numeric column.

    Args:
        values: (p,) of the column.
        predictions: of each line.
        label: what is predicted, without names that users chose.
        column: its name, for the caption.
        lines: names of the lines, for the caption; as many as there are colours at most.
    """
    several = len(lines) > 1
    with new_figure() as figure:
        axis = figure.subplots()
        for i in range(len(lines)):
            axis.plot(
                values,
                predictions[:, i],
                "o-",
                color=SERIES[i],
                markersize=2.5,
                label=f"{i + 1}",
            )
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.set(xlabel="value of the column", title=label)
        if several:
            figure.legend(loc="outside lower center", ncols=len(lines))
    named = ", ".join(f"{i + 1} {name}" for i, name in enumerate(lines)) if several else lines[0]
    low, high = predictions.min(), predictions.max()
    return picture(
        figure,
        alt=f"Mean prediction over the values of {column}, between {format_value(float(low))} and "
        f"{format_value(float(high))}.",
        caption=f"{named} by {column}.",
    )


def _dots(axis: Any, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> None:
    axis.plot(x, y, "o", color=SERIES[0], markersize=3, alpha=0.45, markeredgewidth=0)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.grid(True, axis="both")


def _some(values: Values) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    rows = np.random.default_rng(0).permutation(len(values.truth))[:_DOTS]
    return values.truth[rows], values.predicted[rows]


def _count(values: Values) -> str:
    n = len(values.truth)
    return f"{_DOTS:,} of {n:,} at random" if n > _DOTS else "all of the test part"
