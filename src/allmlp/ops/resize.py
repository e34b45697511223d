"""Carry a token-mixing map from one grid of patches to another.

A token MLP of a net with an (h, w) grid of patches has a hidden layer of m units: `w1` (m, h*w)
reads the tokens, `w2` (h*w, m) writes them. Tokens are numbered row by row.

Axes: h w old grid, kh kw tiles along height and width, m hidden units.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from allmlp.errors import AllmlpError

__all__ = [
    "TokenMaps",
    "interpolate_reading",
    "interpolate_token_map",
    "interpolate_token_maps",
    "tile_counts",
    "tile_order",
    "tile_reading",
    "tile_token_map",
    "tile_token_maps",
]

Grid = tuple[int, int]


@dataclass(frozen=True, eq=False)
class TokenMaps:
    """The two linear maps of a token MLP, shaped as `torch.nn.Linear` keeps them."""

    w1: Float[Tensor, "m n"]
    b1: Float[Tensor, " m"]
    w2: Float[Tensor, "n m"]
    b2: Float[Tensor, " n"]


def tile_counts(old: Grid, new: Grid) -> Grid:
    """How many old grids fit side by side into the new one, along height and width.

    Raises:
        AllmlpError: a side of the new grid is no multiple of the old one.

    Example:
        >>> tile_counts((14, 14), (28, 14))
        (2, 1)
    """
    if new[0] % old[0] or new[1] % old[1]:
        raise AllmlpError(
            f"resize='block' copies the old grid of {old[0]}x{old[1]} patches side by side and "
            f"cannot fill {new[0]}x{new[1]}; take a whole multiple, or resize='interpolate'"
        )
    return new[0] // old[0], new[1] // old[1]


def tile_order(old: Grid, tiles: Grid) -> Int64[Tensor, "t n"]:
    """Where the tokens of each tile stand in the row-major numbering of the whole.

    Tiles are not contiguous there: token (i, j) of tile (a, b) is row a*h + i, column b*w + j.

    Returns:
        (kh*kw, h*w) indices, tiles and tokens row by row.

    Example:
        >>> tile_order((1, 2), (2, 1)).tolist()
        [[0, 1], [2, 3]]
    """
    (h, w), (kh, kw) = old, tiles
    numbers = torch.arange(kh * h * kw * w).view(kh, h, kw, w)
    return numbers.permute(0, 2, 1, 3).reshape(kh * kw, h * w)


def tile_token_maps(maps: TokenMaps, old: Grid, new: Grid) -> TokenMaps:
    """Mix every tile of the new grid by the old MLP, exactly and independently of the others.

    The hidden layer grows with the number of tiles; the new maps are block-diagonal up to the order
    of tokens. With LayerNorm and channel MLP per token and pooling by the mean, the enlarged net's
    logits are the mean of the old net's logits over the tiles.

    Raises:
        AllmlpError: a side of the new grid is no multiple of the old one.

    Source: Tolstikhin et al. 2021, arXiv:2105.01601, §3 and appendix C.
    """
    tiles = tile_counts(old, new)
    count, hidden = tiles[0] * tiles[1], maps.b1.shape[0]
    w1 = maps.w1.new_zeros(count * hidden, new[0] * new[1])
    w2 = maps.w2.new_zeros(new[0] * new[1], count * hidden)
    b2 = maps.b2.new_zeros(new[0] * new[1])
    for tile, tokens in enumerate(tile_order(old, tiles).to(maps.w1.device)):
        units = torch.arange(tile * hidden, (tile + 1) * hidden, device=maps.w1.device)
        w1[units[:, None], tokens] = maps.w1
        w2[tokens[:, None], units] = maps.w2
        b2[tokens] = maps.b2
    return TokenMaps(w1, maps.b1.repeat(count), w2, b2)


def interpolate_token_maps(maps: TokenMaps, old: Grid, new: Grid) -> TokenMaps:
    """Read and write the new grid by the old maps, resampled bilinearly; the hidden layer stays.

    Rows of `w1` are maps over the grid; multiplied by old / new tokens, so that an image of
    constant tokens gives the same hidden units. Columns of `w2` and `b2` are maps of what is
    written, and are resampled as they are. Any size goes; the result is an approximation. No
    published recipe for Mixer is known to us.
    """
    w1 = interpolate_reading(maps.w1, old, new)
    w2 = _resample(maps.w2.T, old, new).T.contiguous()
    return TokenMaps(w1, maps.b1, w2, _resample(maps.b2[None], old, new)[0])


def tile_token_map(
    weight: Float[Tensor, "n n"], bias: Float[Tensor, " n"], old: Grid, new: Grid
) -> tuple[Float[Tensor, "n2 n2"], Float[Tensor, " n2"]]:
    """As `tile_token_maps`, for one linear map from the grid to itself without a hidden layer.

    Raises:
        AllmlpError: a side of the new grid is no multiple of the old one.
    """
    tiles = tile_counts(old, new)
    size = new[0] * new[1]
    large, large_bias = weight.new_zeros(size, size), bias.new_zeros(size)
    for tokens in tile_order(old, tiles).to(weight.device):
        large[tokens[:, None], tokens] = weight
        large_bias[tokens] = bias
    return large, large_bias


def interpolate_token_map(
    weight: Float[Tensor, "n n"], bias: Float[Tensor, " n"], old: Grid, new: Grid
) -> tuple[Float[Tensor, "n2 n2"], Float[Tensor, " n2"]]:
    """As `interpolate_token_maps`, for one linear map from the grid to itself.

    Every row is resampled as what reads the grid, then every column as what is written on it.
    """
    read = interpolate_reading(weight, old, new)
    return _resample(read.T, old, new).T.contiguous(), _resample(bias[None], old, new)[0]


def tile_reading(rows: Float[Tensor, "m n"], old: Grid, new: Grid) -> Float[Tensor, "m n2"]:
    """Read the mean over the tiles: every tile by the old rows, divided by their number.

    Raises:
        AllmlpError: a side of the new grid is no multiple of the old one.
    """
    order = tile_order(old, tile_counts(old, new)).to(rows.device)
    large = rows.new_zeros(rows.shape[0], new[0] * new[1])
    large[:, order] = (rows / len(order))[:, None]
    return large


def interpolate_reading(rows: Float[Tensor, "m n"], old: Grid, new: Grid) -> Float[Tensor, "m n2"]:
    """Resample rows that read a grid of tokens; what they give for constant tokens stays."""
    read = _resample(rows, old, new) * ((old[0] * old[1]) / (new[0] * new[1]))
    # resampling keeps the mean of a map only nearly; the sum over tokens has to be exact
    return read + (rows.sum(1, keepdim=True) - read.sum(1, keepdim=True)) / read.shape[1]


def _resample(rows: Float[Tensor, "m n"], old: Grid, new: Grid) -> Float[Tensor, "m n2"]:
    maps = rows.view(1, -1, *old)
    antialias = new[0] < old[0] or new[1] < old[1]
    resized = F.interpolate(maps, new, mode="bilinear", align_corners=False, antialias=antialias)
    return resized.reshape(rows.shape[0], -1)
