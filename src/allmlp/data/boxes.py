"""Random boxes of a share of the image, as random-resized-crop and random erasing draw them.

Axes: b batch, n draws.
"""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from allmlp.errors import AllmlpError

__all__ = ["BOX_DRAWS", "Box", "check_box_ranges", "random_boxes"]

Box = tuple[int, int, int, int]  # pixels: top, left, height, width

# as torchvision and timm have it; with the usual settings one in 10^5 needs more
_ATTEMPTS = 10
BOX_DRAWS = 2 * _ATTEMPTS + 2  # area and proportions of each attempt, and the place


def random_boxes(
    draws: Float[Tensor, "b n"],
    size: tuple[int, int],
    area: tuple[float, float],
    ratio: tuple[float, float],
) -> tuple[Int64[Tensor, "b 4"], Bool[Tensor, " b"]]:
    """Boxes whose area is uniform and whose proportions are log-uniform, anywhere they fit.

    Ten attempts are made; the first box that fits is taken.

    Args:
        draws: `BOX_DRAWS` uniform numbers for each box.
        size: pixels, height and width of the image.
        area: smallest and largest share of the image.
        ratio: smallest and largest width over height.

    Returns:
        Top, left, height and width in pixels, and whether an attempt fitted; where none did, the
        box means nothing.

    Source: Szegedy et al. 2015, arXiv:1409.4842, section 6; the ten attempts are those of
    torchvision's RandomResizedCrop, which every recipe relies on.
    """
    height, width = size
    u, v = draws[:, :_ATTEMPTS].double(), draws[:, _ATTEMPTS:-2].double()
    pixels = height * width * (area[0] + (area[1] - area[0]) * u)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    proportion = (low + (high - low) * v).exp()
    heights, widths = (pixels / proportion).sqrt().round(), (pixels * proportion).sqrt().round()
    fits = (heights >= 1) & (heights <= height) & (widths >= 1) & (widths <= width)
    first = fits.int().argmax(dim=1, keepdim=True)
    heights, widths = heights.gather(1, first)[:, 0], widths.gather(1, first)[:, 0]
    tops = (draws[:, -2] * (height - heights + 1)).floor()
    lefts = (draws[:, -1] * (width - widths + 1)).floor()
    return torch.stack([tops, lefts, heights, widths], dim=1).long(), fits.any(dim=1)


def check_box_ranges(owner: str, area: tuple[float, float], ratio: tuple[float, float]) -> None:
    """Require 0 < smallest <= largest, and areas of at most the whole image.

    Raises:
        AllmlpError: another range.
    """
    if not 0 < area[0] <= area[1] <= 1:
        raise AllmlpError(f"{owner} needs shares 0 < smallest <= largest <= 1, got {area}")
    if not 0 < ratio[0] <= ratio[1] < math.inf:
        raise AllmlpError(f"{owner} needs proportions 0 < smallest <= largest, got {ratio}")
