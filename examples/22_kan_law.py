"""Read a law off data: train a KAN, prune it, name its functions, and check the formula.

python examples/22_kan_law.py [--steps 50]
"""

import argparse
import math

import torch

from allmlp import KAN, fit
from allmlp.interpret.kan import auto_symbolic, draw_kan, prune, symbolic_formula
from allmlp.training import KANPenalty


def law(x: torch.Tensor) -> torch.Tensor:
    """exp(sin(pi x) + y^2), which nobody below knows of."""
    return torch.exp(torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2)


def main() -> None:
    """Half a minute on one core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50, help="of LBFGS, while edges are thinned")
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
    model = pruned.model
    print(
        f"widths after pruning: {model.config.widths}, outputs moved by {pruned.change.item():.1%}"
    )
    fit(model, x, y, optimizer="lbfgs", steps=steps)
    model = prune(model, x).model.refine(10)
    fit(model, x, y, optimizer="lbfgs", steps=steps)
    model = prune(model, x).model  # what the fit no longer needs
    found = auto_symbolic(model, x)
    for choice in found.chosen:
        print(f"edge {choice.edge}: {choice.function}, 1 - R2 = {1 - choice.r2:.1e}")
    fit(found.model, x, y, optimizer="lbfgs", steps=steps)
    formula = symbolic_formula(found.model, x, held_out=test)
    error = (torch.from_numpy(formula(test)) - law(test)).square().mean().sqrt()
    print("formula:", *formula.rounded(6))
    print(f"test RMSE {error:.1e}, formula and network differ by {formula.held_out_deviation:.0e}")
    draw_kan(found.model, x).savefig("kan_law.svg")


if __name__ == "__main__":
    main()
