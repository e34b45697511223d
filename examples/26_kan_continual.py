"""Learn one peak after the other and forget none: splines are local.

python examples/26_kan_continual.py
"""

import torch

from allmlp import KAN
from allmlp.training import fit_kan


def peaks(x: torch.Tensor) -> torch.Tensor:
    """Five Gaussians on [-1, 1]."""
    centres = torch.linspace(-0.8, 0.8, 5, dtype=x.dtype)
    return torch.exp(-300 * (x - centres) ** 2).sum(dim=1, keepdim=True)


def main() -> None:
    """A second on one core."""
    # no base function beside the splines: a base reaches everywhere
    model = KAN([1, 1], grid=200, base=None).double()
    with torch.no_grad():
        model.layers[0].numeric.spline_weight.zero_()  # zero wherever nothing was seen
    ends = torch.linspace(-1, 1, 6, dtype=torch.float64)
    for phase in range(5):
        x = torch.linspace(ends[phase], ends[phase + 1], 100, dtype=torch.float64)[:, None]
        # the grid stays where it is, or what was learned on it would move
        model = fit_kan(model, x, peaks(x), steps=20, updates=1, follow="none").model
        seen = torch.linspace(-1, ends[phase + 1], 1000, dtype=torch.float64)[:, None]
        with torch.no_grad():
            error = (model(seen) - peaks(seen)).square().mean().sqrt()
        print(f"after phase {phase + 1}: RMSE {error:.1e} over all peaks so far")


if __name__ == "__main__":
    main()
