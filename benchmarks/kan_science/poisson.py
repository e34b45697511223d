"""A KAN that solves Poisson's equation, beside an MLP and the KAN paper.

    python benchmarks/kan_science/poisson.py --models kan --seeds 1

The setting is the paper's (arXiv:2404.19756, §3.4): u = sin(pi x) sin(pi y^2) on [-1, 1]^2, whose
Laplacian f is given, and u = 0 on the boundary; 10,000 random points inside, 800 on the boundary,

    loss = 0.01 mean (u_xx + u_yy - f)^2 + mean u_boundary^2.

The KAN is [2, 10, 1] in float64 (the paper's, of two layers and width 10). LBFGS_STEPS of LBFGS on
the coarsest of GRIDS, the Laplacian by differentiating twice, then damped Gauss-Newton on every
grid (`torch.func` gives each point's derivatives by the weights); every grid begins by moving the
hidden ones to the values. All but the last take the first COARSE points inside: they bring the
network near, and a step costs a tenth. `kan, lbfgs` takes LBFGS alone, 200 passes on every grid,
and `mlp` (four hidden layers of 100, tanh, as the paper's) 800 passes over all points.

Errors are over a grid of 201 x 201 points, from which nothing is learned: mean (u - v)^2, and with
the mean square of the gradients' difference (H1). The paper's figure gives about 1e-7 for its KAN
and 1e-5 for its MLP. Rows (model, seed) are written as they come; a second call measures what is
missing.
"""

import argparse
import itertools
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, vmap

from allmlp import KAN, fit
from allmlp.bench import Record

RESULT = Path(__file__).parents[1] / "results" / "kan_poisson.json"
INSIDE, BOUNDARY, COARSE = 10_000, 800, 1_000
ALPHA = 0.01
GRIDS = (3, 6, 12, 24)
LBFGS_STEPS = 3  # of at most 20 passes each
STEPS = {3: 12, 6: 16, 12: 24, 24: 6}  # of Gauss-Newton
PAPER = {"kan": 1e-7, "kan, lbfgs": 1e-7, "mlp": 1e-5}  # mean (u - v)^2


def solution(x: Tensor) -> Tensor:
    return torch.sin(math.pi * x[:, :1]) * torch.sin(math.pi * x[:, 1:] ** 2)


def source(x: Tensor) -> Tensor:
    """Its Laplacian."""
    wave, y = torch.sin(math.pi * x[:, :1]), x[:, 1:]
    inner = math.pi * y**2
    along = 2 * math.pi * torch.cos(inner) - (2 * math.pi * y) ** 2 * torch.sin(inner)
    return wave * (along - math.pi**2 * torch.sin(inner))


def laplacian(model: nn.Module, x: Tensor) -> Tensor:
    points = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(model(points).sum(), points, create_graph=True)
    total = torch.zeros_like(x[:, :1])
    for n in range(x.shape[1]):
        (second,) = torch.autograd.grad(slope[:, n].sum(), points, create_graph=True)
        total = total + second[:, n : n + 1]
    return total


def errors(model: nn.Module) -> dict[str, float]:
    line = torch.linspace(-1, 1, 201, dtype=torch.float64)
    points = torch.cartesian_prod(line, line).requires_grad_()
    difference = model(points) - solution(points)
    (slope,) = torch.autograd.grad(difference.sum(), points)
    value = float(difference.detach().square().mean())
    return {"l2_squared": value, "h1_squared": value + float(slope.square().sum(1).mean())}


def boundary() -> Tensor:
    line = torch.linspace(-1, 1, BOUNDARY // 4, dtype=torch.float64)
    end = torch.ones_like(line)
    sides = ((line, end), (line, -end), (end, line), (-end, line))
    return torch.cat([torch.stack(side, dim=1) for side in sides])


def train(model: nn.Module, inside: Tensor, steps: int) -> float:
    """By LBFGS."""
    edge, given = boundary(), source(inside)

    def equation(network: nn.Module, _: Tensor) -> Tensor:
        return ALPHA * (laplacian(network, inside) - given).square().mean()

    history = fit(
        model, edge, torch.zeros_like(edge[:, :1]), penalty=equation, optimizer="lbfgs", steps=steps
    )
    return float(history["train/loss"][-1])


def gauss_newton(model: KAN, inside: Tensor, steps: int) -> float:
    """The same loss as least squares: at most so many damped steps that lower it."""
    edge, given = boundary(), source(inside)
    parts = math.sqrt(ALPHA / len(inside)), math.sqrt(1 / len(edge))
    parameters = list(model.parameters())

    def value(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(model, weights, (x[None],))[0, 0]

    def curvature(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return hessian(value, argnums=1)(weights, x).diagonal().sum()

    def rows(function: Any, points: Tensor) -> Tensor:
        weights = {name: p.detach() for name, p in model.named_parameters()}
        slopes = vmap(grad(function), in_dims=(None, 0), chunk_size=2000)(weights, points)
        return torch.cat([slope.flatten(1) for slope in slopes.values()], dim=1)

    def residuals() -> Tensor:
        within = laplacian(model, inside).detach() - given
        with torch.no_grad():
            return torch.cat([parts[0] * within, parts[1] * model(edge)])

    flat = torch.nn.utils.parameters_to_vector(parameters).detach()
    left = residuals()
    loss, damping = float(left.square().sum()), 1e-3
    for _ in range(steps):
        slopes = [parts[0] * rows(curvature, inside), parts[1] * rows(value, edge)]
        matrix = torch.cat([torch.cat(slopes), left], dim=1)
        triangle = torch.linalg.qr(matrix, mode="r").R
        size = triangle[:-1, :-1].norm(dim=0)
        size = size.clamp(min=1e-6 * float(size.max()))
        for _ in range(8):
            damped = torch.cat([triangle[:-1, :-1], torch.diag(math.sqrt(damping) * size)])
            against = torch.cat([triangle[:-1, -1:], torch.zeros(len(flat), 1).to(flat)])
            change = -torch.linalg.lstsq(damped, against).solution[:, 0]
            torch.nn.utils.vector_to_parameters(flat + change, parameters)
            tried = residuals()
            if float(tried.square().sum()) < loss:
                break
            damping *= 5
        else:
            torch.nn.utils.vector_to_parameters(flat, parameters)
            break
        flat, left, loss = flat + change, tried, float(tried.square().sum())
        damping = max(damping / 5, 1e-15)
    return loss


def measure(name: str, seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1000 + seed)
    inside = torch.rand(INSIDE, 2, dtype=torch.float64, generator=generator) * 2 - 1
    torch.manual_seed(seed)
    worked, started = time.process_time(), time.perf_counter()
    stages: list[dict[str, Any]] = []
    model: nn.Module
    if name == "mlp":
        widths, layers = [2, 100, 100, 100, 100], []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.Tanh()]
        model = nn.Sequential(*layers, nn.Linear(100, 1)).double()
        stages.append({"loss": train(model, inside, 40), **errors(model)})
    else:
        kan = KAN([2, 10, 1], grid=GRIDS[0]).double()
        for grid in GRIDS:
            points = inside if grid == GRIDS[-1] else inside[:COARSE]
            if grid != kan.config.grid:
                kan = kan.refine(grid)
            for part in range(2):
                kan = kan.update_grid(points, layers=[1], uniform_share=1.0, margin=0.1).model
                if name == "kan, lbfgs":
                    loss = train(kan, points, 5)
                    continue
                if grid == GRIDS[0] and part == 0:
                    train(kan, points, LBFGS_STEPS)
                loss = gauss_newton(kan, points, STEPS[grid] // 2)
            seconds = round(time.process_time() - worked, 1)
            stages.append({"grid": grid, "loss": loss, **errors(kan), "cpu_seconds": seconds})
            print(json.dumps(stages[-1]), flush=True)
        model = kan
    return {
        "model": name,
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        **errors(model),
        "paper_l2_squared": PAPER[name],
        "cpu_seconds": round(time.process_time() - worked, 1),
        "seconds": round(time.perf_counter() - started, 1),
        "stages": stages,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["kan"], choices=list(PAPER))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--result", type=Path, default=RESULT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = {"grids": GRIDS, "steps": STEPS, "coarse": COARSE, "inside": INSIDE}
    record = Record(args.result, ("seed", "model"), settings)
    for seed, name in record.missing(itertools.product(range(args.seeds), args.models)):
        record.add(measure(name, seed))


if __name__ == "__main__":
    main()
