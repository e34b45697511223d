"""Initialisations by name, and the gain that an activation needs.

A weight is (out, in): fan_in is `weight.shape[1]`. A uniform law on [-b, b] has the deviation
b / sqrt(3). Taking shape[0], or the deviation for the bound, are the two usual mistakes
(docs/initialisation.md shows what they do).
"""

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from allmlp.errors import check_choice
from allmlp.layers.token_linear import TokenLinear
from allmlp.ops.quadrature import gauss_legendre

__all__ = [
    "SCHEMES",
    "activation_gain",
    "init_lecun_",
    "init_linear_",
    "init_siren_",
    "init_trunc_normal_",
    "init_xavier_",
    "lecun_normal_",
]

# layers that have a `weight` and a `bias`
Dense = nn.Linear | nn.Conv2d | TokenLinear

# standard deviation of a unit normal truncated to [-2, 2]
_TRUNCATED_STD = 0.87962566103423978


def lecun_normal_(weight: Tensor) -> Tensor:
    """Fill in place from a normal truncated at two sigma, with variance exactly 1 / fan_in.

    What Flax's `lecun_normal` does: sigma is enlarged so that the truncated law has the variance.

    Args:
        weight: (out, in, ...); fan_in is the product of all axes but the first.

    Returns:
        The same tensor.

    Source: LeCun et al. 1998, Efficient BackProp, §4.6; jax.nn.initializers.variance_scaling.
    """
    fan_in = math.prod(weight.shape[1:])
    sigma = math.sqrt(1 / fan_in) / _TRUNCATED_STD
    return nn.init.trunc_normal_(weight, std=sigma, a=-2 * sigma, b=2 * sigma)


def init_lecun_(layer: Dense) -> None:
    """LeCun normal weight, zero bias: Flax's default."""
    lecun_normal_(layer.weight)
    _fill_bias(layer, 0.0)


def init_xavier_(layer: Dense, *, bias_std: float = 0.0) -> None:
    """Xavier uniform weight, normal bias (timm takes std 1e-6 in MLPs, 0 elsewhere)."""
    nn.init.xavier_uniform_(layer.weight)
    _fill_bias(layer, bias_std)


def init_trunc_normal_(layer: Dense) -> None:
    """Normal weight of std 0.02 (torch truncates at 2, which is 100 sigma), zero bias."""
    nn.init.trunc_normal_(layer.weight, std=0.02)
    _fill_bias(layer, 0.0)


def _fill_bias(layer: Dense, std: float) -> None:
    if layer.bias is None:
        return
    if std:
        nn.init.normal_(layer.bias, std=std)
    else:
        nn.init.zeros_(layer.bias)


def _uniform(weight: Tensor, std: float) -> Tensor:
    return nn.init.uniform_(weight, -math.sqrt(3) * std, math.sqrt(3) * std)


def _he_std(weight: Tensor, gain: float) -> float:
    return gain / math.sqrt(weight.shape[1])


# from a weight and the gain of what made its input
SCHEMES: dict[str, Callable[[Tensor, float], Tensor]] = {
    # Glorot & Bengio 2010: variance 2 / (fan_in + fan_out), for tanh and linear nets
    "xavier_uniform": lambda w, gain: nn.init.xavier_uniform_(w),
    "xavier_normal": lambda w, gain: nn.init.xavier_normal_(w),
    # He et al. 2015, arXiv:1502.01852: gain² / fan_in
    "he_uniform": lambda w, gain: _uniform(w, _he_std(w, gain)),
    "he_normal": lambda w, gain: nn.init.normal_(w, std=_he_std(w, gain)),
    # 1 / fan_in, for SELU and linear nets
    "lecun_uniform": lambda w, gain: _uniform(w, _he_std(w, 1.0)),
    "lecun_normal": lambda w, gain: lecun_normal_(w),
    # Saxe et al. 2014, arXiv:1312.6120: W Wᵀ or Wᵀ W is gain² I
    "orthogonal": lambda w, gain: nn.init.orthogonal_(w, gain),
}


@torch.no_grad()
def init_linear_(linear: nn.Linear, scheme: str, *, gain: float = 1.0, parts: int = 1) -> None:
    """Draw the weight of a linear layer anew and set its bias to zero, in place.

    Args:
        linear: before any parametrisation.
        scheme: a key of `SCHEMES`, or `default` for what torch does, bias included.
        gain: of the function that made the layer's input (`activation_gain`); 1 for data and for
            what a norm gives. `he_*` and `orthogonal` use it.
        parts: maps side by side in one weight, each drawn by itself (a gate has two): fan_out and
            orthogonality are those of a part.

    Raises:
        AllmlpError: an unknown scheme.

    Example:
        >>> layer = nn.Linear(300, 100)
        >>> init_linear_(layer, "orthogonal", gain=2.0)
        >>> bool(torch.allclose(layer.weight @ layer.weight.T, 4 * torch.eye(100), atol=1e-4))
        True
    """
    check_choice("initialisation", scheme, ("default", *SCHEMES))
    if scheme == "default":
        linear.reset_parameters()
        return
    for part in linear.weight.chunk(parts):
        SCHEMES[scheme](part, gain)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


@torch.no_grad()
def init_siren_(linear: nn.Linear, *, first: bool, omega: float = 30.0) -> None:
    """SIREN's start for layers with a sine of frequency 1 behind them, in place.

    Args:
        linear: the layer.
        first: whether it reads data in [-1, 1]: uniform on ±omega / fan_in. Others read sines:
            uniform on ±sqrt(6 / fan_in), which keeps pre-activations at unit variance or below.
        omega: the band of the first layer.

    Source: Sitzmann et al. 2020, arXiv:2006.09661, §3.2; biases as torch draws them, as there.
    """
    linear.reset_parameters()
    bound = omega / linear.in_features if first else math.sqrt(6 / linear.in_features)
    nn.init.uniform_(linear.weight, -bound, bound)


def activation_gain(activation: nn.Module) -> float:
    """`1 / sqrt(E f(z)²)`, z ~ N(0, 1): what keeps the mean square at 1 from layer to layer.

    By Gauss-Legendre quadrature, to twelve digits for functions that bend at most at 0.

    Args:
        activation: acts on each number by itself.

    Example:
        >>> round(activation_gain(nn.ReLU()) ** 2, 12), round(activation_gain(nn.GELU()), 3)
        (2.0, 1.534)
    """
    # a unit normal has 1.5e-23 of its mass beyond 10
    ends = torch.linspace(-10, 10, 161, dtype=torch.float64, device="cpu")[None]
    z, weights = gauss_legendre(ends, 24)
    density = (-0.5 * z.square()).exp() / math.sqrt(2 * math.pi)
    exact = copy.deepcopy(activation).to("cpu", torch.float64)
    with torch.no_grad():
        return float((weights * density * exact(z).square()).sum().rsqrt())
