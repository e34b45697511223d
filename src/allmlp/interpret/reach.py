"""From which places one place of a map is made, where channels and places are mixed together.

CycleMLP reads every channel at another place, CS-Mixer mixes the places of a group through few
numbers: no weight belongs to a pair of places alone. What does is the matrix from the channels of
the one to the channels of the other; its size is the strength with which it is read.
Axes: d channels, h w rows and columns of a map, u units, m heads, r rank, n places of a group.
"""

from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.modes import evaluating
from allmlp.layers.cycle import CycleFC, CycleMix, CycleSum
from allmlp.models.contract import VisionModel
from allmlp.models.csmixer import SpatialChannelMix

__all__ = ["Reach", "mixing_reach"]

Mixer = CycleMix | CycleSum | SpatialChannelMix


@dataclass(frozen=True, eq=False)
class Reach:
    """What one place of one layer's output reads.

    Attributes:
        strengths: (u, h, w), Frobenius norm of the d x d matrix from each place, 0 where none is.
        units: what each of the u maps belongs to: a branch of CycleMLP, a head of CS-Mixer.
        place: row and column that reads.
    """

    strengths: Float[Tensor, "u h w"]
    units: tuple[str, ...]
    place: tuple[int, int]


@torch.no_grad()
def mixing_reach(model: VisionModel, *, at: tuple[float, float] = (0.5, 0.5)) -> dict[str, Reach]:
    """What each mixing layer reads for one place, by the name of the layer.

    Of CycleMLP the two branches that leave their place, before they are weighed by the image; of
    CS-Mixer the factor that gates a place, head by head: there the lit places are a group.

    Args:
        model: a CycleMLP or a CS-Mixer; maps have the sizes that `config.img_size` gives.
        at: the place, as shares of height and width from the top left corner, in [0, 1).

    Returns:
        In the order of the forward pass; dtype of the weights.

    Raises:
        AllmlpError: another model, or a place outside.

    Example:
        >>> import allmlp
        >>> small = {"widths": (8,), "depths": (1,), "mlp_ratios": (4,), "img_size": 64}
        >>> found = mixing_reach(allmlp.create_model("cyclemlp_b1", **small))
        >>> reach = found["stages.0.blocks.0.mix"]
        >>> reach.place, [strengths.count_nonzero().item() for strengths in reach.strengths]
        ((8, 8), [3, 3])
    """
    if not all(0 <= share < 1 for share in at):
        raise AllmlpError(f"mixing_reach needs a place in [0, 1) x [0, 1), got {at}")
    sizes = _map_sizes(model)
    if not sizes:
        raise AllmlpError(
            f"a {type(model).__name__} has no layer that mixes places and channels together; "
            "token_maps and effective_receptive_field show others"
        )
    found = {}
    for name, size in sizes.items():
        place = (int(at[0] * size[0]), int(at[1] * size[1]))
        layer: Any = model.get_submodule(name)
        if isinstance(layer, SpatialChannelMix):
            strengths = _by_head(layer, size, place)
            units = tuple(f"head {head}" for head in range(layer.heads))
        else:
            branches = (layer.along_w, layer.along_h)
            strengths = torch.stack([_by_shift(branch, size, place) for branch in branches])
            units = ("along the width", "along the height")
        found[name] = Reach(strengths, units, place)
    return found


def _map_sizes(model: VisionModel) -> dict[str, tuple[int, int]]:
    """Height and width of what each mixing layer reads, from an image of zeros."""
    sizes: dict[str, tuple[int, int]] = {}
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, Mixer):

            def note(_: Any, inputs: tuple[Tensor], name: str = name) -> None:
                sizes[name] = (inputs[0].shape[1], inputs[0].shape[2])

            hooks.append(module.register_forward_pre_hook(note))
    if not hooks:
        return {}
    weight = next(model.parameters())
    try:
        with evaluating(model):
            model.forward_features(
                weight.new_zeros(1, model.config.in_chans, *model.config.img_size)
            )
    finally:
        for hook in hooks:
            hook.remove()
    return sizes


def _by_shift(
    layer: CycleFC, size: tuple[int, int], place: tuple[int, int]
) -> Float[Tensor, "h w"]:
    squares = layer.weight.new_zeros(size)
    for column, (rows, columns) in zip(
        layer.weight.square().sum(0), layer.pattern.offsets, strict=True
    ):
        row, col = place[0] + rows, place[1] + columns
        if 0 <= row < size[0] and 0 <= col < size[1]:
            squares[row, col] += column
    return squares.sqrt()


def _by_head(
    layer: SpatialChannelMix, size: tuple[int, int], place: tuple[int, int]
) -> Float[Tensor, "m h w"]:
    """|up_k B down_k| for the r x r matrix B of every head and place, through r x r products."""
    places = layer.places(*size).to(layer.weight.device)
    number = place[0] * size[1] + place[1]
    group, slot = (places == number).nonzero()[0].tolist()
    matrices = rearrange(layer.weight, "m (n r) (o s) -> m o n s r", r=layer.rank, s=layer.rank)
    up = rearrange(layer.up.weight, "d (m s) -> m s d", m=layer.heads)
    down = rearrange(layer.down.weight, "(m r) d -> m r d", m=layer.heads)
    left, right = up @ up.mT, down @ down.mT
    mine = matrices[:, slot]
    squares = torch.einsum("mnsr,mst,mntq,mqr->mn", mine, left, mine, right)
    strengths = squares.new_zeros(layer.heads, size[0] * size[1])
    inside = places[group] >= 0
    # rounding may leave a square just below 0
    strengths[:, places[group][inside]] = squares[:, inside].clamp(min=0).sqrt()
    return strengths.unflatten(1, size)
