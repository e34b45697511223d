"""Activations by name, as modules: hooks, plots and diagnoses find them.

Axes: any.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from allmlp.errors import AllmlpError, check_choice

__all__ = ["ACTIVATIONS", "Sine", "SquaredReLU", "make_activation"]


class Sine(nn.Module):
    """`sin(omega x)`.

    SIREN writes 30 here and divides its weights by 30. At omega = 1 the same network starts with
    the factor in the weights (`init_siren_`), and the sine fits wherever an activation does; the
    learning rate of Adam is then 30 times SIREN's.

    Args:
        omega: angular frequency.

    Shape:
        Any; dtype unchanged.

    Raises:
        AllmlpError: `omega` is not positive.

    Source: Sitzmann et al. 2020, arXiv:2006.09661, §3.2.
    """

    def __init__(self, omega: float = 1.0):
        super().__init__()
        if not omega > 0:
            raise AllmlpError(f"Sine needs omega above 0, got {omega}")
        self.omega = omega

    def forward(self, x: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return torch.sin(self.omega * x)

    def extra_repr(self) -> str:
        return f"omega={self.omega}"


class SquaredReLU(nn.Module):
    """`max(x, 0)²`.

    Shape:
        Any; dtype unchanged.

    Source: So et al. 2021 (Primer), arXiv:2109.08668, §3.1.
    """

    def forward(self, x: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return F.relu(x).square()


def _gelu_tanh() -> nn.Module:
    return nn.GELU("tanh")


# at their usual settings: leaky slope 0.01, PReLU one slope for all units that starts at 0.25
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "squared_relu": SquaredReLU,
    "gelu": nn.GELU,
    "gelu_tanh": _gelu_tanh,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "sine": Sine,
    "identity": nn.Identity,
}


def make_activation(name: str) -> nn.Module:
    """A fresh module by its name in `ACTIVATIONS`.

    Raises:
        AllmlpError: nobody has this name; the nearest is named.

    Example:
        >>> make_activation("squared_relu")(torch.tensor([-1.0, 2.0])).tolist()
        [0.0, 4.0]
    """
    check_choice("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()
