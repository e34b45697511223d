"""Do KANs give formulas back? Ten seeds each, with nothing known of the formula.

    python benchmarks/kan_science/recover.py --seeds 10 --formulas exp_sin_square --noise 0

The setting is that of pykan's first notebook: a KAN [2, 5, 1] on three intervals, 1,000 training
points in [-1, 1]^2, float64; 50 steps of LBFGS with pykan's penalty at 1e-3. Then, for 3, 5, 10 and
20 intervals, prune and take 50 steps of Levenberg-Marquardt (`fit_kan`); then `search_symbolic`.
Everything else is the library's default. (The notebook prunes once, refines once, and goes on with
LBFGS: the splines then miss the functions by a thousandth, too much to tell a sine's top from a
parabola, and a node that the fit no longer needs stays.) Training and test points depend on the
seed; the test points (1,000) are seen once, at the end, without noise; the formula is verified on
them against the network.

A formula counts as recovered if the test RMSE is below 1e-6 of the outputs' deviation (without
noise) or below a tenth of the noise's. Rows (formula, noise, seed) are written as they come; a
second call measures what is missing.
"""

import argparse
import itertools
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from allmlp import KAN, fit
from allmlp.bench import Record
from allmlp.errors import AllmlpError
from allmlp.interpret.kan import prune, search_symbolic, symbolic_formula
from allmlp.training import KANPenalty, fit_kan

RESULT = Path(__file__).parents[1] / "results" / "kan_recover.json"
STEPS = 50
GRIDS = (3, 5, 10, 20)
FORMULAS: dict[str, tuple[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "exp_sin_square": (
        "exp(sin(pi x) + y^2)",
        lambda x, y: torch.exp(torch.sin(math.pi * x) + y**2),
    ),
    "product": ("x y", lambda x, y: x * y),
    "ratio": ("(1 + x) / (2 + y)", lambda x, y: (1 + x) / (2 + y)),
    "root": ("sqrt(1 + x^2 + y^2)", lambda x, y: torch.sqrt(1 + x**2 + y**2)),
    "tanh_sum": ("tanh(2 x + y^3)", lambda x, y: torch.tanh(2 * x + y**3)),
    "log_sum": ("log(1.5 + x + y^2)", lambda x, y: torch.log(1.5 + x + y**2)),
}


def rmse(model: KAN, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float((model(x) - y).square().mean().sqrt())


def measure(name: str, noise: float, seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1000 + seed)
    function = FORMULAS[name][1]
    x, x_test = (
        torch.rand(1000, 2, dtype=torch.float64, generator=generator) * 2 - 1 for _ in "ab"
    )
    y, y_test = function(*x.T)[:, None], function(*x_test.T)[:, None]
    size = float(y_test.std())
    shaken = torch.randn(y.shape, dtype=torch.float64, generator=generator)
    y = y + noise * y.std() * shaken
    torch.manual_seed(seed)
    started, worked = time.perf_counter(), time.process_time()
    model = KAN([2, 5, 1], grid=3).double()
    row: dict[str, Any] = {"formula": name, "noise": noise, "seed": seed}
    errors = {}
    penalty = KANPenalty("pykan", 1e-3)
    fit(model, x, y, optimizer="lbfgs", steps=STEPS, seed=seed, penalty=penalty)
    errors["sparse"] = rmse(model, x_test, y_test)
    for grid in GRIDS:
        model = prune(model, x).model
        model = fit_kan(model, x, y, grids=[grid], steps=STEPS, seed=seed).model
        errors[f"grid {grid}"] = rmse(model, x_test, y_test)
    row["widths"] = model.config.widths
    found = search_symbolic(model, x, y)
    row["functions"] = [name for _, name in found.best.functions]
    row["front"] = [
        {
            "functions": [n for _, n in law.functions],
            "complexity": law.complexity,
            "error": law.error,
        }
        for law in found.front
    ]
    model = found.best.model
    errors["symbolic"] = rmse(model, x_test, y_test)
    row["test_rmse"] = errors
    try:
        formula = symbolic_formula(model, x, held_out=x_test)
        row["text"] = str(formula.rounded(6)[0])
        row["deviation"] = formula.held_out_deviation
    except AllmlpError as e:  # a result as well: nobody is shown a formula that is not the network
        row["refused"] = str(e)
    allowed = size * (0.1 * noise if noise else 1e-6)
    row["recovered"] = "text" in row and errors["symbolic"] < allowed
    row["seconds"] = round(time.perf_counter() - started, 1)
    row["cpu_seconds"] = round(time.process_time() - worked, 1)  # where others use the machine too
    return row


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    table = []
    for key in dict.fromkeys((row["formula"], row["noise"]) for row in rows):
        own = [row for row in rows if (row["formula"], row["noise"]) == key]
        table.append(
            {
                "formula": FORMULAS[key[0]][0],
                "noise": key[1],
                "seeds": len(own),
                "recovered": sum(row["recovered"] for row in own),
                "median_test_rmse": statistics.median(r["test_rmse"]["symbolic"] for r in own),
                "most_seconds": max(row["seconds"] for row in own),
                "most_cpu_seconds": max(row["cpu_seconds"] for row in own),
            }
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--formulas", nargs="+", default=list(FORMULAS), choices=list(FORMULAS))
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.01])
    parser.add_argument("--result", type=Path, default=RESULT)
    args = parser.parse_args()
    settings = {"steps": STEPS, "grids": GRIDS}
    record = Record(args.result, ("seed", "noise", "formula"), settings, summarise)
    # seed by seed, so that a record cut short has rows of every kind
    wanted = itertools.product(range(args.seeds), args.noise, args.formulas)
    for seed, noise, name in record.missing(wanted):
        record.add(measure(name, noise, seed))
    record.print_table()


if __name__ == "__main__":
    main()
