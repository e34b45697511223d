"""Read a law off data: train a KAN, prune it, name its functions, and check the formula.

python examples/22_kan_law.py [--steps 50]
"""

import argparse
import math

import torch

from allmlp import KAN, fit
from allmlp.interpret.kan import draw_kan, prune, search_symbolic, symbolic_formula
from allmlp.training import KANPenalty, fit_kan


def law(x: torch.Tensor) -> torch.Tensor:
    """exp(sin(pi x) + y^2), which nobody below knows of."""
    return torch.exp(torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2)


def main() -> None:
    """Half a minute on one core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50, help="of training, each time")
    steps = parser.parse_args().steps
    generator = torch.Generator().manual_seed(1000)
    x, test = (
        torch.rand(n, 2, dtype=torch.float64, generator=generator) * 2 - 1 for n in (1000, 500)
    )
    y = law(x)
    torch.manual_seed(0)
    model = KAN([2, 5, 1], grid=3).double()
    fit(model, x, y, optimizer="lbfgs", steps=steps, penalty=KANPenalty("pykan", 1e-3))
    pruned = prune(model, x)
    print(
        f"widths after pruning: {pruned.model.config.widths}, "
        f"outputs moved by {pruned.change.item():.1%}"
    )
    model = pruned.model
    for grid in (3, 5, 10, 20):
        model = prune(model, x).model  # what the last fit no longer needed
        trained = fit_kan(model, x, y, grids=[grid], steps=steps)
        model = trained.model
        print(f"{grid:2} intervals: RMSE {trained.error:.1e}")
    found = search_symbolic(model, x, y)
    for candidate in found.front:
        names = ", ".join(name for _, name in candidate.functions)
        print(f"complexity {candidate.complexity:2}, error {candidate.error:.1e}: {names}")
    model = found.best.model
    formula = symbolic_formula(model, x, held_out=test)
    error = (torch.from_numpy(formula(test)) - law(test)).square().mean().sqrt()
    print("formula:", *formula.rounded(6))
    print(f"test RMSE {error:.1e}, formula and network differ by {formula.held_out_deviation:.0e}")
    draw_kan(model, x).savefig("kan_law.svg")


if __name__ == "__main__":
    main()
