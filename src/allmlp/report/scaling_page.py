"""The page of a scaling sweep, finished or not: runs, laws, what they hang on, failures, time left.

Axes: n runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allmlp.errors import AllmlpError
from allmlp.report.page import (
    Block,
    Cell,
    Code,
    Facts,
    Gallery,
    Page,
    Section,
    Table,
    Text,
    write_page,
)
from allmlp.report.scaling_charts import draw_families, draw_family_law
from allmlp.report.sections import describe_count, describe_seconds
from allmlp.scaling import (
    Holdout,
    PowerLawFit,
    SweepState,
    fit_power_law,
    hold_out,
    influence,
    isoflop_minima,
    optimal_allocation,
    pareto_frontier,
    read_sweep,
)
from allmlp.scaling.frontier import CAUTION, FEW

__all__ = ["FamilyLaw", "fit_families", "scaling_page", "write_scaling"]

Row = Mapping[str, Any]

TARGETS = ("loss", "error")
# influences shown besides those of outliers
_MOST = 5


@dataclass(frozen=True, eq=False)
class FamilyLaw:
    """The law of one family in one target, or why there is none.

    Attributes:
        family: of the sweep.
        target: `loss` or `error`.
        rows: that were fitted, (n,) as `law` counts them.
        law: E + A N^-alpha + B D^-beta, or None.
        reason: of None.
        flops: for each parameter and sample, geometric mean over the runs.
        held: how the dearest runs were predicted; None if too few are left without them.
    """

    family: str
    target: str
    rows: tuple[Row, ...]
    law: PowerLawFit | None
    reason: str
    flops: float
    held: Holdout | None


def write_scaling(folder: str | Path, *, storage: str | None = None, bootstrap: int = 200) -> Path:
    """Write the page of a sweep, `report.html` in its folder, from what is there now.

    Args:
        folder: of the sweep.
        storage: as in `run_sweep`, for the rows of all machines.
        bootstrap: resamples for the intervals of the laws; 0 for none.

    Returns:
        The file.

    Raises:
        AllmlpError: no sweep, a damaged file, or a storage that cannot be reached.
        OSError: the folder is read-only or full.
    """
    path = Path(folder) / "report.html"
    state = read_sweep(folder, storage)
    laws = fit_families(state.rows, bootstrap=bootstrap)
    write_page(path, scaling_page(state, laws, Path(folder).resolve().name))
    return path


def fit_families(rows: Sequence[Row], *, bootstrap: int = 200) -> list[FamilyLaw]:
    """One law for each family and target.

    Args:
        rows: of a sweep.
        bootstrap: resamples for the intervals.
    """
    laws = []
    for family in sorted({row["family"] for row in rows}):
        own = tuple(row for row in rows if row["family"] == family)
        N, D, C = (
            np.array([row[name] for row in own], dtype=float)
            for name in ("parameters", "seen", "flops")
        )
        flops = float(np.exp(np.log(C / (N * D)).mean()))
        for target in TARGETS:
            law, held, reason = None, None, ""
            try:
                law = fit_power_law((N, D), [row[target] for row in own], bootstrap=bootstrap)
            except AllmlpError as e:
                reason = str(e)
            else:
                try:
                    held = hold_out(law)
                except AllmlpError:
                    held = None  # the page says so
            laws.append(FamilyLaw(family, target, own, law, reason, flops, held))
    return laws


def scaling_page(state: SweepState, laws: Sequence[FamilyLaw], title: str) -> Page:
    """The page of a sweep.

    Args:
        state: of it.
        laws: as `fit_families` makes them of its rows.
        title: of the sweep.
    """
    rows = sorted(state.rows, key=lambda row: row["key"])
    sections: list[Section] = []
    if rows:
        pictures = Gallery(tuple(draw_families(rows, target) for target in TARGETS))
        sections.append(Section("Compute", (pictures, _frontier(rows))))
        sections += [
            Section(family, _laws([law for law in laws if law.family == family]))
            for family in dict.fromkeys(law.family for law in laws)
        ]
        sections.append(Section("What the laws hang on", _influence(laws)))
        sections.append(Section("One budget, many sizes", _isoflop(rows), folded=True))
        sections.append(Section("Runs", (_runs(rows),), folded=len(rows) > 40))
    sections.append(Section("Failures", _failures(state)))
    sections.append(Section("Settings", _settings(state), folded=True))
    return Page(f"Scaling sweep {title}", tuple(sections), _lead(state), _headline(state))


def _lead(state: SweepState) -> str:
    done, total = len(state.rows), len(state.trials)
    if done == total:
        return f"All {total} trials are measured."
    left = state.seconds_left
    time = f", about {describe_seconds(left)} for one worker" if left is not None else ""
    return f"{done} of {total} trials are measured; {total - done} are missing{time}."


def _headline(state: SweepState) -> Facts:
    spent = sum(row["seconds"] for row in state.rows)
    attempts = sum(map(len, state.failures.values()))
    left = state.seconds_left if state.missing else 0.0
    return Facts(
        (
            ("measured", f"{len(state.rows)} of {len(state.trials)}"),
            ("failed attempts", attempts),
            ("trained for", describe_seconds(spent)),
            ("time left, one worker", "none" if not state.missing else describe_seconds(left)),
        )
    )


def _frontier(rows: Sequence[Row]) -> Table:
    front = pareto_frontier([row["flops"] for row in rows], [row["error"] for row in rows])
    return _table(
        [rows[i] for i in front],
        "Frontier of all families: no cheaper run has a smaller error. Each is one seed's luck.",
    )


def _runs(rows: Sequence[Row]) -> Table:
    return _table(rows, "Every run; a click on a name sorts.")


def _table(rows: Sequence[Row], caption: str) -> Table:
    head = ("trial", "N", "samples", "D", "FLOPs", "loss", "error", "learning rate", "seconds")
    return Table(
        head,
        tuple(
            (
                row["key"],
                Cell(describe_count(row["parameters"]), order=row["parameters"]),
                row["samples"],
                Cell(describe_count(row["seen"]), order=row["seen"]),
                Cell(f"{row['flops']:.3g}", order=row["flops"]),
                Cell(f"{row['loss']:.4f}", order=row["loss"]),
                Cell.share(row["error"]),
                row["lr"],
                Cell(f"{row['seconds']:.1f}", order=row["seconds"]),
            )
            for row in rows
        ),
        caption,
        sortable=True,
    )


def _laws(laws: Sequence[FamilyLaw]) -> tuple[Block, ...]:
    blocks: list[Block] = []
    for own in laws:
        if own.law is None:
            blocks.append(Text(f"No law of the {own.target}: {own.reason}."))
            continue
        blocks.append(_parameters(own, own.law))
        if own.law.notes:
            blocks.append(Text("\n\n".join(f"Note: {note}." for note in own.law.notes)))
        blocks.append(Text(_held(own.held)))
        blocks.append(Gallery(draw_family_law(own.law, target=own.target, flops=own.flops)))
    return tuple(blocks)


def _parameters(own: FamilyLaw, law: PowerLawFit) -> Table:
    bounds = law.intervals() if len(law.samples) else {}
    values = {name: (value, bounds.get(name)) for name, value in law.params.items()}
    try:
        largest = own.flops * float(law.variables.prod(axis=0).max())
        best = optimal_allocation(law, largest, flops_per=own.flops)
    except AllmlpError:  # the law does not fall: a note says so
        best = None
    if best is not None:
        values["best N grows as C to the"] = (best.exponent, best.intervals.get("exponent"))
        for name, title in (("parameters", "best N"), ("samples", "best D")):
            values[f"{title} at C = {largest:.2g}"] = (
                getattr(best, name),
                best.intervals.get(name),
            )
    rows = tuple(
        (name, _number(value), "–" if interval is None else " – ".join(map(_number, interval)))
        for name, (value, interval) in values.items()
    )
    return Table(
        ("parameter", "value", "95 % interval"),
        rows,
        f"{own.target.capitalize()} = E + A N^-alpha + B D^-beta, {len(law.loss)} runs, Huber "
        f"delta {law.delta:g}; compute C = {own.flops:.3g} N D.",
    )


def _number(value: float) -> str:
    return f"{value:.3g}"


def _held(held: Holdout | None) -> str:
    if held is None:
        return "Too few runs to hold the dearest out and predict them."
    return (
        f"The {len(held.rows)} dearest runs, predicted from the others: wrong by {held.mean:.1%} "
        f"on average, {held.largest:.1%} at most."
    )


def _influence(laws: Sequence[FamilyLaw]) -> tuple[Block, ...]:
    rows = []
    for own in laws:
        if own.law is None:
            continue
        for number, entry in enumerate(influence(own.law)):
            if number >= _MOST and not entry.outlying:
                continue
            row = own.rows[entry.rows[0]]
            rows.append(
                (
                    row["key"],
                    own.target,
                    entry.shift,
                    Cell(f"{entry.residual:.1f}", order=entry.residual),
                    "outlier" if entry.outlying else "",
                )
            )
    if not rows:
        return (Text("No law, so nothing hangs on a run."),)
    head = ("trial", "of the", "change of an exponent", "residual, medians", "")
    caption = "Runs whose absence changes an exponent most, and all outliers (ten medians)."
    return (Table(head, tuple(rows), caption, sortable=True),)


def _isoflop(rows: Sequence[Row]) -> tuple[Block, ...]:
    table, few = [], 0
    for family in sorted({row["family"] for row in rows}):
        own = [row for row in rows if row["family"] == family]
        columns = ([row[name] for row in own] for name in ("parameters", "flops", "loss"))
        for bottom in isoflop_minima(*columns):
            if bottom.flag == FEW:
                few += 1
                continue
            size, loss = Cell(), Cell()
            if not bottom.flag:
                size = Cell(describe_count(bottom.parameters), order=bottom.parameters)
                loss = Cell(f"{bottom.loss:.4f}", order=bottom.loss)
            budget = Cell(f"{bottom.compute:.3g}", order=bottom.compute)
            table.append((family, budget, bottom.runs, size, loss, bottom.flag))
    note = f"A diagnostic only: {CAUTION}. Budgets of {FEW}: {few}."
    if not table:
        return (Text(note),)
    head = ("family", "FLOPs", "runs", "N at the bottom", "loss there", "")
    return (Text(note), Table(head, tuple(table), "Parabolas in log N.", sortable=True))


def _failures(state: SweepState) -> tuple[Block, ...]:
    if not state.failures:
        return (Text("None."),)
    done = {row["key"] for row in state.rows}
    rows = tuple(
        (key, len(errors), "measured later" if key in done else "missing", errors[-1])
        for key, errors in sorted(state.failures.items())
    )
    head = ("trial", "attempts that failed", "now", "last error")
    return (Table(head, rows, "Being killed is no failure.", sortable=True),)


def _settings(state: SweepState) -> tuple[Block, ...]:
    missing = "\n".join(trial.key for trial in state.missing[:200])
    blocks: list[Block] = [Facts(tuple((k, _plain(v)) for k, v in asdict(state.settings).items()))]
    if missing:
        caption = f"The first of {len(state.missing)} trials without a row."
        blocks.append(Code(missing, caption))
    return tuple(blocks)


def _plain(value: object) -> str | int | float:
    return value if isinstance(value, int | float) else str(value)
