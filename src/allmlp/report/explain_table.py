"""What a model of a table reads, as a page: from what its training kept, nothing is computed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from allmlp.errors import AllmlpError, unknown_name
from allmlp.estimators import TabularClassifier
from allmlp.estimators.table_run import TableRun
from allmlp.report.explain_charts import draw_dependence, draw_ranking
from allmlp.report.page import (
    Block,
    Cell,
    Facts,
    Gallery,
    Page,
    Picture,
    Section,
    Table,
    Text,
    Value,
    format_share,
)

__all__ = ["explain_table"]

_BARS = 20


def explain_table(run: TableRun, cls: str | None = None) -> Page:
    """What shuffling a column costs, and how the prediction follows the columns that matter most.

    Args:
        run: a run on a table.
        cls: the class whose probability is followed; None takes the one that moves most.

    Raises:
        AllmlpError: an unknown class, a class asked of a model of values, or files that are missing
            or damaged.
    """
    ranked = _columns(run, "importance")
    curves = _columns(run, "dependence")
    number, target = None, run.config.target
    if isinstance(run.model, TabularClassifier):
        classes = [str(name) for name in run.model.classes_]
        if cls is not None and cls not in classes:
            raise AllmlpError(unknown_name("class", cls, classes))
        number = _most_moved(curves) if cls is None else classes.index(cls)
        label = f"probability of {classes[number]}"
    elif cls is not None:
        raise AllmlpError(f"{target} is a number and has no classes; leave out --class")
    else:
        label = f"predicted {target}"
    lost = "accuracy" if number is not None else "R²"
    name = run.directory.path.resolve().name
    sections = [_ranking(ranked, lost)]
    if curves:
        sections.append(_dependence(curves, number, label))
    scores = run.scores()
    facts: list[tuple[str, Value]] = [("predicts", target), ("model", run.model.model)]
    if "accuracy" in scores:
        facts.append(("accuracy", format_share(scores["accuracy"])))
    else:
        facts.append(("R²", f"{scores['r2']:.4f}"))
    lead = (
        f"Which columns of {run.config.source} the predictions of {target} rest on, measured on "
        "rows that were not learned from."
    )
    return Page(f"What {name} reads", tuple(sections), lead, Facts(tuple(facts)))


def _columns(run: TableRun, name: str) -> list[dict[str, Any]]:
    path = run.directory.eval / f"{name}.json"
    if not path.is_file():
        raise AllmlpError(f"{path} is missing, which training leaves at its end; train again")
    found = run.directory.read_json(path).get("columns")
    if not isinstance(found, list):
        raise AllmlpError(f"{path} is damaged (no columns); use another run")
    return found


def _most_moved(curves: Sequence[dict[str, Any]]) -> int:
    ranges = [np.ptp(np.array(curve["prediction"]), axis=0) for curve in curves]
    return int(np.sum(ranges, axis=0).argmax()) if ranges else 0


def _ranking(ranked: Sequence[dict[str, Any]], lost: str) -> Section:
    rows = tuple(
        (Cell(number), row["column"], Cell(f"{row['mean']:.4f}", order=row["mean"]),
         Cell(f"{row['std']:.4f}", order=row["std"]))
        for number, row in enumerate(ranked, 1)
    )  # fmt: skip
    shown = ranked[:_BARS]
    bars = draw_ranking(
        [row["mean"] for row in shown], [row["std"] for row in shown], f"loss of {lost}"
    )
    table = Table(
        ("#", "column", f"loss of {lost}", "deviation"),
        rows,
        f"What {lost} loses when the values of a column are shuffled.",
        sortable=True,
    )
    text = (
        "A column whose shuffling costs nothing is not needed, or another column says the same. "
        "Columns that say the same share their importance."
    )
    return Section("Columns", (Text(text), bars, table))


def _dependence(curves: Sequence[dict[str, Any]], number: int | None, label: str) -> Section:
    pictures: list[Picture] = []
    tables: list[Block] = []
    for curve in curves:
        answers = curve["prediction"]
        means = [float(a if number is None else a[number]) for a in answers]
        column, values = curve["column"], curve["values"]
        if values and not isinstance(values[0], str):
            # the name of a class may be anything: figures hold none
            drawn = "prediction" if number is None else "probability"
            caption = f"The {label} by {column}."
            pictures.append(draw_dependence(values, means, label=drawn, caption=caption))
            continue
        rows = tuple(
            (value, Cell(f"{mean:.4f}", order=mean))
            for value, mean in zip(values, means, strict=True)
        )
        tables.append(Table((column, label), rows, f"The {label} by {column}.", sortable=True))
    text = (
        "The mean prediction when one column is set to one value after another in all rows; other "
        "columns stay as they are."
    )
    blocks: list[Block] = [Text(text)]
    if pictures:
        blocks.append(Gallery(tuple(pictures)))
    return Section("How the prediction follows a column", (*blocks, *tables))
