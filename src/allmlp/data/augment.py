"""Augmentation of whole batches, as tensor operations on bytes.

Axes: b batch, c channels, h w pixels.
"""

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

__all__ = ["draw_shifts", "shift_images"]


def draw_shifts(count: int, limit: int, generator: torch.Generator) -> Int64[Tensor, "n 2"]:
    """Offsets (down, right) in pixels, uniform in -limit..limit, one pair for each image."""
    return torch.randint(-limit, limit + 1, (count, 2), generator=generator)


def shift_images(
    images: UInt8[Tensor, "b c h w"], shifts: Int64[Tensor, "b 2"]
) -> UInt8[Tensor, "b c h w"]:
    """Move every image by its own offset; what enters from outside is zero.

    Args:
        images: a batch.
        shifts: pixels down and right for each image; negative ones go up and left.

    Shape:
        (b, c, h, w) -> (b, c, h, w); dtype unchanged.

    Example:
        >>> one = torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8)
        >>> shift_images(one, torch.tensor([[1, 0]])).tolist()
        [[[[0, 0], [1, 2]]]]
    """
    b, _, h, w = images.shape
    shifts = shifts.to(images.device)
    rows = torch.arange(h, device=images.device) - shifts[:, :1]  # (b, h): where to read from
    columns = torch.arange(w, device=images.device) - shifts[:, 1:]
    inside = ((rows >= 0) & (rows < h))[:, :, None] & ((columns >= 0) & (columns < w))[:, None]
    each = torch.arange(b, device=images.device)[:, None, None]
    # indexing puts the channels last: (b, h, w, c)
    moved = images[each, :, rows.clamp(0, h - 1)[:, :, None], columns.clamp(0, w - 1)[:, None]]
    return (moved * inside[..., None]).permute(0, 3, 1, 2)
