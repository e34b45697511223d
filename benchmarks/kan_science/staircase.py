"""How far down does the error of a KAN go as its grid is refined?

    python benchmarks/kan_science/staircase.py --seeds 3

Two formulas whose shape the network has: exp(sin(pi x) + y^2) on [2, 1, 1] and
exp((sin(pi (x1^2 + x2^2)) + sin(pi (x3^2 + x4^2))) / 2) on [4, 2, 1, 1], inputs uniform in
[-1, 1], float64, random first weights. `fit_kan` trains grid after grid by Levenberg-Marquardt.
Both try STARTS first weights on the coarsest grid and on FIRST of the points, by the training error
alone: of the flat network's about one in six ends in a valley near 0.8, of the deep one's most in
one near 0.27, and pykan's way into its notebook's result, 20 steps of LBFGS with a penalty of 2e-3
and pruning, did not lead out of it (one seed tried). Test points (4,000) are other ones, judged
without noise.

The floor is the error with every univariate part replaced by its least-squares cubic spline on so
many intervals: what a perfect optimiser reaches, but for errors of parts that cancel. Rows
(task, seed) are written as they come; a second call measures what is missing.
"""

import argparse
import itertools
import math
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from allmlp import KAN
from allmlp.bench import Record
from allmlp.training import fit_kan

RESULT = Path(__file__).parents[1] / "results" / "kan_staircase.json"
FLOORS = {
    "flat": {3: 1.8e-2, 5: 6.5e-3, 10: 2.9e-4, 20: 1.6e-5, 50: 4.1e-7, 100: 2.6e-8, 200: 1.6e-9},
    "deep": {3: 8.8e-3, 5: 3.4e-3, 10: 1.5e-4, 20: 8.3e-6},
}
STARTS = {"flat": 10, "deep": 40}
SAMPLES = {"flat": 12_000, "deep": 12_000}
FIRST = 1_000  # of them, on the coarsest grid


def law(task: str, x: Tensor) -> Tensor:
    if task == "flat":
        return torch.exp(torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2)
    pairs = x.square().unflatten(1, (2, 2)).sum(2)
    return torch.exp(torch.sin(math.pi * pairs).sum(1, keepdim=True) / 2)


def measure(task: str, seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1000 + seed)
    columns = 2 if task == "flat" else 4
    x, x_test = (
        torch.rand(n, columns, dtype=torch.float64, generator=generator) * 2 - 1
        for n in (SAMPLES[task], 4000)
    )
    y, y_test = law(task, x), law(task, x_test)
    torch.manual_seed(seed)
    worked = time.process_time()
    model = KAN([2, 1, 1] if task == "flat" else [4, 2, 1, 1], grid=3).double()
    stages = []
    for grid, floor in FLOORS[task].items():
        first = grid == min(FLOORS[task])
        options: dict[str, Any] = (
            {"starts": STARTS[task], "updates": 5, "steps": 60} if first else {}
        )
        rows = slice(FIRST if first else None)
        done = fit_kan(model, x[rows], y[rows], grids=[grid], seed=100 * seed, **options)
        model = done.model
        with torch.no_grad():
            error = float((model(x_test) - y_test).square().mean().sqrt())
        stages.append(
            {
                "grid": grid,
                "train_rmse": done.error,
                "test_rmse": error,
                "floor": floor,
                "over_floor": round(error / floor, 2),
                "steps": sum(len(h.records) for h in done.stages[0].histories),
            }
        )
    return {
        "task": task,
        "seed": seed,
        "widths": model.config.widths,
        "stages": stages,
        "cpu_seconds": round(time.process_time() - worked, 1),
    }


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    table = []
    for task, floors in FLOORS.items():
        own = [row for row in rows if row["task"] == task]
        for place, (grid, floor) in enumerate(floors.items()):
            errors = [row["stages"][place]["test_rmse"] for row in own]
            if errors:
                table.append(
                    {
                        "task": task,
                        "grid": grid,
                        "floor": floor,
                        "seeds": len(errors),
                        "median_test_rmse": statistics.median(errors),
                        "median_over_floor": round(statistics.median(errors) / floor, 2),
                        "worst_over_floor": round(max(errors) / floor, 2),
                    }
                )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--tasks", nargs="+", default=list(FLOORS), choices=list(FLOORS))
    parser.add_argument("--result", type=Path, default=RESULT)
    args = parser.parse_args()
    settings = {"samples": SAMPLES, "starts": STARTS}
    record = Record(args.result, ("seed", "task"), settings, summarise)
    for seed, task in record.missing(itertools.product(range(args.seeds), args.tasks)):
        record.add(measure(task, seed))
    record.print_table()


if __name__ == "__main__":
    main()
