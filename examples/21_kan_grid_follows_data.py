"""Inputs of any unit: let the grids of a KAN follow the data, and read what that changed.

python examples/21_kan_grid_follows_data.py
"""

import torch

from allmlp import KAN


def main() -> None:
    """Temperatures, pressures, and a valve that never moves."""
    torch.manual_seed(0)
    x = torch.stack(
        [
            torch.randn(500) * 8 + 20,  # degrees Celsius
            torch.rand(500) ** 3 * 1e5,  # pascal, most of them low
            torch.full((500,), 0.3),  # says nothing
        ],
        dim=1,
    )
    model = KAN([3, 4, 1])
    print("outside of the grid [-1, 1]:", [f"{share:.0%}" for share in model.out_of_grid(x)])

    update = model.update_grid(x)  # the old model stays as it is
    for number, change in enumerate(update.changes):
        print(
            f"layer {number}: outside {change.outside_before:.0%} -> {change.outside_after:.0%}, "
            f"outputs changed by {change.rms_change / change.rms:.1e} of their size"
        )
    for low, high in zip(*update.model.layers[0].numeric.basis.grid_range(), strict=True):
        print(f"grid from {float(low):.4g} to {float(high):.4g}")


if __name__ == "__main__":
    main()
