"""Random-resized-crop: a random box of the image, scaled to the size of all.

Axes: b batch, c channels, h w pixels, n draws.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from allmlp.data.boxes import check_box_ranges, random_boxes

__all__ = ["ResizedCrop", "crop_and_resize"]


@dataclass(frozen=True, kw_only=True)
class ResizedCrop:
    """Which box of an image is shown.

    Raises:
        AllmlpError: empty or reversed ranges, or a share above 1.
    """

    # smallest and largest share of the image's area; 0.08 suits ImageNet, CIFAR wants 0.75
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)  # smallest and largest width over height

    def __post_init__(self) -> None:
        check_box_ranges("a random-resized-crop", self.scale, self.ratio)

    def boxes(self, draws: Float[Tensor, "b n"], size: tuple[int, int]) -> Int64[Tensor, "b 4"]:
        """Top, left, height and width in pixels, from `BOX_DRAWS` uniform numbers each.

        Where no attempt fits, the largest centred box within the range of proportions.

        Args:
            draws: uniform on [0, 1).
            size: pixels, height and width of the image.
        """
        boxes, found = random_boxes(draws, size, self.scale, self.ratio)
        height, width = size
        tallest = min(height, round(width / self.ratio[0]))
        widest = min(width, round(height * self.ratio[1]))
        rest = [(height - tallest) // 2, (width - widest) // 2, tallest, widest]
        return torch.where(found[:, None], boxes, torch.tensor(rest))


def crop_and_resize(
    images: Float[Tensor, "b c h w"] | UInt8[Tensor, "b c h w"], boxes: Int64[Tensor, "b 4"]
) -> Float[Tensor, "b c h w"] | UInt8[Tensor, "b c h w"]:
    """Cut a box out of every image and scale it to the size that the image had.

    Args:
        images: bytes or floats.
        boxes: of each image, top, left, height and width in pixels.

    Shape:
        (b, c, h, w) -> (b, c, h, w); dtype unchanged; bilinear, antialiased where it shrinks. On
        the CPU bytes are scaled as bytes (seven times as fast at 224 px), elsewhere as floats and
        rounded: the two differ by one level at most.

    Example:
        >>> one = torch.arange(4, dtype=torch.uint8).reshape(1, 1, 2, 2)
        >>> crop_and_resize(one, torch.tensor([[1, 0, 1, 2]])).tolist()
        [[[[2, 3], [2, 3]]]]
    """
    size = (images.shape[2], images.shape[3])
    through_floats = images.dtype == torch.uint8 and images.device.type != "cpu"
    out = torch.empty_like(images)
    for i, (top, left, height, width) in enumerate(boxes.tolist()):
        part = images[i : i + 1, :, top : top + height, left : left + width]
        if through_floats:
            part = part.float()
        part = F.interpolate(part, size=size, mode="bilinear", antialias=True)
        out[i] = (part.round_() if through_floats else part)[0]
    return out
