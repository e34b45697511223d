"""Numbers that describe spectra and directions.

Source: Pearce et al. 2024, arXiv:2410.08417, appendices; specs of total variation: Rudin, Osher,
Fatemi 1992.
Axes: c any leading axes, r features, i inputs, h w pixels.
"""

from jaxtyping import Float
from torch import Tensor

__all__ = ["effective_inputs", "effective_rank", "roughness"]


def effective_rank(values: Float[Tensor, "*c r"]) -> Float[Tensor, "*c"]:
    """(sum |v|)^2 / sum v^2: r for r equal eigenvalues, 1 for a single one.

    Example:
        >>> import torch
        >>> effective_rank(torch.tensor([3.0, -3.0, 0.0])).item()
        2.0
    """
    return values.abs().sum(-1).square() / values.square().sum(-1)


def effective_inputs(directions: Float[Tensor, "*c i"]) -> Float[Tensor, "*c"]:
    """(L1 norm / L2 norm)^2: how many inputs a direction reads, 1 for a single one."""
    return effective_rank(directions)


def roughness(images: Float[Tensor, "*c h w"]) -> Float[Tensor, "*c"]:
    """Total variation over Euclidean norm, smaller for smoother pictures.

    The sum of absolute differences between neighbours along both axes, divided by the norm.

    Args:
        images: at least one pixel not 0; directions reshaped to their pixels, say.
    """
    rows = (images[..., 1:, :] - images[..., :-1, :]).abs().sum((-2, -1))
    columns = (images[..., :, 1:] - images[..., :, :-1]).abs().sum((-2, -1))
    return (rows + columns) / images.square().sum((-2, -1)).sqrt()
