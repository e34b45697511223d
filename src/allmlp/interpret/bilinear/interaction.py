"""The matrix of one output, and the tensor of all of them.

Paper: Pearce et al. 2024, arXiv:2410.08417, §3.1.
Axes: c any leading axes, k outputs, d inputs (homogeneous coordinate last, where there is one).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice
from allmlp.interpret.bilinear.directions import as_directions
from allmlp.interpret.bilinear.eigenfeatures import Space
from allmlp.interpret.bilinear.quadratic import Quadratic, read_input, read_single

__all__ = ["interaction_matrix", "interaction_tensor"]


def interaction_matrix(
    model: nn.Module, direction: int | Tensor, *, space: Space = "hidden"
) -> Float[Tensor, "d d"]:
    """The symmetric Q with `direction . y = z' Q z`.

    With biases or residuals the last row and column belong to the constant 1 behind the input: the
    corner is the constant term, twice the rest of the column the linear one.

    Args:
        model: a `BilinearMLP` of one layer, or a `GatedMlp` or `GatedLinear`, without a gate.
        direction: number of an output, or weights of the outputs (k,).
        space: `hidden`, z behind the embedding; `input`, in front of it.

    Returns:
        float64, in O(a d^2) for a neurons.

    Raises:
        AllmlpError: no bilinear network, several layers, or an output that does not exist.
    """
    forms = _forms(model, space)
    weights = as_directions(forms, direction)
    if weights.ndim > 1:
        raise AllmlpError(
            f"an interaction matrix belongs to one direction (k,), got {tuple(weights.shape)}; "
            "take them one at a time, or interaction_tensor for all outputs"
        )
    return forms.matrix(weights)


def interaction_tensor(
    model: nn.Module, *, space: Space = "hidden", max_elements: int = 2**24
) -> Float[Tensor, "k d d"]:
    """The matrices of all outputs, if they are few and small enough. Nothing here needs it.

    Args:
        model: as for `interaction_matrix`.
        space: likewise.
        max_elements: numbers that the tensor may have; 2^24 in float64 are 128 MiB.

    Raises:
        AllmlpError: as `interaction_matrix`, or a larger tensor.
    """
    forms = _forms(model, space)
    outputs, inputs = len(forms.out), forms.left.shape[1]
    if outputs * inputs**2 > max_elements:
        raise AllmlpError(
            f"the tensor has {outputs} x {inputs} x {inputs} = {outputs * inputs**2:,} numbers, "
            f"more than max_elements={max_elements:,}; take interaction_matrix one output at a "
            "time, or raise max_elements"
        )
    return torch.stack([forms.matrix(u) for u in as_directions(forms, None)])


def _forms(model: nn.Module, space: Space) -> Quadratic:
    check_choice("space", space, ("hidden", "input"))
    return read_input(model) if space == "input" else read_single(model)[0]
