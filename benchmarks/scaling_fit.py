"""The fit of a Chinchilla law, against L-BFGS from 200 starts as papers do it.

python benchmarks/scaling_fit.py svg_extracted_data.csv

The file is data/svg_extracted_data.csv of github.com/epoch-research/analyzing-chinchilla; it has no
licence, so it is not part of this repository. Writes benchmarks/results/scaling_fit.json.
"""

import csv
import itertools
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from allmlp.bench import describe_machine, take_turns
from allmlp.scaling import fit_power_law
from allmlp.scaling.estimate import Runs
from allmlp.scaling.forms import Powers

RESULT = Path(__file__).parent / "results" / "scaling_fit.json"
ROUNDS, STARTS, DROPPED = 10, 200, 5


def read(path: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    N, C, loss = (
        np.array([float(row[name]) for row in rows])
        for name in ("Model Size", "Training FLOP", "loss")
    )
    kept = np.sort(np.argsort(loss)[:-DROPPED])  # the five largest losses, as the replication does
    return N[kept], (C / 6 / N)[kept], loss[kept]


def hoffmann_starts() -> NDArray[np.float64]:
    """200 of the paper's grid, as (a, b, e, alpha, beta) about x = 1."""
    axes = [np.arange(0, 30, 5), np.arange(0, 30, 5), np.arange(-1, 1.5, 0.5)]
    grid = list(itertools.product(*axes, np.arange(0, 2.5, 0.5), np.arange(0, 2.5, 0.5)))
    return np.array(grid)[np.random.default_rng(0).choice(len(grid), STARTS, replace=False)]


def main(path: str) -> None:
    N, D, loss = read(path)
    form, starts = Powers(2), hoffmann_starts()
    runs = Runs(np.log([N, D]), np.zeros(2), np.log(loss), np.ones(len(loss)), 1e-3)

    def by_starts(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        return runs.objective(form, theta)

    found = {}

    def many_starts() -> None:
        options = {"ftol": 1e-14, "gtol": 1e-10, "maxiter": 2000}
        ends = [
            minimize(by_starts, start, jac=True, method="L-BFGS-B", options=options)
            for start in starts
        ]
        found["200 starts"] = float(min(end.fun for end in ends))

    def ours() -> None:
        found["fit_power_law"] = fit_power_law((N, D), loss, bootstrap=0).objective

    times = take_turns({"fit_power_law": ours, "200 starts": many_starts}, rounds=ROUNDS)
    slow, fast = times["200 starts"], times["fit_power_law"]
    result = {
        "machine": describe_machine(),
        "what": f"{len(loss)} runs, E + A N^-alpha + B D^-beta, Huber delta 1e-3, no intervals",
        "rounds": ROUNDS,
        "results": {
            name: {
                "ms_min": round(1e3 * t.min, 1),
                "ms_median": round(1e3 * t.median, 1),
                "objective": found[name],
            }
            for name, t in times.items()
        },
        "ratio_min": round(slow.min / fast.min, 1),
        "ratio_median": round(slow.median / fast.median, 1),
    }
    print(json.dumps(result, indent=2))
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
