"""`allmlp eval`."""

from pathlib import Path
from typing import Literal

from allmlp.cli.table import evaluate_table, holds_table

__all__ = ["evaluate"]


def evaluate(
    run: Path,
    data: str | None = None,
    /,
    *,
    part: Literal["train", "val", "test", "all"] = "test",
    target: str | None = None,
    device: str = "auto",
) -> None:
    """Score a trained run; the result goes into its eval folder.

    Parameters
    ----------
    run:
        Folder of a run.
    data:
        Name or path of data; by default what the run was trained on.
    part:
        Of the data; all takes every image.
    target:
        Column of the classes in parquet and hf: data, if it is not found by its type or name.
    device:
        cpu, cuda, mps …; auto takes an accelerator if there is one.
    """
    if holds_table(run):
        evaluate_table(run, data, part)
        return

    from allmlp.runs.evaluate import evaluate_run
    from allmlp.runs.run import load_run

    scores = evaluate_run(load_run(run, device=device), data, part, target)
    skipped = f", {scores['skipped']} unreadable left out" if scores["skipped"] else ""
    print(
        f"{scores['source']} {scores['part']}: accuracy {scores['accuracy']:.2%} of "
        f"{scores['count']} images, loss {scores['loss']:.4f}{skipped}"
    )
