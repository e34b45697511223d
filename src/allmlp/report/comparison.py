"""Several runs side by side: as a table, and as a page."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from jaxtyping import Bool

from allmlp.errors import AllmlpError
from allmlp.report.charts import draw_scatter, draw_sparkline
from allmlp.report.page import (
    Block,
    Cell,
    Gallery,
    Page,
    Picture,
    Section,
    Table,
    Text,
    format_share,
    write_page,
)
from allmlp.report.record import RunRecord, find_runs, find_table_runs, read_run
from allmlp.report.sections import accuracy_interval, describe_count, describe_seconds
from allmlp.runs.compare import McNemar, holm, mcnemar

__all__ = ["Comparison", "compare_runs", "comparison_page", "write_sweep"]

# of more runs only pairs with the best one are tested: each further test weakens all
_ALL_PAIRS = 6


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several runs, best on validation first, for the test part chooses nothing.

    Args:
        runs: at least two.
        differences: settings in which they differ: dotted path to the value of each run.
        tests: of pairs of runs (indices) that answered the same images.
        adjusted: Holm's p value of each test.
        unpaired: why runs could not be paired; empty if all could.
    """

    runs: tuple[RunRecord, ...]
    differences: dict[str, tuple[Any, ...]]
    tests: dict[tuple[int, int], McNemar]
    adjusted: dict[tuple[int, int], float]
    unpaired: str

    def verdict(self, pair: tuple[int, int]) -> str:
        """What a test says, in words."""
        test, p = self.tests[pair], self.adjusted[pair]
        if p >= 0.05:
            return "no difference shown"
        better = pair[0] if test.only_first > test.only_second else pair[1]
        return f"{better + 1} is better"


def compare_runs(paths: Sequence[str | Path]) -> Comparison:
    """Read runs and test their differences.

    Raises:
        AllmlpError: fewer than two runs, the same one twice, or a damaged file, which is named.
    """
    if len({Path(path).resolve() for path in paths}) < max(2, len(paths)):
        raise AllmlpError(
            f"a comparison needs at least two runs, each once; got {', '.join(map(str, paths))}"
        )
    return _compare([read_run(path) for path in paths])


def _compare(records: Sequence[RunRecord]) -> Comparison:
    runs = tuple(sorted(records, key=lambda run: -_validation(run)))
    settings = [run.settings for run in runs]
    differences = {
        path: tuple(s[path] for s in settings)
        for path in settings[0]
        if len({repr(s[path]) for s in settings}) > 1
    }
    scored = [i for i, run in enumerate(runs) if run.scores is not None]
    pairs = list(combinations(scored, 2))
    if len(scored) > _ALL_PAIRS:
        pairs = pairs[: len(scored) - 1]  # those with the first one
    tests, reasons = {}, []
    for i, j in pairs:
        paired = _paired(runs[i], runs[j])
        if isinstance(paired, str):
            reasons.append(f"{i + 1} and {j + 1} are not tested: {paired}.")
        else:
            tests[i, j] = mcnemar(*paired)
    adjusted = dict(zip(tests, holm([t.p for t in tests.values()]), strict=True))
    return Comparison(runs, differences, tests, adjusted, " ".join(reasons[:3]))


def comparison_page(comparison: Comparison, title: str, folder: Path) -> Page:
    """The page of several runs.

    Args:
        comparison: of them.
        title: of the page.
        folder: where the page will be: links to reports are relative to it.
    """
    runs = comparison.runs
    sections = [Section("Runs", (_runs(runs, folder),))]
    if pictures := _scatters(runs):
        sections.append(Section("Accuracy against cost", (Gallery(pictures),)))
    sections.append(Section("Settings that differ", (_settings(comparison),)))
    sections.append(Section("Is it luck?", _tests(comparison)))
    lead = f"{len(runs)} runs, the best on validation first; the test part chooses nothing."
    return Page(title, tuple(sections), lead)


def write_sweep(folder: str | Path) -> Path:
    """Write the page of all runs in a folder, `report.html` in it.

    Runs that were not finished are listed with what they have; of a damaged one, and of a run on a
    table, the page says why it is left out.

    Returns:
        The file.

    Raises:
        AllmlpError: fewer than two runs there that can be read.
        OSError: the folder is read-only or full.
    """
    folder = Path(folder)
    records, damaged = [], []
    for path in [*find_runs(folder), *find_table_runs(folder)]:
        try:
            records.append(read_run(path))
            _ = records[-1].costs  # builds the model
        except AllmlpError as e:
            records = [record for record in records if record.directory.path != path]
            damaged.append(f"{path.relative_to(folder)} is left out: {e}.")
    if len(records) < 2:
        raise AllmlpError(
            f"a comparison needs at least two runs, got {len(records)} in {folder}; "
            f"{' '.join(damaged) or 'train another one'}"
        )
    page = comparison_page(_compare(records), f"Runs in {folder.resolve().name}", folder)
    if damaged:
        notes = tuple(Text(note) for note in damaged)
        page = replace(page, sections=(*page.sections, Section("Left out", notes)))
    path = folder / "report.html"
    write_page(path, page)
    return path


def _validation(run: RunRecord) -> float:
    return max(run.series("val/accuracy")[1], default=-1.0)


def _paired(
    first: RunRecord, second: RunRecord
) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]] | str:
    """Which of the images that both answered each has right; or why there are none."""
    if first.kept is None or second.kept is None:
        return "predictions are missing"
    a, b = first.kept, second.kept
    _, left, right = np.intersect1d(a.positions, b.positions, return_indices=True)
    names_a, names_b = np.array(a.classes), np.array(b.classes)
    truth = names_a[a.labels[left]]
    if first.config.data.source != second.config.data.source or not len(left):
        return "they were trained on other data"
    if (truth != names_b[b.labels[right]]).any():
        return "their test images differ"
    return (
        names_a[a.probabilities[left].argmax(axis=1)] == truth,
        names_b[b.probabilities[right].argmax(axis=1)] == truth,
    )


def _runs(runs: Sequence[RunRecord], folder: Path) -> Table:
    head = ("#", "run", "curve", "val", "test", "95 % interval", "NLL", "parameters", "MACs",
            "training", "one image")  # fmt: skip
    rows = []
    for number, run in enumerate(runs, 1):
        report = run.directory.report
        href = None
        if report.is_file():
            href = _link(Path(os.path.relpath(report.resolve(), folder.resolve())).as_posix())
        scores, (parameters, macs) = run.scores, run.costs
        interval = Cell()
        if scores is not None:
            low, high = accuracy_interval(scores["accuracy"], scores["count"])
            interval = Cell(f"{format_share(low)} – {format_share(high)}", order=low)
        best = _validation(run)
        latency = run.speed["latency_ms"] if run.speed is not None else None
        rows.append(
            (
                number,
                Cell(run.name, href=href),
                Cell(picture=draw_sparkline(run), order=best),
                Cell.share(best if best >= 0 else None),
                Cell.share(scores["accuracy"] if scores else None),
                interval,
                Cell(f"{scores['loss']:.4f}", order=scores["loss"]) if scores else Cell(),
                Cell(describe_count(parameters), order=parameters),
                Cell(describe_count(macs), order=macs),
                Cell(describe_seconds(run.seconds), order=run.seconds) if run.seconds else Cell(),
                Cell(f"{latency:.3g} ms", order=latency) if latency is not None else Cell(),
            )
        )
    return Table(head, tuple(rows), "Every run; a click on a name sorts.", sortable=True)


def _link(path: str) -> str:
    # a folder's name may hold what an address may not, a colon in front of all
    return f"./{quote(path)}"


def _scatters(runs: Sequence[RunRecord]) -> tuple[Picture, ...]:
    scored = [(number, run) for number, run in enumerate(runs, 1) if run.scores is not None]
    if len(scored) < 2:
        return ()

    def points(costs: list[float]) -> list[tuple[float, float]]:
        return [
            (cost, 100 * run.scores["accuracy"])
            for cost, (_, run) in zip(costs, scored, strict=True)
            if run.scores is not None
        ]

    numbers = [number for number, _ in scored]
    parameters = [float(run.costs[0]) for _, run in scored]
    macs = [float(run.costs[1]) for _, run in scored]
    pictures = [
        draw_scatter(points(costs), numbers, label=label, log=max(costs) > 5 * min(costs))
        for costs, label in ((parameters, "parameters"), (macs, "MACs for one image"))
        if len(set(costs)) > 1  # else there is nothing to see
    ]
    timed = [run.seconds for _, run in scored]
    known = [seconds for seconds in timed if seconds]
    if len(known) == len(scored):
        log = max(known) > 5 * min(known)
        pictures.append(draw_scatter(points(known), numbers, label="training, seconds", log=log))
    return tuple(pictures)


def _settings(comparison: Comparison) -> Block:
    if not comparison.differences:
        return Text("None: the runs have the same configuration.")
    names = [f"{i} {run.name}" for i, run in enumerate(comparison.runs, 1)]
    if len(names) <= 4:
        rows = tuple(
            (path, *(str(v) for v in values)) for path, values in comparison.differences.items()
        )
        return Table(("setting", *names), rows, "Settings by dotted path.")
    columns = tuple(comparison.differences)
    by_run = zip(*comparison.differences.values(), strict=True)
    cells = tuple(
        (
            name,
            *(
                v if isinstance(v, int | float) and not isinstance(v, bool) else str(v)
                for v in values
            ),
        )
        for name, values in zip(names, by_run, strict=True)
    )
    return Table(("run", *columns), cells, "Settings by dotted path.", sortable=True)


def _tests(comparison: Comparison) -> tuple[Block, ...]:
    blocks: list[Block] = []
    if comparison.tests:
        rows = tuple(
            (
                f"{i + 1} and {j + 1}",
                test.only_first,
                test.only_second,
                test.count,
                Cell(f"{test.p:.3g}", order=test.p),
                Cell(f"{comparison.adjusted[i, j]:.3g}", order=comparison.adjusted[i, j]),
                comparison.verdict((i, j)),
            )
            for (i, j), test in comparison.tests.items()
        )
        head = ("runs", "only the first right", "only the second right", "images", "p", "p (Holm)",
                "at 5 %")  # fmt: skip
        blocks = [
            Text(
                "McNemar's exact test on the images that one run has right and the other wrong. "
                "p is the probability of so uneven a split if both were equally good; Holm's "
                "correction takes account of the number of tests. It speaks of these weights: "
                "another seed may give others."
            ),
            Table(head, rows, "Pairs of runs.", sortable=True),
        ]
    if comparison.unpaired:
        blocks.append(Text(comparison.unpaired))
    return tuple(blocks) or (Text("Fewer than two runs are scored."),)
