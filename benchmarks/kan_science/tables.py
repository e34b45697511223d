"""KANs beside MLPs on two tables: at equal parameters, FLOPs and time; epochs to an accuracy.

    python benchmarks/kan_science/tables.py california wine --seeds 3 --epochs 60

California (rows without a gap, eight numbers; RMSE in 100,000 USD) and wine (red and white, eleven
numbers and the colour as 0 and 1; RMSE of the quality). A fifth of the rows is the test part (seed
0); of the others each seed draws a fifth that chooses the learning rate and the epoch. The test
part chooses nothing.

The KAN is [n, WIDTH, 1] on five intervals, cubic; an MLP has one hidden layer of GELUs and a width
such that it has as many parameters, or as many FLOPs a row. FLOPs are those of an implementation
that computes an input's basis once for all its edges (specs: 2 (G + k) + 2 an edge, 25 an input for
the basis, 5 for SiLU; a GELU is counted as 8). "Time" is the MLP of equal FLOPs with as many epochs
as take the KAN's processor time, measured beforehand by turns. All are trained alike: AdamW,
batches of 256, float32, inputs from -1 to 1, targets standardised, the best epoch kept. Every row
has the validation RMSE after each epoch; `epochs_to` of the table counts the epochs, in the median
over seeds, to what the weakest model's first seed reaches at its best, and to 1 and 2 % above it.

Rows (table, model, seed) are written as they come; a second call measures what is missing.
"""

import argparse
import itertools
import math
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from allmlp import KAN, fit
from allmlp.bench import Record
from allmlp.data import read_table

RESULT = Path(__file__).parents[1] / "results" / "kan_tables.json"
SHARED = (
    Path(os.environ.get("ALLMLP_SHARED", Path(__file__).parents[3] / "shared" / "data")) / "tabular"
)
WIDTH, GRID, DEGREE = 16, 5, 3
RATES = (3e-3, 1e-2, 3e-2)
LEVELS = (1.02, 1.01, 1.0)  # of the weakest model's best validation RMSE
MODELS = ("kan", "mlp, equal parameters", "mlp, equal FLOPs", "mlp, equal time")


def california() -> tuple[np.ndarray, np.ndarray]:
    table = read_table(SHARED / "california_housing.csv").drop("ocean_proximity")
    y = table["median_house_value"] / 1e5
    x = np.column_stack(table.drop("median_house_value").columns)
    there = ~np.isnan(x).any(axis=1)
    return x[there], y[there]


def wine() -> tuple[np.ndarray, np.ndarray]:
    parts = []
    for place, colour in enumerate(("red", "white")):
        rows = np.loadtxt(SHARED / f"winequality-{colour}.csv", delimiter=",")
        parts.append(np.column_stack([rows, np.full(len(rows), place)]))
    rows = np.concatenate(parts)
    return np.delete(rows, 11, axis=1), rows[:, 11]


TABLES = {"california": california, "wine": wine}


def flops(model: nn.Module, inputs: int) -> int:
    """Of one row, forward."""
    if isinstance(model, KAN):
        edges = inputs * WIDTH + WIDTH
        return edges * (2 * (GRID + DEGREE) + 2) + (25 + 5) * (inputs + WIDTH)
    hidden = model[0].out_features  # type: ignore[index]
    return int(2 * hidden * (inputs + 1) + 8 * hidden)


def make(name: str, inputs: int) -> nn.Module:
    kan = KAN([inputs, WIDTH, 1], grid=GRID, k=DEGREE)
    if name == "kan":
        return kan
    if name == "mlp, equal parameters":
        hidden = round((sum(p.numel() for p in kan.parameters()) - 1) / (inputs + 2))
    else:
        hidden = round(flops(kan, inputs) / (2 * (inputs + 1) + 8))
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, 1))


def split(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order = np.random.default_rng(0).permutation(count)
    test, rest = np.split(order, [count // 5])
    rest = np.random.default_rng(seed + 1).permutation(rest)
    val, train = np.split(rest, [len(rest) // 5])
    return train, val, test


def seconds_an_epoch(name: str, x: torch.Tensor, y: torch.Tensor) -> float:
    torch.manual_seed(0)
    model = make(name, x.shape[1])
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        fit(model, x, y, epochs=1, batch_size=256)
        best = min(best, time.process_time() - started)
    return best


def measure(table: str, name: str, seed: int, epochs: int) -> dict[str, Any]:
    x, y = TABLES[table]()
    train, val, test = split(len(x), seed)
    low, high = x[train].min(0), x[train].max(0)
    x = (2 * x - low - high) / (high - low)
    mean, std = y[train].mean(), y[train].std()
    inputs, targets = (
        torch.from_numpy(x).float(),
        torch.from_numpy((y - mean) / std).float()[:, None],
    )
    ratio = 1.0
    if name == "mlp, equal time":
        times = {
            n: seconds_an_epoch(n, inputs[train], targets[train]) for n in (MODELS[0], MODELS[2])
        }
        ratio = times[MODELS[0]] / times[MODELS[2]]
    found = []
    for lr in RATES:
        torch.manual_seed(seed)
        model = make(name, x.shape[1])
        started = time.process_time()
        history = fit(
            model,
            inputs[train],
            targets[train],
            epochs=max(1, round(epochs * ratio)),
            batch_size=256,
            lr=lr,
            validation=(inputs[val], targets[val]),
            metric="loss",
            keep_best=True,
            seed=seed,
        )
        with torch.no_grad():
            errors = (model(inputs[test]) - targets[test])[:, 0].double() * std
        rmse = float(errors.square().mean().sqrt())
        curve = [math.sqrt(r["val/loss"]) * std for r in history.records if "val/loss" in r]
        found.append((min(curve), lr, rmse, curve, time.process_time() - started))
    _, lr, rmse, curve, seconds = min(found)
    return {
        "table": table,
        "model": name,
        "seed": seed,
        "rmse": rmse,
        "lr": lr,
        "best_epoch": 1 + curve.index(min(curve)),
        "val_rmse": [round(value, 5) for value in curve],
        "epochs": max(1, round(epochs * ratio)),
        "parameters": sum(p.numel() for p in model.parameters()),
        "flops": flops(model, x.shape[1]),
        "cpu_seconds": round(seconds, 2),
    }


def epochs_to(rows: list[dict[str, Any]], level: float) -> float | None:
    """Until the validation part is predicted so well, in the median over seeds; None is never."""
    counts = [next((n for n, v in enumerate(r["val_rmse"], 1) if v <= level), None) for r in rows]
    reached = [n for n in counts if n is not None]
    return statistics.median(reached) if reached and len(reached) == len(counts) else None


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    table = []
    for key in dict.fromkeys((row["table"], row["model"]) for row in rows):
        own = [row for row in rows if (row["table"], row["model"]) == key]
        # rows of the first record have no curves
        timed = [row for row in own if "val_rmse" in row]
        bests = [
            min(row["val_rmse"])
            for row in rows
            if row["table"] == key[0] and row["seed"] == 0 and "val_rmse" in row
        ]
        levels = [f * max(bests) for f in LEVELS] if bests else []
        table.append(
            {
                "table": key[0],
                "model": key[1],
                "seeds": len(own),
                "rmse": statistics.mean(row["rmse"] for row in own),
                "rmse_of_seeds": [round(row["rmse"], 4) for row in own],
                "epochs_to": {f"{level:.4f}": epochs_to(timed, level) for level in levels},
                "parameters": own[0]["parameters"],
                "flops": own[0]["flops"],
            }
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="+", choices=list(TABLES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--result", type=Path, default=RESULT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    record = Record(args.result, ("table", "seed", "model"), {"epochs": args.epochs}, summarise)
    wanted = itertools.product(args.tables, range(args.seeds), MODELS)
    for table, seed, name in record.missing(wanted):
        record.add(measure(table, name, seed, args.epochs))
    record.print_table()


if __name__ == "__main__":
    main()
