"""Solve Poisson's equation with a KAN: the loss is the equation, the derivatives are its own.

python examples/25_kan_poisson.py [--steps 10]
"""

import argparse
import math

import torch
from torch import nn

from allmlp import KAN, fit


def solution(x: torch.Tensor) -> torch.Tensor:
    """sin(pi x) sin(pi y), zero on the boundary of [-1, 1]^2; only the end looks at it."""
    return torch.sin(math.pi * x).prod(dim=1, keepdim=True)


def laplacian(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """u_xx + u_yy at points (n, 2), differentiable by the weights."""
    points = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(model(points).sum(), points, create_graph=True)
    seconds = [
        torch.autograd.grad(slope[:, n].sum(), points, create_graph=True)[0][:, n] for n in (0, 1)
    ]
    return sum(seconds[1:], seconds[0])[:, None]


def main() -> None:
    """A quarter of a minute on one core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10, help="of LBFGS, 20 passes each, per grid")
    steps = parser.parse_args().steps
    generator = torch.Generator().manual_seed(0)
    inside = torch.rand(400, 2, dtype=torch.float64, generator=generator) * 2 - 1
    source = -2 * math.pi**2 * solution(inside)
    line = torch.linspace(-1, 1, 25, dtype=torch.float64)
    end = torch.ones_like(line)
    sides = ((line, end), (line, -end), (end, line), (-end, line))
    boundary = torch.cat([torch.stack(side, dim=1) for side in sides])

    def equation(network: nn.Module, _: torch.Tensor) -> torch.Tensor:
        """What the network leaves of the equation inside; 0.01 balances it with the boundary."""
        return 0.01 * (laplacian(network, inside) - source).square().mean()

    torch.manual_seed(0)
    model = KAN([2, 4, 1], grid=3).double()
    unseen = torch.cartesian_prod(line, line)
    for grid in (3, 6, 12):
        if grid > 3:
            model = model.refine(grid)  # starts where the coarser grid ended
        # hidden values have moved: their grids follow
        model = model.update_grid(inside, layers=[1], uniform_share=1.0, margin=0.1).model
        zero = torch.zeros_like(boundary[:, :1])
        fit(model, boundary, zero, penalty=equation, optimizer="lbfgs", steps=steps)
        with torch.no_grad():
            error = (model(unseen) - solution(unseen)).square().mean().sqrt()
        print(f"{grid:2} intervals: RMSE {error:.1e}, {model.count_parameters()} parameters")


if __name__ == "__main__":
    main()
