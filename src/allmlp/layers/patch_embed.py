"""From an image to a map of embedded patches, by name.

A stem takes a factory from image channels, patch size and width to a module.

Axes: b batch, c image channels, h w pixels, y x grid of patches, d width.
"""

from collections.abc import Callable, Mapping

from torch import nn

__all__ = ["STEMS", "conv_embed", "patch_embed"]


def patch_embed(in_chans: int, patch_size: int, width: int) -> nn.Module:
    """One linear map of every patch: (b, c, h, w) -> (b, d, y, x).

    Args:
        in_chans: c.
        patch_size: pixels per side.
        width: d.
    """
    return nn.Conv2d(in_chans, width, patch_size, stride=patch_size)


def conv_embed(in_chans: int, patch_size: int, width: int) -> nn.Module:
    """Convolutions that see beyond their patch: (b, c, h, w) -> (b, d, y, x).

    A 3 × 3 convolution of stride 2 with batch norm and ReLU for every factor 2 of the patch size,
    the last of d channels and each of half as many as the next; then a linear map of what is left
    of a patch, one place where the size is a power of two.

    Args:
        in_chans: c.
        patch_size: pixels per side.
        width: d.

    Source: the convolutional stem of Xiao et al. 2021, Early convolutions help transformers see
    better, arXiv:2106.14881; its channels are given there size by size.
    """
    halvings = (patch_size & -patch_size).bit_length() - 1
    layers: list[nn.Module] = []
    channels = in_chans
    for i in reversed(range(halvings)):
        out = max(width >> i, 1)
        layers += [
            nn.Conv2d(channels, out, 3, stride=2, padding=1, bias=False),  # the norm has one
            nn.BatchNorm2d(out),
            nn.ReLU(),
        ]
        channels = out
    rest = patch_size >> halvings
    return nn.Sequential(*layers, nn.Conv2d(channels, width, rest, stride=rest))


STEMS: Mapping[str, Callable[[int, int, int], nn.Module]] = {
    "patch": patch_embed,
    "conv": conv_embed,
}
