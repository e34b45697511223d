"""Horizontal flip, and pad-crop, which is a shift by whole pixels.

Axes: b batch, c channels, h w pixels.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int64
from torch import Tensor

__all__ = ["flip_images", "pad_crop_images"]


def flip_images(images: Tensor, chosen: Bool[Tensor, " b"]) -> Tensor:
    """Mirror the chosen images left to right.

    Shape:
        (b, c, h, w) -> (b, c, h, w); dtype unchanged.

    Example:
        >>> row = torch.arange(3)[None, None, None]
        >>> flip_images(row, torch.tensor([True])).flatten().tolist()
        [2, 1, 0]
    """
    out = images.clone()
    # image by image: what is copied stays in the cache, seven times as fast at 224 px
    for i in chosen.nonzero()[:, 0].tolist():
        out[i] = images[i].flip(2)
    return out


def pad_crop_images(images: Tensor, pad: int, corners: Int64[Tensor, "b 2"]) -> Tensor:
    """Put `pad` zeros around every image and cut its old size out again somewhere.

    Args:
        images: a batch.
        pad: pixels on each side.
        corners: of each image, top and left of what is cut out, from 0 to 2 `pad`.

    Shape:
        (b, c, h, w) -> (b, c, h, w); dtype unchanged.

    Source: He et al. 2015, arXiv:1512.03385, section 4.2 (CIFAR, `pad` 4).

    Example:
        >>> one = torch.tensor([[[[1, 2], [3, 4]]]])
        >>> pad_crop_images(one, 1, torch.tensor([[0, 1]])).tolist()
        [[[[0, 0], [1, 2]]]]
    """
    b, c, h, w = images.shape
    padded = F.pad(images, (pad, pad, pad, pad))
    image, channel, row = padded.stride()[:3]
    corners = corners.to(images.device)
    starts = torch.arange(b, device=images.device) * image + corners[:, 0] * row + corners[:, 1]
    inner = torch.arange(c, device=images.device)[:, None] * channel
    inner = inner + torch.arange(h, device=images.device) * row
    # Every run of w numbers as one row: taking rows by number is the fastest way to move images by
    # different amounts (32 px: 0.76 M images/s, indexing 0.05 M, a loop 0.12 M).
    runs = padded.flatten().unfold(0, w, 1)
    return runs.index_select(0, (starts[:, None, None] + inner).flatten()).view(b, c, h, w)
