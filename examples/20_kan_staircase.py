"""Fit a formula with a KAN, then refine its grid: each doubling starts where the last fit ended.

python examples/20_kan_staircase.py
"""

import math

import torch

from allmlp import KAN


def formula(x: torch.Tensor) -> torch.Tensor:
    """exp(sin(pi x) + y^2), the example of the KAN paper."""
    return (torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2).exp()


def fit(model: KAN, x: torch.Tensor, y: torch.Tensor, steps: int = 150) -> None:
    """Full-batch LBFGS. A new optimizer for every grid: its history is of the old coefficients."""
    optimizer = torch.optim.LBFGS(
        model.parameters(),
        max_iter=steps,
        history_size=20,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,
        tolerance_change=0,
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = (model(x) - y).square().mean()
        value.backward()
        return value

    optimizer.step(loss)


def rmse(model: KAN, x: torch.Tensor) -> float:
    """Root mean square error against the formula."""
    with torch.no_grad():
        return float((model(x) - formula(x)).square().mean().sqrt())


def main() -> None:
    """Three intervals, doubled three times."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    train, test = (
        torch.rand(n, 2, dtype=torch.float64, generator=generator) * 2 - 1 for n in (1000, 1000)
    )
    model = KAN([2, 1, 1], grid=3).double()
    fit(model, train, formula(train))
    print("grid  parameters  RMSE on the test points before and after fitting")
    for grid in (3, 6, 12, 24):
        # more room, and every grid where its inputs are; as a function hardly anything changes
        model = model.refine(grid).update_grid(train, uniform_share=1.0, margin=0.1).model
        before = rmse(model, test)
        fit(model, train, formula(train))
        print(f"{grid:4d}  {model.count_parameters():10d}  {before:.1e} -> {rmse(model, test):.1e}")
    print("values outside the grids, layer by layer:", model.out_of_grid(test))


if __name__ == "__main__":
    main()
