"""`allmlp scale …`: tables of runs, laws from them, and sizes from laws."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from allmlp.errors import AllmlpError

if TYPE_CHECKING:
    from allmlp.scaling import PowerLawFit
    from allmlp.scaling.sweep import Report

__all__ = ["app"]

app = App(name="scale", help="Scaling laws: train the runs, fit the laws, choose sizes by them.")

_OUT = Path("runs/scale")
_Positive = Annotated[float, Parameter(validator=Number(gt=0))]


@app.command
def fit(
    file: Path,
    *,
    loss: str = "loss",
    size: str | None = None,
    samples: str | None = None,
    compute: str | None = None,
    form: Literal["auto", "power", "saturating", "shifted", "chinchilla", "broken"] = "auto",
    delta: float = 1e-3,
    flops: _Positive = 6.0,
    exclude: list[int] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    out: Path = _OUT,
) -> None:
    """Fit a law to anyone's table of runs, one row each.

    Of size, samples and compute name one column for a law of one variable, or size and one other
    for a law of (N, D); D is compute / (flops N) then.

    Args:
        file: csv with a header.
        loss: column of the loss or error.
        size: column of the number of parameters.
        samples: column of the number of samples that passed through the model.
        compute: column of the FLOPs of training.
        form: of the law; auto is saturating for one variable, chinchilla for two.
        delta: of the Huber loss of log L.
        flops: for each parameter and sample.
        exclude: rows to leave out, the first one is 0.
        bootstrap: resamples for the intervals.
        seed: of the resamples.
        out: folder for the law (JSON) and the pictures (SVG).
    """
    from allmlp.scaling import fit_power_law, influence
    from allmlp.scaling.table import read_columns

    given = {"size": size, "samples": samples, "compute": compute}
    names = {key: name for key, name in given.items() if name is not None}
    if not names or len(names) > 2 or (len(names) == 2 and size is None):
        raise AllmlpError(
            "name one of --size, --samples, --compute, or --size and one other; got "
            + (", ".join(f"--{key}" for key in names) or "none")
        )
    *columns, losses = read_columns(file, [*names.values(), loss])
    if "compute" in names and len(names) == 2:
        columns[1] = columns[1] / (flops * columns[0])
    law = fit_power_law(
        tuple(columns),
        losses,
        form=form,
        delta=delta,
        exclude=exclude or (),
        bootstrap=bootstrap,
        seed=seed,
    )
    print(law)
    kept = [row for row in range(len(losses)) if row not in law.excluded]
    table = influence(law)
    shown = [entry for i, entry in enumerate(table) if i < 5 or entry.outlying]
    print("most influential runs (row: change of an exponent without it, residual in medians)")
    for entry in shown[:20]:
        mark = "  outlier" if entry.outlying else ""
        print(f"  {kept[entry.rows[0]]}: {entry.shift:.2g}, {entry.residual:.1f}{mark}")
    print(_held_out(law))
    out.mkdir(parents=True, exist_ok=True)
    law.save(out / "law.json")
    print(f"written to {out}: law.json, {_draw(law, out, tuple(names.values()), flops)}")


@app.command
def run(
    preset: str = "digits",
    *,
    source: str | None = None,
    families: list[str] | None = None,
    widths: list[int] | None = None,
    depths: list[int] | None = None,
    samples: list[int] | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    img_size: int | None = None,
    weight_decay: float | None = None,
    warmup: float | None = None,
    jobs: int = 1,
    storage: str | None = None,
    retries: int = 2,
    out: Path | None = None,
) -> None:
    """Train a table of sizes; again after whatever has stopped it, or in many places at once.

    Every combination of family, width, depth, samples and seed ends with one row in OUT/table.csv.

    Args:
        preset: digits (minutes), mnist, cifar10: what is not given below.
        source: of the data, as in `allmlp train`; mnist and cifar10 need it: the folder of MNIST's
            files for example.
        families: mlp, scaling_mlp, mixer_digits (8 px), mixer (patches of 4), kan.
        widths: of each.
        depths: of each.
        samples: unique training images.
        seeds: runs of each combination; the preset says which dear ones are run once.
        epochs: passes over the samples.
        batch_size: examples per step.
        img_size: pixels, side.
        weight_decay: of matrices.
        warmup: epochs of linear warm-up.
        jobs: processes.
        storage: of Optuna, for machines without a common folder (extra `sweep`): sqlite:///FILE, or
            postgresql+psycopg://USER@HOST/NAME.
        retries: further attempts at a trial that failed.
        out: folder of the sweep; by default runs/scale-PRESET.
    """
    from dataclasses import replace

    from allmlp.data import load_source
    from allmlp.errors import check_choice
    from allmlp.scaling import read_sweep, run_sweep
    from allmlp.scaling.presets import PRESETS

    check_choice("preset", preset, PRESETS)
    chosen = PRESETS[preset]
    if source is None and chosen.wants is not None:
        raise AllmlpError(f"the preset {preset} needs --source: {chosen.wants}")
    given = {
        "source": source,
        "epochs": epochs,
        "batch_size": batch_size,
        "img_size": img_size,
        "weight_decay": weight_decay,
        "warmup": warmup,
    }
    changes: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    lists = {"families": families, "widths": widths, "depths": depths, "samples": samples}
    grid: dict[str, Any] = {k: None if v is None else tuple(v) for k, v in lists.items()}
    grid["seeds"] = seeds
    own = replace(
        chosen,
        settings=replace(chosen.settings, **changes),
        **{k: v for k, v in grid.items() if v is not None},
    )
    trials = own.trials()
    folder = out or Path("runs") / f"scale-{preset}"
    if not (folder / "sweep.json").exists():
        load_source(own.settings.source)  # else every trial finds that there is nothing
    print(f"{len(trials)} trials in {folder}")
    rows = run_sweep(
        folder,
        trials,
        own.settings,
        jobs=jobs,
        storage=storage,
        retries=retries,
        report=_reporter(),
    )
    keys = {trial.key for trial in trials}
    missing = sorted(keys - {row["key"] for row in rows})
    page = f"allmlp scale report {folder}" + (" and the same --storage" if storage else "")
    if missing:
        errors = read_sweep(folder, storage).failures.get(missing[0], ["no error is known"])
        raise AllmlpError(
            f"{len(missing)} trials failed {retries + 1} times, {missing[0]} among them with "
            f"{errors[-1]}; all are on the page of {page}. For further attempts raise --retries, "
            f"or begin anew in another folder"
        )
    columns = "--size parameters --samples seen"
    print(f"table    {folder / 'table.csv'}, {len(rows)} rows")
    print(f"fit with allmlp scale fit {folder / 'table.csv'} {columns} --out {folder}")
    print(f"page by  {page}")


@app.command
def report(
    folder: Path = Path("runs/scale-digits"),
    *,
    storage: str | None = None,
    bootstrap: int = 200,
) -> None:
    """Write a sweep's page, report.html in its folder: runs, laws, influence, failures, time left.

    A sweep that still runs has one, too: of the rows so far.

    Args:
        folder: of the sweep.
        storage: as in `run`, for the rows of all machines.
        bootstrap: resamples for the intervals.
    """
    from allmlp.report import write_scaling

    print(write_scaling(folder, storage=storage, bootstrap=bootstrap))


@app.command
def plan(law: Path = _OUT / "law.json", *, compute: float, flops: _Positive = 6.0) -> None:
    """Divide a budget: parameters, samples and the loss to expect, with 95 % intervals.

    Args:
        law: written by `allmlp scale fit` with --size and --samples (or --compute).
        compute: the budget in FLOPs, two for each multiplication with addition.
        flops: for each parameter and sample.
    """
    from allmlp.scaling import PowerLawFit, optimal_allocation

    print(optimal_allocation(PowerLawFit.load(law), compute, flops_per=flops))


@app.command
def plot(
    law: Path = _OUT / "law.json",
    *,
    labels: list[str] | None = None,
    flops: _Positive = 6.0,
    out: Path | None = None,
) -> None:
    """Draw a law again: runs, band, residuals, and the best division of budgets.

    Args:
        law: written by `allmlp scale fit`.
        labels: of its variables.
        flops: for each parameter and sample.
        out: folder for the pictures (SVG); by default that of the law.
    """
    from allmlp.scaling import PowerLawFit

    folder = law.parent if out is None else out
    fitted = PowerLawFit.load(law)
    names = tuple(labels or ("x", "N, D")[len(fitted.variables) - 1].split(", "))
    if len(names) != len(fitted.variables):
        raise AllmlpError(f"{law} has {len(fitted.variables)} variables, got {len(names)} labels")
    folder.mkdir(parents=True, exist_ok=True)
    print(f"written to {folder}: {_draw(fitted, folder, names, flops)}")


def _reporter() -> "Report":
    """Lines on stderr, with the time that is left if all trials take equally long."""
    import sys
    import time

    began, first, last = time.monotonic(), -1, (-1, 0)

    def report(done: int, total: int, failed: int) -> None:
        nonlocal first, last
        if (done, failed) == last:
            return
        first, last = (done if first < 0 else first), (done, failed)
        line = f"{done} of {total} measured"
        if failed:
            line += f", {failed} failed attempts"
        if first < done < total:
            left = (time.monotonic() - began) / (done - first) * (total - done)
            line += f", about {_duration(left)} left"
        print(line, file=sys.stderr)

    return report


def _duration(seconds: float) -> str:
    """Seconds, minutes or hours, whatever a person would say."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"


def _draw(law: "PowerLawFit", folder: Path, labels: tuple[str, ...], flops: float) -> str:
    from allmlp.scaling.pictures import draw_allocation, draw_law

    draw_law(law, labels=labels, flops=flops).savefig(folder / "law.svg")
    if len(labels) == 1 or any(law.params[name] <= 0 for name in ("alpha", "beta", "A", "B")):
        return "law.svg"
    draw_allocation(law, flops=flops).savefig(folder / "allocation.svg")
    return "law.svg, allocation.svg"


def _held_out(law: "PowerLawFit") -> str:
    from allmlp.scaling import hold_out

    try:
        held = hold_out(law)
    except AllmlpError as e:
        return f"no run could be held out: {e}"
    return (
        f"the {len(held.rows)} dearest runs, predicted from the others: wrong by "
        f"{held.mean:.2%} on average, {held.largest:.2%} at most"
    )
