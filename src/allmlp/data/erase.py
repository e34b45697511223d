"""Random erasing: a random box of the image is overwritten.

Axes: b batch, c channels, h w pixels, n draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from allmlp.data.boxes import BOX_DRAWS, check_box_ranges, random_boxes
from allmlp.errors import AllmlpError, check_choice

__all__ = ["ERASE_DRAWS", "Erasing", "erase_images"]

ERASE_DRAWS = 1 + BOX_DRAWS  # whether, and the box


@dataclass(frozen=True, kw_only=True)
class Erasing:
    """How often, how much, and with what images are overwritten.

    DIFF: proportions are log-uniform, so that lying and standing boxes are equally likely, as in
    timm; the paper draws them uniformly from 0.3 to 3.3, which makes most of them lie.

    Raises:
        AllmlpError: a rate outside [0, 1], empty or reversed ranges, or an unknown fill.

    Source: Zhong et al. 2017, arXiv:1708.04896, algorithm 1.
    """

    rate: float = 0.25  # share of images; the paper has 0.5, most recipes since DeiT 0.25
    area: tuple[float, float] = (0.02, 1 / 3)  # share of the image; the paper's largest is 0.4
    ratio: tuple[float, float] = (0.3, 1 / 0.3)  # width over height
    # random bytes, a colour for each pixel (the paper's RE-R), or the mean of the data (RE-M)
    fill: Literal["noise", "mean"] = "noise"

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise AllmlpError(f"random erasing needs a rate in [0, 1], got {self.rate}")
        check_box_ranges("random erasing", self.area, self.ratio)
        check_choice("fill of erased boxes", self.fill, ("noise", "mean"))

    def boxes(self, draws: Float[Tensor, "b n"], size: tuple[int, int]) -> Int64[Tensor, "b 4"]:
        """Top, left, height and width in pixels; of height 0 where nothing is erased.

        Args:
            draws: `ERASE_DRAWS` uniform numbers each.
            size: pixels, height and width of the image.
        """
        boxes, found = random_boxes(draws[:, 1:], size, self.area, self.ratio)
        return torch.where((found & (draws[:, 0] < self.rate))[:, None], boxes, 0)


def erase_images(
    images: UInt8[Tensor, "b c h w"],
    boxes: Int64[Tensor, "b 4"],
    fills: Sequence[UInt8[Tensor, "..."]],
) -> UInt8[Tensor, "b c h w"]:
    """Overwrite a box of each image.

    Args:
        images: a batch.
        boxes: of each image, top, left, height and width in pixels; height 0 leaves it alone.
        fills: of each image, what to write: (c, height, width), or what broadcasts to it.

    Shape:
        (b, c, h, w) -> (b, c, h, w); dtype unchanged.
    """
    out = images.clone()
    for i, (top, left, height, width) in enumerate(boxes.tolist()):
        if height:
            out[i, :, top : top + height, left : left + width] = fills[i]
    return out
