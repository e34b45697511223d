"""How much a layer can stretch, where a bound on the whole space exists.

`theory.lipschitz_product` does the same for plain ReLU chains with batch norms folded in.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from allmlp.layers.activations import Sine
from allmlp.layers.affine import Affine
from allmlp.layers.vector_norm import DyT

__all__ = ["chain_bound", "lipschitz_bound"]


def _linear(layer: Any) -> float:
    # in training a spectral norm takes a step of its power iteration whenever the weight is read
    training = layer.training
    layer.eval()
    try:
        return float(torch.linalg.matrix_norm(layer.weight.double(), 2))
    finally:
        layer.train(training)


def _batch_norm(norm: Any) -> float:
    if norm.running_var is None:  # it divides by the deviation of the batch, as small as it may be
        return math.inf
    factor = (norm.running_var.double() + norm.eps).rsqrt()
    return _largest(factor if norm.weight is None else factor * norm.weight)


def _other_norm(norm: Any) -> float:
    # the Jacobian is a projection over sqrt(variance + eps); the worst input is a constant row
    scale = 1.0 if norm.weight is None else _largest(norm.weight)
    # RMSNorm's None is the dtype's own
    dtype = torch.float32 if norm.weight is None else norm.weight.dtype
    return scale / math.sqrt(torch.finfo(dtype).eps if norm.eps is None else norm.eps)


def _dyt(norm: Any) -> float:
    return _largest(norm.gamma) * _largest(norm.alpha)


def _largest(x: Tensor) -> float:
    return float(x.double().abs().max())


# The steepest slope of each activation, rounded up; tests look for a steeper one.
_BOUNDS: dict[type[nn.Module], Callable[[Any], float]] = {
    nn.Linear: _linear,
    _BatchNorm: _batch_norm,
    nn.LayerNorm: _other_norm,
    nn.RMSNorm: _other_norm,
    DyT: _dyt,
    Affine: lambda m: _largest(m.alpha),
    nn.Dropout: lambda m: 1.0,
    nn.AlphaDropout: lambda m: 1.0,
    nn.Identity: lambda m: 1.0,
    nn.Flatten: lambda m: 1.0,
    nn.ReLU: lambda m: 1.0,
    nn.LeakyReLU: lambda m: max(1.0, abs(m.negative_slope)),
    nn.PReLU: lambda m: max(1.0, _largest(m.weight)),
    nn.GELU: lambda m: 1.12891 if m.approximate == "none" else 1.129,  # at sqrt 2, 1.4185
    nn.SiLU: lambda m: 1.09984,  # at 2.3994
    nn.Mish: lambda m: 1.0885,  # at 1.4906
    nn.ELU: lambda m: max(1.0, m.alpha),
    nn.SELU: lambda m: 1.7581,  # λ α, left of 0
    nn.Tanh: lambda m: 1.0,
    nn.Sigmoid: lambda m: 0.25,
    Sine: lambda m: m.omega,
}


@torch.no_grad()
def lipschitz_bound(module: nn.Module) -> float:
    """A bound on `‖f(x) - f(y)‖ / ‖x - y‖` (Euclidean) over all inputs, in eval mode.

    Computed in float64, without directed rounding. A `Sequential` has the product of its parts, a
    module of its own kind what its method `lipschitz_bound()` says. Products of activations (gates)
    and squares have no bound, and of what is not known none is claimed: both are infinite. A layer
    norm's own constant is 1 / sqrt(eps): true, and of no use.

    Example:
        >>> layer = nn.Linear(2, 2, bias=False)
        >>> _ = nn.init.eye_(layer.weight)
        >>> lipschitz_bound(nn.Sequential(layer, nn.SiLU()))
        1.09984
    """
    if hasattr(module, "lipschitz_bound"):
        return float(module.lipschitz_bound())
    if isinstance(module, nn.Sequential):
        return chain_bound(module)
    for kind, bound in _BOUNDS.items():
        if isinstance(module, kind):
            return bound(module)
    return math.inf


def chain_bound(parts: Iterable[nn.Module]) -> float:
    """Of parts one after the other: the product, infinite if one of them has no bound."""
    bounds = list(map(lipschitz_bound, parts))
    return math.inf if math.inf in bounds else math.prod(bounds)
