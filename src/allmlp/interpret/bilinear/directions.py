"""What a caller may ask for: an output by its number, or directions in output space.

Axes: c any leading axes, k outputs.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.bilinear.quadratic import Quadratic

__all__ = ["Direction", "as_directions"]

# an output's number; (k,), weights of the outputs; (..., k), several of those; None, every output
Direction = int | Tensor | None


def as_directions(forms: Quadratic, direction: Direction) -> Float[Tensor, "*c k"]:
    """Weights of the outputs, in the dtype of the forms.

    Raises:
        AllmlpError: an output that does not exist, or weights for another number of outputs.
    """
    outputs = len(forms.out)
    if direction is None:
        return torch.eye(outputs).to(forms.out)
    if isinstance(direction, int):
        if not -outputs <= direction < outputs:
            raise AllmlpError(f"the network has {outputs} outputs, there is no output {direction}")
        return torch.eye(outputs).to(forms.out)[direction]
    if direction.ndim == 0 or direction.shape[-1] != outputs:
        raise AllmlpError(
            f"a direction weighs the {outputs} outputs of the network, got shape "
            f"{tuple(direction.shape)}; its last axis must have length {outputs}"
        )
    return direction.detach().to(forms.out)
