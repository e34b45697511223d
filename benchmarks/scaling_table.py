"""Laws of the table of digits: each family, in the loss and in the error.

allmlp scale run digits --out SWEEP
python benchmarks/scaling_digits.py SWEEP/table.csv

Copies the table to benchmarks/results/scaling_digits.csv and writes scaling_digits.json beside it.
"""

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np

from allmlp.bench import describe_machine
from allmlp.scaling import fit_power_law, hold_out
from allmlp.scaling.pictures import draw_law

RESULTS = Path(__file__).parent / "results"
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "scaling_digits.svg"


def main(path: Path) -> None:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    laws = {}
    for family in sorted({row["family"] for row in rows}):
        own = [row for row in rows if row["family"] == family]
        column = {
            name: np.array([float(row[name]) for row in own])
            for name in ("parameters", "seen", "loss", "error")
        }
        for target in ("loss", "error"):
            law = fit_power_law(
                (column["parameters"], column["seen"]), column[target], bootstrap=200
            )
            held = hold_out(law)
            laws[f"{family}, {target}"] = {
                "runs": len(own),
                "params": {name: float(f"{v:.4g}") for name, v in law.params.items()},
                "intervals_95": {
                    name: [float(f"{v:.3g}") for v in bounds]
                    for name, bounds in law.intervals().items()
                },
                "rms_of_log": round(float(np.sqrt(np.mean(law.residuals**2))), 3),
                "held_out": {"runs": len(held.rows), "mean": round(held.mean, 3)},
                "notes": list(law.notes),
            }
            if (family, target) == ("mlp", "loss"):
                draw_law(law).savefig(PICTURE)
    result = {
        "machine": describe_machine(),
        "what": "E + A N^-alpha + B D^-beta; N all parameters, D unique samples times 20 epochs",
        "flops": "6 x multiplications with addition of one image forward x D",
        "seconds": round(sum(float(row["seconds"]) for row in rows)),
        "laws": laws,
    }
    print(json.dumps(result, indent=2))
    text = json.dumps(result, indent=2) + "\n"
    (RESULTS / "scaling_digits.json").write_text(text, encoding="utf-8")
    if path.resolve() != (RESULTS / "scaling_digits.csv").resolve():
        shutil.copy(path, RESULTS / "scaling_digits.csv")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
