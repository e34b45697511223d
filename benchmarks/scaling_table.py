"""Laws of a sweep's table: each family, in the loss and in the error.

    allmlp scale run PRESET --source DATA --out SWEEP
    python benchmarks/scaling_table.py PRESET SWEEP/table.csv

Copies the table to benchmarks/results/scaling_PRESET.csv, writes the laws to scaling_PRESET.json
beside it and the picture of the MLP's to docs/pictures. A table half full is as welcome: the record
says how many of the preset's trials it holds.
"""

import argparse
import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from allmlp.bench import describe_machine
from allmlp.errors import AllmlpError
from allmlp.files import write_text
from allmlp.scaling import (
    PowerLawFit,
    fit_power_law,
    hold_out,
    optimal_allocation,
    pareto_frontier,
)
from allmlp.scaling.pictures import draw_law
from allmlp.scaling.presets import PRESETS

RESULTS = Path(__file__).parent / "results"
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
COLUMNS = ("parameters", "seen", "flops", "loss", "error")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("preset", choices=sorted(PRESETS))
    parser.add_argument("table", type=Path)
    parser.add_argument("--bootstrap", type=int, default=200)
    args = parser.parse_args()
    with args.table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    own = RESULTS / f"scaling_{args.preset}.csv"
    if args.table.resolve() != own.resolve():
        shutil.copy(args.table, own)
    preset = PRESETS[args.preset]
    wanted = {trial.key for trial in preset.trials()}
    laws: dict[str, Any] = {}
    for family in sorted({row["family"] for row in rows}):
        column = {
            name: np.array([float(row[name]) for row in rows if row["family"] == family])
            for name in COLUMNS
        }
        for target in ("loss", "error"):
            print(f"{family}, {target}", flush=True)
            try:
                law = fit_power_law(
                    (column["parameters"], column["seen"]),
                    column[target],
                    bootstrap=args.bootstrap,
                )
            except AllmlpError as e:
                laws[f"{family}, {target}"] = {"runs": len(column[target]), "none": str(e)}
                continue
            laws[f"{family}, {target}"] = describe(law) | frontier(column["flops"], column[target])
            if (family, target) == ("mlp", "loss"):
                draw_law(law).savefig(PICTURES / f"scaling_{args.preset}.svg")
    result = {
        "machine": describe_machine(),
        "what": f"E + A N^-alpha + B D^-beta; N all parameters, D unique samples times "
        f"{preset.settings.epochs} epochs",
        "trials": f"{sum(row['key'] in wanted for row in rows)} of the preset's {len(wanted)}",
        "flops": "6 x multiplications with addition of one image forward x D",
        "seconds": round(sum(float(row["seconds"]) for row in rows)),
        "laws": laws,
    }
    text = json.dumps(result, indent=2) + "\n"
    write_text(RESULTS / f"scaling_{args.preset}.json", text)
    print(text)


def describe(law: PowerLawFit) -> dict[str, Any]:
    """Parameters with intervals, how N grows with C under the best division, and what is unsure."""
    described: dict[str, Any] = {
        "runs": len(law.loss),
        "params": {name: float(f"{v:.4g}") for name, v in law.params.items()},
        "intervals_95": {
            name: [float(f"{v:.3g}") for v in bounds] for name, bounds in law.intervals().items()
        },
    }
    try:
        best = optimal_allocation(law, 6.0 * float(law.variables.prod(axis=0).max()))
    except AllmlpError as e:
        described["exponent_of_N"] = str(e)
    else:
        described["exponent_of_N"] = round(best.exponent, 3)
        described["exponent_of_N_95"] = [round(v, 3) for v in best.intervals["exponent"]]
    held = hold_out(law)
    return described | {
        "rms_of_log": round(float(np.sqrt(np.mean(law.residuals**2))), 3),
        "held_out": {"runs": len(held.rows), "mean": round(held.mean, 3)},
        "notes": list(law.notes),
    }


def frontier(compute: Any, target: Any) -> dict[str, Any]:
    """Bachmann's law E + A (C + b)^-alpha through the frontier: too low, as minima of noise are."""
    rows = pareto_frontier(compute, target)
    try:
        law = fit_power_law(compute[rows], target[rows], form="shifted", bootstrap=0)
    except AllmlpError as e:
        return {"frontier": {"runs": len(rows), "none": str(e)}}
    params = {name: float(f"{v:.4g}") for name, v in law.params.items()}
    return {"frontier": {"runs": len(rows), "params": params, "notes": list(law.notes)}}


if __name__ == "__main__":
    main()
