"""The page of one run on a table."""

from typing import Any

import numpy as np

from allmlp.report.charts import draw_loss, draw_lr, draw_reliability
from allmlp.report.page import (
    Block,
    Cell,
    Code,
    Facts,
    Gallery,
    Page,
    Picture,
    Section,
    Table,
    Text,
    Value,
    format_share,
    format_value,
)
from allmlp.report.palette import SERIES
from allmlp.report.sections import (
    accuracy_interval,
    classes_table,
    confusion_blocks,
    describe_count,
    describe_seconds,
    format_digits,
    session_blocks,
)
from allmlp.report.table_charts import (
    draw_answers,
    draw_dependence,
    draw_residuals,
    draw_validation,
)
from allmlp.report.table_record import Classes, Scored, TableRecord, Values

__all__ = ["dependence_sections", "importance_blocks", "table_page"]

# the rows that a regression misses most
_WORST = 10


def table_page(run: TableRecord) -> Page:
    """All that is known about a run on a table."""
    scored = run.scored
    sections: list[Section] = []
    if run.metrics:
        sections.append(Section("Training", (_curves(run),)))
    if scored is not None:
        sections += _answers(run, scored)
        sections += [
            Section("Importance", importance_blocks(scored)),
            *dependence_sections(run, scored),
            Section("Columns", _columns(scored)),
        ]
    sections += [_origin(run), _configuration(run)]
    title = f"{run.config.target} by {run.model}"
    return Page(title, tuple(sections), _lead(run), _headline(run))


def _lead(run: TableRecord) -> str:
    if run.scored is None:
        return "Not scored: its evaluation was cut short; train again."
    scores, count = run.scored.scores, run.scored.scores["count"]
    held = "None of them was learned from, nor chose the epoch."
    if "rmse" in scores:
        missed = f"{count:,} test rows are missed by {format_value(scores['rmse'])} (RMSE)"
        mean = format_value(scores["baseline"]["rmse"])
        return f"{missed}; always answering their mean would miss them by {mean}. {held}"
    low, high = accuracy_interval(scores["accuracy"], count)
    return (
        f"{format_share(scores['accuracy'])} of {count:,} test rows are classified right "
        f"(95\N{NO-BREAK SPACE}% interval {format_share(low)} to {format_share(high)}); always "
        f"answering the largest class would be right for "
        f"{format_share(scores['baseline']['accuracy'])}. {held}"
    )


def _headline(run: TableRecord) -> Facts:
    if run.scored is None:
        return Facts(())
    scores, summary = run.scored.scores, run.scored.summary
    entries: list[tuple[str, Value]] = []
    if "rmse" in scores:
        entries += [("RMSE", scores["rmse"]), ("R²", scores["r2"])]
    else:
        entries += [("accuracy", format_share(scores["accuracy"]))]
        entries += [("ROC AUC", format_digits(scores.get("roc_auc")))]
    known = [s.seconds for s in run.sessions if s.seconds is not None]
    entries += [
        ("rows trained on", describe_count(summary["rows"]["train"])),
        ("parameters", describe_count(summary["parameters"])),
        ("training", describe_seconds(sum(known) if known else None)),
    ]
    return Facts(tuple(entries))


def _curves(run: TableRecord) -> Gallery:
    best = run.scored.summary["best_epoch"] if run.scored is not None else None
    pictures = [draw_loss(run)]
    pictures += [
        draw_validation(run, metric, best)
        for metric in ("accuracy", "mae")
        if run.series(f"val/{metric}")[1]
    ]
    if len(set(run.series("lr")[1])) > 1:  # constant, mostly
        pictures.append(draw_lr(run))
    return Gallery(tuple(pictures))


def _answers(run: TableRecord, scored: Scored) -> list[Section]:
    scores, answers = scored.scores, scored.answers
    if isinstance(answers, Values):
        facts: tuple[tuple[str, Value], ...] = (
            ("RMSE", scores["rmse"]),
            ("mean absolute error", scores["mae"]),
            ("half of the errors are below", scores["median"]),
            ("nine of ten errors are below", scores["q90"]),
            ("R²", scores["r2"]),
            ("RMSE of the mean alone", scores["baseline"]["rmse"]),
            ("rows", scores["count"]),
        )
        text = f"In the unit of {run.config.target}; the loss above is of standardised targets."
        clouds = Gallery((draw_answers(answers), draw_residuals(answers)))
        return [
            Section("Scores", (Facts(facts), Text(text))),
            Section("Residuals", (clouds, _worst(answers))),
        ]
    facts = (
        ("accuracy", format_share(scores["accuracy"])),
        ("of the largest class alone", format_share(scores["baseline"]["accuracy"])),
        ("ROC AUC, mean", format_digits(scores.get("roc_auc"))),
        ("log-loss, nats", format_digits(scores["log_loss"])),
        ("Brier, 0 to 2", format_digits(scores["brier"])),
        ("calibration error", format_digits(scores["ece"])),
        ("rows", scores["count"]),
    )
    sections = [
        Section("Scores", (Facts(facts),)),
        Section("Confusion", confusion_blocks(answers.counts, answers.names, "rows")),
    ]
    if (table := classes_table(scores, "rows")) is not None:
        sections.append(Section("Classes", (table,)))
    diagram = draw_reliability(answers.bins, scores["ece"], "rows")
    return [*sections, Section("Calibration", (diagram,))]


def _worst(values: Values) -> Table:
    errors = values.truth - values.predicted
    order = np.argsort(-np.abs(errors), kind="stable")[:_WORST]
    rows = tuple(
        (int(values.rows[i]), *(float(v[i]) for v in (values.truth, values.predicted, errors)))
        for i in order
    )
    head = ("row", "truth", "predicted", "truth minus predicted")
    caption = "The rows that are missed most, counted from 0 among those that have a target."
    return Table(head, rows, caption, sortable=True)


def importance_blocks(scored: Scored) -> tuple[Block, ...]:
    """What shuffling each column costs."""
    score = "R²" if isinstance(scored.answers, Values) else "accuracy"
    dropped = {row["column"] for row in scored.columns if not row["used"]}
    dearest = max((row["mean"] for row in scored.importance), default=0.0)
    rows = tuple(
        (
            row["column"],
            Cell("left out", order=0.0)
            if row["column"] in dropped
            else Cell(
                f"{row['mean']:.4f}",
                order=row["mean"],
                shade=max(0.0, row["mean"]) / dearest if dearest > 0 else 0.0,
            ),
            Cell() if row["column"] in dropped else Cell(f"{row['std']:.4f}", order=row["std"]),
        )
        for row in scored.importance
    )
    text = (
        f"How much {score} falls when a column of the test part is shuffled, mean and spread of "
        "three shuffles of up to 1,000 rows. Columns that say the same share their importance: "
        "each alone may look needless."
    )
    head = ("column", f"{score} lost", "spread")
    return (Text(text), Table(head, rows, "The dearest column first.", sortable=True))


def dependence_sections(
    run: TableRecord, scored: Scored, chosen: list[int] | None = None
) -> list[Section]:
    """How the answer follows the columns that matter most; none where nothing was kept.

    Args:
        run: the run.
        scored: its scores.
        chosen: numbers of the classes to follow; None for those that move most.
    """
    if not scored.dependence:
        return []
    answers = scored.answers
    pictures: list[Picture] = []
    tables: list[Table] = []
    for curve in scored.dependence:
        predictions = np.array(curve["prediction"], dtype=float)
        predictions = predictions.reshape(len(curve["values"]), -1)
        lines: tuple[str, ...] = (run.config.target,)
        label = "mean prediction"
        if isinstance(answers, Classes):
            shown = chosen or _shown(predictions)
            predictions = predictions[:, shown]
            lines, label = tuple(answers.names[i] for i in shown), "mean probability"
        if not len(predictions):  # of a column that is empty in the test part
            continue
        if isinstance(curve["values"][0], str):
            tables.append(_levels(curve, predictions, lines, label))
        else:
            pictures.append(
                draw_dependence(
                    curve["values"], predictions, label=label, column=curve["column"], lines=lines
                )
            )
    text = (
        "The mean answer for up to 500 rows of the test part when one of the dearest columns is "
        "set to one value after another, and all else is left as it is. Combinations that never "
        "occur are among them."
    )
    blocks: list[Block] = [Text(text)]
    if pictures:
        blocks.append(Gallery(tuple(pictures)))
    return [Section("Partial dependence", (*blocks, *tables))]


def _shown(predictions: np.ndarray) -> list[int]:
    """The classes to draw: the second of two, else those whose probability moves most."""
    classes = predictions.shape[1]
    if classes == 2:
        return [1]
    moves = np.ptp(predictions, axis=0) if len(predictions) else np.zeros(classes)
    return sorted(np.argsort(-moves, kind="stable")[: len(SERIES)].tolist())


def _levels(
    curve: dict[str, Any], predictions: np.ndarray, lines: tuple[str, ...], label: str
) -> Table:
    start = min(0.0, predictions.min())
    span = max(0.0, predictions.max()) - start or 1.0
    rows = tuple(
        (value, *(Cell(float(p), shade=float((p - start) / span)) for p in predictions[i]))
        for i, value in enumerate(curve["values"])
    )
    return Table((curve["column"], *lines), rows, f"{label.capitalize()} by level.", sortable=True)


def _columns(scored: Scored) -> tuple[Block, ...]:
    rows = tuple(
        (
            column["column"],
            column["kind"] if column["used"] else f"{column['kind']}, left out",
            Cell.share(column["missing"]),
            column.get("min"),
            column.get("median"),
            column.get("max"),
            column.get("levels"),
            column.get("most") or "",
        )
        for column in scored.columns
    )
    head = ("column", "kind", "missing", "min", "median", "max", "levels", "most frequent")
    caption = "Of the training rows; a column of one value is left out."
    return (Table(head, rows, caption, sortable=True),)


def _origin(run: TableRecord) -> Section:
    config = run.config
    split = "at random, always the same"
    if config.time is not None:
        split = f"by {config.time}: the newest rows are tested"
    if config.group is not None:
        split = f"by {config.group}: groups stay together"
    entries: list[tuple[str, Value]] = [
        ("table", config.source),
        ("target", config.target),
        ("rows split", split),
        ("model", run.model),
    ]
    if run.scored is not None:
        summary = run.scored.summary
        counts = summary["rows"]
        entries += [
            ("rows", f"{counts['train']:,} train, {counts['val']:,} val, {counts['test']:,} test"),
            ("epochs", summary["epochs"]),
            ("epoch that was kept", summary["best_epoch"]),
            ("ended by", summary["stopped"]),
        ]
    return Section("How it was made", (Facts(tuple(entries)), *session_blocks(run.sessions)))


def _configuration(run: TableRecord) -> Section:
    whole = Code(run.directory.config.read_text(encoding="utf-8"), "config.yaml")
    return Section("Configuration", (whole,), folded=True)
