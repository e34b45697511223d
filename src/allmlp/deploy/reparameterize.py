"""The same function with fewer parts."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from allmlp.deploy.repmlp import merge_repmlpnet
from allmlp.errors import AllmlpError
from allmlp.models.repmlp import RepMLPNet

__all__ = ["reparameterize"]

_MERGES: dict[type[nn.Module], Callable[[Any], nn.Module]] = {RepMLPNet: merge_repmlpnet}


@torch.no_grad()
def reparameterize(model: nn.Module) -> nn.Module:
    """A new model that computes what `model` computes in evaluation, faster.

    RepMLPNet: convolution branches become part of the matrices over places, batch norms part of
    the linear maps beside them. Sums are taken in float64, so that the outputs agree to rounding.
    Merging twice is merging once.

    Args:
        model: in eval mode; it stays as it is.

    Returns:
        The deploy form, in eval mode, with the same device and dtype; its config says so, and
        `allmlp.zoo.save_model` stores it as any other.

    Raises:
        AllmlpError: the model is in training mode, or has nothing to merge.

    Example:
        >>> import allmlp
        >>> sizes = {"img_size": 8, "widths": (8,), "depths": (1,), "share_sets": (4,)}
        >>> model = allmlp.create_model("repmlpnet_t224", **sizes).eval()
        >>> reparameterize(model).config.form
        'deploy'
    """
    if type(model) not in _MERGES:
        known = ", ".join(kind.__name__ for kind in _MERGES)
        raise AllmlpError(f"nothing to merge in a {type(model).__name__}; known are: {known}")
    if model.training:
        raise AllmlpError(
            "batch norms merge with their running statistics, and this model is in training mode; "
            "call model.eval() first"
        )
    return _MERGES[type(model)](model)
