"""Initialisers that torch does not have."""

import math

from torch import Tensor, nn

__all__ = ["lecun_normal_"]

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
