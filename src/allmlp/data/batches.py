"""Batches of images, in an order that is a function of seed and epoch.

Axes: b batch, c channels, h w pixels.
"""

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from allmlp.data.augment import Warp, warp_images
from allmlp.data.image_set import ImageSet
from allmlp.data.preprocess import Preprocess
from allmlp.data.stream import ImageStream

__all__ = ["epoch_generator", "iterate_batches"]


def epoch_generator(seed: int, epoch: int, purpose: str) -> torch.Generator:
    """A generator on the CPU that depends on these three and on nothing that ran before.

    Example:
        >>> first, again = (epoch_generator(0, 3, "order") for _ in range(2))
        >>> torch.equal(torch.randperm(9, generator=first), torch.randperm(9, generator=again))
        True
    """
    digest = hashlib.blake2b(f"{seed}/{epoch}/{purpose}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))


def iterate_batches(
    data: ImageSet | ImageStream,
    preprocess: Preprocess,
    batch_size: int,
    *,
    shuffle: tuple[int, int] | None = None,
    warp: Warp | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield normalised images (b, c, h, w) and labels (b,), every intact example once.

    Args:
        data: in memory or streamed, on the device that the batches shall be on.
        preprocess: the normalisation.
        batch_size: b; the last batch holds what remains.
        shuffle: (seed, epoch) of a random order; None keeps the order of the data.
        warp: with `shuffle`, move, turn and scale the images at random. What happens to an image
            depends on seed, epoch and its index, not on its batch.
    """
    count = len(data)
    order = torch.arange(count)
    warps = None
    if shuffle is not None:
        order = torch.randperm(count, generator=epoch_generator(*shuffle, "order"))
        if warp:
            warps = warp.draw(count, epoch_generator(*shuffle, "warp"))
    for chosen, images, labels in data.read(order.split(batch_size)):
        if warps is not None:
            images = warp_images(images, warps[chosen])
        yield preprocess.normalize(images), labels
