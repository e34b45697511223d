"""Parts that pages of several kinds show: confusion, classes, sessions, and words for numbers.

Axes: k classes.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from allmlp.report.charts import draw_confusion
from allmlp.report.page import Block, Cell, Code, Table, Text
from allmlp.runs.sessions import Session

__all__ = [
    "accuracy_interval",
    "classes_table",
    "confusion_blocks",
    "describe_count",
    "describe_seconds",
    "format_digits",
    "session_blocks",
]

# a table of more cells is a picture; more rows of pairs are noise
_MATRIX, _PAIRS = 20, 10


def confusion_blocks(
    counts: Int[np.ndarray, "k k"], classes: tuple[str, ...], examples: str = "images"
) -> tuple[Block, ...]:
    """Which classes are taken for which: a matrix, and the most frequent pairs.

    Args:
        counts: of each true class (rows) what it was taken for.
        classes: names.
        examples: what is counted, in the plural.
    """
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    rows, columns = np.unravel_index(order, wrong.shape)
    pairs = tuple(
        (classes[i], classes[j], int(wrong[i, j]), Cell.share(wrong[i, j] / counts[i].sum()))
        for i, j in zip(rows.tolist(), columns.tolist(), strict=True)
        if wrong[i, j]
    )
    head = ("class", "taken for", examples, "of the class")
    frequent = Table(head, pairs, "The most frequent confusions.", sortable=True)
    blocks: tuple[Block, ...] = (
        (frequent,) if pairs else (Text(f"None of the {examples} was confused."),)
    )
    if len(classes) > _MATRIX:
        return (draw_confusion(counts, examples), *blocks)
    totals = np.maximum(1, counts.sum(axis=1))
    matrix = Table(
        ("truth", *classes),
        tuple(
            (
                name,
                *(
                    Cell(
                        int(n) or "",
                        shade=float(n / totals[i]),
                        hint=f"{name}, taken for {classes[j]}: {n}",
                    )
                    for j, n in enumerate(counts[i])
                ),
            )
            for i, name in enumerate(classes)
        ),
        "Rows are true classes, columns what they were taken for; colour is the share of the row.",
        matrix=True,
    )
    return (matrix, *blocks)


def classes_table(scores: Mapping[str, Any], examples: str = "images") -> Table | None:
    """Each class against all others; None of scores from before there were any.

    Args:
        scores: with `classes`, as `runs.scores.Scores` has them.
        examples: what is counted, in the plural.
    """
    found = scores.get("classes")
    if not isinstance(found, list):
        return None
    rows = tuple(
        (
            entry["name"],
            Cell.share(entry["precision"]),
            Cell.share(entry["recall"]),
            Cell.share(entry["f1"]),
            Cell(format_digits(entry["auroc"]), order=entry["auroc"])
            if entry["auroc"] is not None
            else Cell(),
            entry["images"],
            entry["predicted"],
        )
        for entry in found
    )
    head = ("class", "precision", "recall", "F1", "AUROC", examples, "predicted")
    return Table(head, rows, "Each class against all others.", sortable=True)


def session_blocks(sessions: Sequence[Session]) -> tuple[Block, ...]:
    """The command of a run, and when it ran on what."""
    if not sessions:
        return ()
    head = ("began", "took", "on", "threads", "allmlp", "torch", "Python")
    rows = tuple(
        (
            s.began.replace("T", " "),
            describe_seconds(s.seconds),
            str(s.machine.get("device")),
            s.machine.get("threads"),
            s.allmlp,
            str(s.machine.get("torch")),
            str(s.machine.get("python")),
        )
        for s in sessions
    )
    started = Code(sessions[-1].command, "Started by")
    return started, Table(head, rows, "Sessions: the start and every resumption.")


def accuracy_interval(accuracy: float, count: int) -> tuple[float, float]:
    """Where the accuracy on more such images lies with 95 % confidence.

    Source: Wilson 1927, the score interval.

    Example:
        >>> low, high = accuracy_interval(0.5, 100)
        >>> round(low, 4), round(high, 4)
        (0.4038, 0.5962)
    """
    z = 1.959963984540054  # the normal law's 97.5 % quantile
    middle = (accuracy + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z * math.sqrt(accuracy * (1 - accuracy) / count + z**2 / (4 * count**2))
    reach /= 1 + z**2 / count
    return max(0.0, middle - reach), min(1.0, middle + reach)


def describe_seconds(seconds: int | float | None) -> str:
    """A duration for people.

    Example:
        >>> describe_seconds(9.26), describe_seconds(75), describe_seconds(7300)
        ('9.3 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"


def describe_count(value: int | float | None) -> str:
    """A large count with three digits and a unit.

    Example:
        >>> describe_count(59880472), describe_count(12601767936), describe_count(950)
        ('59.9 M', '12.6 G', '950')
    """
    if value is None:
        return "–"
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def format_digits(value: int | float | None) -> str:
    """Four decimals, a dash for None."""
    return "–" if value is None else f"{value:.4f}"
