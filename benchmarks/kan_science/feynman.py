"""KANs beside MLPs on ten of Feynman's formulas and on seven special functions of two variables.

    python benchmarks/kan_science/feynman.py --functions I.6.2 I.44.4 kv --seeds 3

The formulas are those of the KAN paper (arXiv:2404.19756, tables 1 and 2), whose columns stand
beside ours. The paper gives the lowest test error over shapes, grids and seeds. Here three parts of
POINTS uniform points are drawn for every seed: one is trained on, one chooses shape, grid,
activation and step, and the third is seen once; the table has the median over seeds. The ranges
are ours, near those of pykan's collection: the paper does not say all of its own, so its numbers
tell the order of magnitude of an error and no more.

Both families get inputs scaled to [-1, 1], float64, random first weights, and about the same
processor time (`cpu_seconds` says what each family's whole choice has cost). A KAN has WIDTH nodes
in every hidden layer, one to --hidden of them, and is trained by `fit_kan` on GRIDS, 50 steps of
Levenberg-Marquardt on each. An MLP has MLP_WIDTH nodes in as many hidden layers, tanh or SiLU, and
takes 300 steps of LBFGS, of at most 20 passes over the points each.

Rows (function, family, seed) are written as they come; a second call measures what is missing.
"""

import argparse
import itertools
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.special
import torch
from torch import Tensor, nn

from allmlp import KAN, fit
from allmlp.bench import Record
from allmlp.training import fit_kan

RESULT = Path(__file__).parents[1] / "results" / "kan_feynman.json"
POINTS = 1000
WIDTH, MLP_WIDTH = 5, 20
GRIDS = (3, 5, 10, 20)
STEPS, MLP_STEPS = 50, 300
Ranges = tuple[tuple[float, float], tuple[float, float]]
TURN = (0.0, 2 * math.pi)


@dataclass(frozen=True)
class Target:
    """A function of two variables, where it is asked, and what the paper has for it."""

    text: str
    function: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ranges: Ranges
    paper_kan: float  # lowest test RMSE: unpruned KAN (Feynman), best KAN (special functions)
    paper_mlp: float


TARGETS = {
    "I.6.2": Target(
        "exp(-t^2 / (2 s^2)) / sqrt(2 pi s^2)",
        lambda t, s: np.exp(-(t**2) / (2 * s**2)) / np.sqrt(2 * np.pi * s**2),
        ((-1, 1), (0.5, 2)),
        4.60e-5,
        1.45e-4,
    ),
    "I.12.11": Target(
        "1 + a sin(t)", lambda a, t: 1 + a * np.sin(t), ((-1, 1), TURN), 9.13e-4, 6.71e-4
    ),
    "I.16.6": Target(
        "(a + b) / (1 + a b)",
        lambda a, b: (a + b) / (1 + a * b),
        ((-0.8, 0.8), (-0.8, 0.8)),
        1.53e-3,
        6.20e-4,
    ),
    "I.26.2": Target(
        "arcsin(n sin(t))",
        lambda n, t: np.arcsin(n * np.sin(t)),
        ((0, 0.99), TURN),
        8.63e-4,
        1.24e-3,
    ),
    "I.27.6": Target(
        "1 / (1 + a b)", lambda a, b: 1 / (1 + a * b), ((0.5, 2), (0.5, 2)), 2.14e-4, 2.46e-4
    ),
    "I.30.5": Target(
        "arcsin(a / n)", lambda a, n: np.arcsin(a / n), ((-1, 1), (1, 1.5)), 6.92e-5, 9.45e-5
    ),
    "I.37.4": Target(
        "1 + a + 2 sqrt(a) cos(d)",
        lambda a, d: 1 + a + 2 * np.sqrt(a) * np.cos(d),
        ((0.1, 1), TURN),
        3.41e-4,
        5.67e-4,
    ),
    "I.44.4": Target("n ln(a)", lambda n, a: n * np.log(a), ((0, 1), (0.5, 2)), 1.10e-4, 3.99e-4),
    "I.50.26": Target(
        "cos(a) + b cos(a)^2",
        lambda a, b: np.cos(a) + b * np.cos(a) ** 2,
        (TURN, (0, 1)),
        4.90e-4,
        1.53e-3,
    ),
    "II.2.42": Target("(a - 1) b", lambda a, b: (a - 1) * b, ((0, 1), (0, 1)), 1.22e-3, 1.81e-4),
    "lpmv": Target(
        "P_v(x), Legendre",
        lambda v, x: scipy.special.lpmv(0, v, x),
        ((0, 4), (-0.9, 0.9)),
        5.25e-5,
        1.74e-2,
    ),
    "jv": Target("J_v(x), Bessel", scipy.special.jv, ((0, 4), (0.5, 10)), 1.64e-3, 5.52e-3),
    "yv": Target("Y_v(x), Bessel", scipy.special.yv, ((0, 1), (0.5, 10)), 1.49e-5, 3.45e-4),
    "kv": Target("K_v(x), Bessel", scipy.special.kv, ((0, 1), (0.5, 4)), 2.52e-5, 1.67e-4),
    "ellipkinc": Target(
        "F(p | m), elliptic", scipy.special.ellipkinc, ((0, 1.5), (0, 0.9)), 1.24e-4, 5.52e-4
    ),
    "ellipeinc": Target(
        "E(p | m), elliptic", scipy.special.ellipeinc, ((0, 1.5), (0, 0.9)), 8.26e-5, 3.04e-4
    ),
    "ellipj": Target(
        "sn(u | m), Jacobi",
        lambda u, m: scipy.special.ellipj(u, m)[0],
        ((0, 6), (0, 0.9)),
        1.33e-4,
        6.48e-4,
    ),
}


def part(target: Target, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = 2 * torch.rand(POINTS, 2, dtype=torch.float64, generator=generator) - 1
    low, high = torch.tensor(target.ranges, dtype=torch.float64).T
    raw = (low + (high - low) * (x + 1) / 2).numpy()
    return x, torch.from_numpy(target.function(*raw.T))[:, None]


def rmse(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float((model(x) - y).square().mean().sqrt())


def mlp(hidden: int, activation: type[nn.Module]) -> nn.Sequential:
    widths = [2, *[MLP_WIDTH] * hidden]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 1)).double()


def best_kan(parts: list[tuple[Tensor, Tensor]], hidden: int, seed: int) -> dict[str, Any]:
    train, choose, test = parts
    worked, found = time.process_time(), []
    for depth in range(1, hidden + 1):
        torch.manual_seed(seed)
        model = KAN([2, *[WIDTH] * depth, 1], grid=GRIDS[0]).double()
        done = fit_kan(model, *train, grids=GRIDS, steps=STEPS, validation=choose, seed=seed)
        found.append((rmse(done.model, *choose), depth, done.model))
    error, depth, model = min(found, key=lambda one: one[0])
    return {
        "hidden": depth,
        "grid": model.config.grid,
        "parameters": model.count_parameters(),
        "choice_rmse": error,
        "test_rmse": rmse(model, *test),
        "cpu_seconds": round(time.process_time() - worked, 1),
    }


def best_mlp(parts: list[tuple[Tensor, Tensor]], hidden: int, seed: int) -> dict[str, Any]:
    train, choose, test = parts
    worked, found = time.process_time(), []
    for depth in range(1, hidden + 1):
        for activation in (nn.Tanh, nn.SiLU):
            torch.manual_seed(seed)
            model = mlp(depth, activation)
            fit(
                model,
                *train,
                optimizer="lbfgs",
                steps=MLP_STEPS,
                validation=choose,
                keep_best=True,
                seed=seed,
            )
            found.append((rmse(model, *choose), depth, activation.__name__, model))
    error, depth, name, model = min(found, key=lambda one: one[0])
    return {
        "hidden": depth,
        "activation": name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "choice_rmse": error,
        "test_rmse": rmse(model, *test),
        "cpu_seconds": round(time.process_time() - worked, 1),
    }


FAMILIES = {"kan": best_kan, "mlp": best_mlp}


def measure(name: str, family: str, seed: int, hidden: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1000 + seed)
    parts = [part(TARGETS[name], generator) for _ in range(3)]
    found = FAMILIES[family](parts, hidden, seed)
    return {"function": name, "family": family, "seed": seed, **found}


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    table = []
    for name, target in TARGETS.items():
        line: dict[str, Any] = {"function": name, "text": target.text, "ranges": target.ranges}
        for family in FAMILIES:
            own = [r for r in rows if (r["function"], r["family"]) == (name, family)]
            if own:
                line[family] = statistics.median(row["test_rmse"] for row in own)
                line[f"{family}_seeds"] = len(own)
                line[f"{family}_cpu_seconds"] = statistics.median(r["cpu_seconds"] for r in own)
        if len(line) > 3:
            table.append(line | {"paper_kan": target.paper_kan, "paper_mlp": target.paper_mlp})
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--functions", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=2, help="hidden layers at most")
    parser.add_argument("--result", type=Path, default=RESULT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = {
        "points": POINTS,
        "hidden": args.hidden,
        "kan": {"width": WIDTH, "grids": GRIDS, "steps": STEPS},
        "mlp": {"width": MLP_WIDTH, "steps": MLP_STEPS, "activations": ["tanh", "silu"]},
    }
    record = Record(args.result, ("seed", "function", "family"), settings, summarise)
    # seed by seed, so that a record cut short has rows of every function
    wanted = itertools.product(range(args.seeds), args.functions, args.families)
    for seed, name, family in record.missing(wanted):
        record.add(measure(name, family, seed, args.hidden))
    record.print_table()


if __name__ == "__main__":
    main()
