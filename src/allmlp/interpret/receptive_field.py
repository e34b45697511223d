"""How far a unit really sees: the effective receptive field.

Paper: Luo et al. 2016, Understanding the effective receptive field, arXiv:1701.04128. Its area at a
share of the sum: Ding et al. 2022, RepLKNet, arXiv:2203.06717, §5.
Axes: b batch, c channels, h w pixels.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.modes import evaluating
from allmlp.models.contract import VisionModel

__all__ = ["area_share", "effective_receptive_field"]


def effective_receptive_field(
    model: VisionModel,
    images: Float[Tensor, "b c h w"],
    *,
    block: int = -1,
    place: tuple[int, int] | None = None,
) -> Float[Tensor, "h w"]:
    """Mean absolute gradient of one place of a block's output with respect to the pixels.

    The sum over the block's channels is differentiated; absolute values are averaged over images
    and summed over image channels.

    Args:
        model: evaluated as it is; neither its mode nor its gradients change.
        images: prepared as the model wants them; some dozens give a smooth picture.
        block: whose output, as in `forward_intermediates`.
        place: row and column in the block's map; None for its centre.

    Returns:
        (h, w), largest value 1.

    Raises:
        AllmlpError: a place outside the map, or a block that sees nothing.
    """
    images = images.detach().clone().requires_grad_()
    with evaluating(model), torch.enable_grad():
        found = model.forward_intermediates(images, indices=[block], intermediates_only=True)
        outputs = found[0]
        assert isinstance(outputs, Tensor)
        rows, columns = outputs.shape[2:]
        row, column = (rows // 2, columns // 2) if place is None else place
        if not (0 <= row < rows and 0 <= column < columns):
            raise AllmlpError(f"the block's map has {rows}x{columns} places, got {(row, column)}")
        (gradient,) = torch.autograd.grad(outputs[:, :, row, column].sum(), images)
    field = gradient.abs().mean(0).sum(0)
    if not field.max() > 0:
        raise AllmlpError("no pixel moves this place; are the model's weights still zero?")
    return field / field.max()


def area_share(field: Float[Tensor, "h w"], share: float = 0.5) -> float:
    """The smallest share of the pixels that holds `share` of the field's sum.

    Example:
        >>> area_share(torch.ones(10, 10), 0.3)
        0.3
    """
    if not 0 < share <= 1:
        raise AllmlpError(f"area_share needs a share in (0, 1], got {share}")
    sums = field.flatten().double().sort(descending=True).values.cumsum(0)
    # a share that the rounding of the sums just misses counts as reached
    reached = sums >= share * sums[-1] * (1 - 1e-12)
    return (int(reached.int().argmax()) + 1) / field.numel()
