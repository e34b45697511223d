"""Labelled images decoded once into one tensor.

Axes: n images, c channels, h w pixels.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Int64, UInt8
from torch import Tensor

__all__ = ["ImageSet", "Splits"]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one size as bytes, their labels, and the names of the classes."""

    images: UInt8[Tensor, "n c h w"]  # 0 to 255
    labels: Int64[Tensor, " n"]  # indices into classes
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return self.images.shape[0]

    @property
    def in_chans(self) -> int:
        """Channels of every image."""
        return self.images.shape[1]

    def to(self, device: torch.device | str) -> "ImageSet":
        """The same set with its tensors on `device`."""
        return ImageSet(self.images.to(device), self.labels.to(device), self.classes)

    def resize(self, img_size: tuple[int, int]) -> "ImageSet":
        """The same set at another size (height, width), by antialiased bilinear interpolation."""
        if self.images.shape[2:] == img_size:
            return self
        images = F.interpolate(self.images, size=img_size, mode="bilinear", antialias=True)
        return ImageSet(images, self.labels, self.classes)

    def channel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel, of pixels scaled to [0, 1]."""
        pixels = self.images.double() / 255
        mean = pixels.mean(dim=(0, 2, 3))
        # a constant channel carries nothing: 1 keeps it at zero instead of dividing by zero
        std = pixels.std(dim=(0, 2, 3), correction=0)
        return tuple(mean.tolist()), tuple(torch.where(std > 0, std, 1.0).tolist())


@dataclass(frozen=True, eq=False)
class Splits:
    """Parts with disjoint purposes: fit on `train`, choose on `val`, report on `test`."""

    train: ImageSet
    val: ImageSet
    test: ImageSet

    def part(self, name: str) -> ImageSet:
        """The part called `train`, `val` or `test`."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]
