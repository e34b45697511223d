"""What blocks work on, as the maps or tokens that a model shows of it.

`NCHW` are maps (b, d, h, w), `NLC` tokens (b, n, d).

Axes: b batch, n tokens, d width, h w grid of tokens.
"""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

__all__ = ["FORMATS", "show_map", "show_places", "show_tokens", "show_vector"]

FORMATS = ("NCHW", "NLC")


def show_tokens(x: Float[Tensor, "b n d"], output_fmt: str, grid: tuple[int, int]) -> Tensor:
    """Of tokens that stand row by row on a grid of h by w."""
    if output_fmt == "NLC":
        return x
    return rearrange(x, "b (h w) d -> b d h w", h=grid[0])


def show_map(x: Float[Tensor, "b d h w"], output_fmt: str) -> Tensor:
    """Of maps whose channels come first."""
    return x if output_fmt == "NCHW" else rearrange(x, "b d h w -> b (h w) d")


def show_places(x: Float[Tensor, "b h w d"], output_fmt: str) -> Tensor:
    """Of maps whose channels come last."""
    if output_fmt == "NLC":
        return rearrange(x, "b h w d -> b (h w) d")
    return rearrange(x, "b h w d -> b d h w")


def show_vector(x: Float[Tensor, "b d"], output_fmt: str) -> Tensor:
    """Of vectors: a map of one place, or one token."""
    return x[:, :, None, None] if output_fmt == "NCHW" else x[:, None]
