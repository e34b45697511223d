"""Labelled images decoded once into one tensor.

Axes: n images, c channels, h w pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Int64, UInt8
from torch import Tensor

from allmlp.errors import AllmlpError

__all__ = ["ImageSet"]


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

    def take(self, index: Int64[Tensor, " m"]) -> "ImageSet":
        """The images at these positions, in this order."""
        return ImageSet(self.images[index], self.labels[index], self.classes)

    def to(self, device: torch.device | str) -> "ImageSet":
        """The same set with its tensors on `device`."""
        return ImageSet(self.images.to(device), self.labels.to(device), self.classes)

    def read(self, batches: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """For each batch of visits (b,): the visits, images as bytes, and labels.

        A visit is the position of an image, plus the number of images for every earlier visit of
        the same in an epoch.
        """
        for visits in batches:
            index = (visits % len(self)).to(self.images.device)
            yield visits, self.images.index_select(0, index), self.labels[index]

    def resize(self, img_size: tuple[int, int]) -> "ImageSet":
        """The same set at another size (height, width), by antialiased bilinear interpolation."""
        if self.images.shape[2:] == img_size:
            return self
        images = F.interpolate(self.images, size=img_size, mode="bilinear", antialias=True)
        return ImageSet(images, self.labels, self.classes)

    def with_channels(self, count: int) -> "ImageSet":
        """The same set with so many channels, grey ones in all of them.

        Raises:
            AllmlpError: it has another number and is not grey.
        """
        if self.in_chans == count:
            return self
        if self.in_chans != 1:
            raise AllmlpError(
                f"the model takes {count} image channels, the data has {self.in_chans}; give data "
                "of its kind, or a model for these"
            )
        return ImageSet(self.images.expand(-1, count, -1, -1), self.labels, self.classes)

    def channel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel, of pixels scaled to [0, 1]."""
        mean, std = [], []
        for channel in self.images.unbind(1):
            # a histogram: exact, and no copy of the pixels as floats
            counts = torch.bincount(channel.flatten(), minlength=256).double().cpu()
            levels = torch.arange(256, dtype=torch.float64) / 255
            middle = (counts * levels).sum() / counts.sum()
            spread = ((counts * (levels - middle) ** 2).sum() / counts.sum()).sqrt()
            mean.append(middle.item())
            # a constant channel carries nothing: 1 keeps it at zero instead of dividing by zero
            std.append(spread.item() if (counts > 0).sum() > 1 else 1.0)
        return tuple(mean), tuple(std)
