"""Initialisers that torch does not have, and the common ones for a whole layer."""

import math

from torch import Tensor, nn

from allmlp.layers.token_linear import TokenLinear

__all__ = ["init_lecun_", "init_trunc_normal_", "init_xavier_", "lecun_normal_"]

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
