"""Linear layers whose weight is computed from another: spectral norm, weight norm.

Both are torch's parametrisations: state dicts then hold `parametrizations.weight.original…` instead
of `weight`, and `layer.weight` is computed when it is asked for.
"""

from collections.abc import Callable

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from allmlp.errors import check_choice

__all__ = ["WEIGHT_NORMS", "parametrize_linear"]

# from a layer and the number of power iterations
WEIGHT_NORMS: dict[str, Callable[[nn.Linear, int], nn.Module]] = {
    "none": lambda linear, steps: linear,
    # Miyato et al. 2018, arXiv:1802.05957: W over an estimate of its largest singular value
    "spectral": lambda linear, steps: spectral_norm(linear, n_power_iterations=steps),
    # Salimans & Kingma 2016, arXiv:1602.07868: a length g and a direction v / |v| for every output
    "weight": lambda linear, steps: weight_norm(linear),
}


def parametrize_linear(linear: nn.Linear, kind: str, *, power_iterations: int = 1) -> nn.Linear:
    """Put a parametrisation on a layer's weight, in place, and return the layer.

    Args:
        linear: initialised as it shall start.
        kind: a key of `WEIGHT_NORMS`.
        power_iterations: of the spectral norm in every training pass; evaluation makes none. The
            estimate lies below the true norm and closes in while the weights rest, so a bound that
            is quoted wants more than one.

    Raises:
        AllmlpError: an unknown kind.

    Example:
        >>> import torch
        >>> layer = parametrize_linear(nn.Linear(8, 4), "spectral")
        >>> bool(torch.linalg.matrix_norm(layer.weight, 2) < 1.1)
        True
    """
    check_choice("weight norm", kind, WEIGHT_NORMS)
    WEIGHT_NORMS[kind](linear, power_iterations)
    return linear
