"""Moving, turning and scaling whole batches, as tensor operations on bytes.

Axes: n images, b batch, c channels, h w pixels.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from allmlp.errors import AllmlpError, check_rates

__all__ = ["Warp", "warp_images"]


@dataclass(frozen=True, kw_only=True)
class Warp:
    """How far images may be moved, turned and scaled: uniformly up to each limit, either way.

    Raises:
        AllmlpError: a negative limit, or a scale of 1 and more.
    """

    shift: float = 0.0  # pixels
    rotate: float = 0.0  # degrees
    scale: float = 0.0  # share of the size

    def __post_init__(self) -> None:
        for name, value in {"shift": self.shift, "rotate": self.rotate}.items():
            if not 0 <= value < math.inf:
                raise AllmlpError(f"augmentation needs a {name} of 0 or more, got {value}")
        check_rates("augmentation", scale=self.scale)

    def __bool__(self) -> bool:
        return any((self.shift, self.rotate, self.scale))

    def draw(self, count: int, generator: torch.Generator) -> Float[Tensor, "n 4"]:
        """For each of `count` images: pixels down, pixels right, degrees, and a factor."""
        return self.of(torch.rand(count, 4, generator=generator))

    def of(self, uniforms: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        """The same from numbers in [0, 1)."""
        limits = torch.tensor([self.shift, self.shift, self.rotate, self.scale])
        drawn = (2 * uniforms - 1) * limits
        drawn[:, 3] += 1
        return drawn


def warp_images(
    images: UInt8[Tensor, "b c h w"], warps: Float[Tensor, "b 4"]
) -> UInt8[Tensor, "b c h w"]:
    """Move, turn and scale every image about its centre; what enters from outside is zero.

    Args:
        images: a batch.
        warps: of each image, pixels down, pixels right, degrees counter-clockwise, and the factor
            by which it is enlarged.

    Shape:
        (b, c, h, w) -> (b, c, h, w); dtype unchanged, bilinear and rounded.

    Example:
        >>> one = torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8)
        >>> warp_images(one, torch.tensor([[1.0, 0.0, 0.0, 1.0]])).tolist()
        [[[[0, 0], [1, 2]]]]
    """
    height, width = images.shape[2:]
    down, right, degrees, factor = warps.to(images.device).T
    angle = degrees * (math.pi / 180)
    cos, sin = angle.cos() / factor, angle.sin() / factor
    # Where each pixel is read from, in coordinates that run from -1 to 1 along either side: turned
    # in pixels, so that a rectangle is not sheared, and moved before it is turned.
    x, y = -right * 2 / width, -down * 2 / height
    ratio = height / width
    rows = [
        torch.stack([cos, -sin * ratio, cos * x - sin * ratio * y], dim=1),
        torch.stack([sin / ratio, cos, sin / ratio * x + cos * y], dim=1),
    ]
    shape = [images.shape[0], images.shape[1], height, width]
    grid = F.affine_grid(torch.stack(rows, dim=1), shape, align_corners=False)
    return F.grid_sample(images.float(), grid, align_corners=False).round_().to(torch.uint8)
