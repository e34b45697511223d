"""What stands where a network has its norms, by name.

A model takes a factory from its width to a module and knows nothing else about it.

Axes: b batch, d width, h w grid.
"""

from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_choice
from allmlp.layers.affine import Affine

__all__ = ["MAP_NORMS", "NORMS", "MapNorm", "map_norm_factory", "norm_factory"]

# from width and epsilon; over the last axis
NORMS: Mapping[str, Callable[[int, float], nn.Module]] = {
    "layer": lambda width, eps: nn.LayerNorm(width, eps=eps),
    "affine": lambda width, eps: Affine(width),
    "none": lambda width, eps: nn.Identity(),
}


class MapNorm(nn.Module):
    """A norm over the last axis, applied to the channels of a map.

    Args:
        norm: (..., d) -> (..., d).

    Shape:
        (b, d, h, w) -> (b, d, h, w); dtype unchanged.
    """

    def __init__(self, norm: nn.Module):
        super().__init__()
        self.norm = norm

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


# the same over the channels of maps, and the one that needs a batch
MAP_NORMS: Mapping[str, Callable[[int, float], nn.Module]] = {
    "batch": lambda width, eps: nn.BatchNorm2d(width, eps=eps),
    "layer": lambda width, eps: MapNorm(nn.LayerNorm(width, eps=eps)),
    "affine": lambda width, eps: MapNorm(Affine(width)),
    "none": lambda width, eps: nn.Identity(),
}


def norm_factory(kind: str, *, eps: float = 1e-6) -> Callable[[int], nn.Module]:
    """From a width to what acts on the last axis.

    Args:
        kind: `layer`, LayerNorm; `affine`, scale and shift per channel without statistics; `none`,
            nothing.
        eps: of the statistics, where there are any.

    Raises:
        AllmlpError: an unknown kind.

    Example:
        >>> norm_factory("layer")(8).eps
        1e-06
    """
    check_choice("norm", kind, NORMS)
    return lambda width: NORMS[kind](width, eps)


def map_norm_factory(kind: str, *, eps: float = 1e-5) -> Callable[[int], nn.Module]:
    """From a width to what acts on the channels of maps (b, d, h, w).

    Args:
        kind: `batch`, BatchNorm2d, or as in `norm_factory`.
        eps: of the statistics, where there are any.

    Raises:
        AllmlpError: an unknown kind.
    """
    check_choice("norm", kind, MAP_NORMS)
    return lambda width: MAP_NORMS[kind](width, eps)
