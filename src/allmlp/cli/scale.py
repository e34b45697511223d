"""`allmlp scale …`: laws from tables of runs, and sizes from laws."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import App

from allmlp.errors import AllmlpError

if TYPE_CHECKING:
    from allmlp.scaling import PowerLawFit

__all__ = ["app"]

app = App(name="scale", help="Scaling laws: fit them to runs, choose sizes by them.")

_OUT = Path("runs/scale")


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
    flops: float = 6.0,
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
    from allmlp.scaling.pictures import draw_allocation, draw_law
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
    print("most influential runs (row: change of an exponent without it, residual in medians)")
    for entry in influence(law)[:5]:
        print(f"  {kept[entry.rows[0]]}: {entry.shift:.2g}, {entry.residual:.1f}")
    out.mkdir(parents=True, exist_ok=True)
    law.save(out / "law.json")
    draw_law(law, labels=tuple(names.values()), flops=flops).savefig(out / "law.svg")
    written = ["law.json", "law.svg"]
    if len(names) == 2 and _divides(law):
        draw_allocation(law, flops=flops).savefig(out / "allocation.svg")
        written.append("allocation.svg")
    print(f"written to {out}: {', '.join(written)}")


@app.command
def plan(law: Path = _OUT / "law.json", *, compute: float, flops: float = 6.0) -> None:
    """Divide a budget: parameters, samples and the loss to expect, with 95 % intervals.

    Args:
        law: written by `allmlp scale fit` with --size and --samples (or --compute).
        compute: the budget in FLOPs, two for each multiplication with addition.
        flops: for each parameter and sample.
    """
    from allmlp.scaling import PowerLawFit, optimal_allocation

    print(optimal_allocation(PowerLawFit.load(law), compute, flops_per=flops))


def _divides(law: "PowerLawFit") -> bool:
    return all(law.params[name] > 0 for name in ("alpha", "beta", "A", "B"))
