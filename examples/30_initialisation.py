"""Right and wrong initialisations, measured: the mean square behind 1, 5 and 20 ReLU layers.

python examples/30_initialisation.py
"""

import math
from collections.abc import Callable

import torch
from torch import nn

from allmlp.layers import activation_gain, init_linear_

DEPTH, WIDTH, INPUTS, EXAMPLES = 20, 256, 784, 2000
GAIN = activation_gain(nn.ReLU())  # sqrt(2), computed


def he_normal(layer: nn.Linear, fan: int) -> None:
    """He's normal law, with the fan that is handed in."""
    nn.init.normal_(layer.weight, std=GAIN / math.sqrt(fan))


def uniform(layer: nn.Linear, bound: float) -> None:
    """Uniform on ±bound."""
    nn.init.uniform_(layer.weight, -bound, bound)


def named(scheme: str) -> Callable[[nn.Linear], None]:
    """One of the library's."""
    return lambda layer: init_linear_(layer, scheme, gain=GAIN)


ROWS: dict[str, Callable[[nn.Linear], None]] = {
    "He normal": named("he_normal"),
    "He uniform": named("he_uniform"),
    "orthogonal": named("orthogonal"),
    "WRONG fan: weight.shape[0]": lambda layer: he_normal(layer, layer.weight.shape[0]),
    "WRONG bound: the deviation": lambda layer: uniform(layer, GAIN / math.sqrt(layer.in_features)),
    "both": lambda layer: uniform(layer, GAIN / math.sqrt(layer.out_features)),
    "Xavier uniform": named("xavier_uniform"),
    "LeCun normal": named("lecun_normal"),
    "torch's default": named("default"),
}


def mean_squares(init: Callable[[nn.Linear], None]) -> list[float]:
    """Of every layer of one bias-free net on unit normal inputs."""
    torch.manual_seed(0)
    x, found = torch.randn(EXAMPLES, INPUTS), []
    for depth in range(DEPTH):
        layer = nn.Linear(WIDTH if depth else INPUTS, WIDTH, bias=False)
        init(layer)
        x = torch.relu(x @ layer.weight.detach().T)
        found.append(x.square().mean().item())
    return found


if __name__ == "__main__":
    print(f"{'E h² behind layer':<28}{1:>10}{5:>10}{20:>10}")
    for name, init in ROWS.items():
        found = mean_squares(init)
        print(f"{name:<28}{found[0]:>10.2g}{found[4]:>10.2g}{found[19]:>10.2g}")
    # The wrong fan shows in layer 1 alone, which is not square; together the two mistakes cancel
    # there, and a test of the first layer passes.
