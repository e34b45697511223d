"""Batches of images, in an order that is a function of seed and epoch.

Axes: b batch, c channels, h w pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from allmlp.data.draws import epoch_generator
from allmlp.data.image_set import ImageSet
from allmlp.data.preprocess import Preprocess
from allmlp.data.stream import ImageStream
from allmlp.data.warp import Warp, warp_images

__all__ = ["iterate_batches"]


@dataclass(frozen=True)
class Padding:
    """A batch that keeps a process in step with the others and counts for nothing.

    Stands where a process has no example of its own: the last batch of an epoch may have fewer
    examples than there are processes, or every image of a share may be unreadable.
    """

    batch: Any  # of the form of a real one, with at least one example


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
    batches = iterate_shares(data, preprocess, batch_size, shuffle=shuffle, warp=warp)
    return (batch for batch in batches if not isinstance(batch, Padding))


def iterate_shares(
    data: ImageSet | ImageStream,
    preprocess: Preprocess,
    batch_size: int,
    *,
    shuffle: tuple[int, int] | None = None,
    warp: Warp | None = None,
    start: int = 0,
    rank: int = 0,
    size: int = 1,
) -> Iterator[tuple[Tensor, Tensor] | Padding]:
    """As `iterate_batches`, from a batch on, and of every batch the part of one process.

    The processes together see exactly the batches that one alone would see.

    Args:
        data: in memory or streamed, on the device that the batches shall be on.
        preprocess: the normalisation.
        batch_size: examples of all processes together.
        shuffle: (seed, epoch) of a random order, as there.
        warp: of the images, as there.
        start: batches to leave out, which a resumed epoch has seen already.
        rank: which part is taken.
        size: number of parts.

    Yields:
        One item for each batch, whatever is broken in it.
    """
    count = len(data)
    order = torch.arange(count)
    warps = None
    if shuffle is not None:
        order = torch.randperm(count, generator=epoch_generator(*shuffle, "order"))
        if warp:
            warps = warp.draw(count, epoch_generator(*shuffle, "warp"))
    shares = [batch.tensor_split(size)[rank] for batch in order.split(batch_size)[start:]]
    # begun here and not with the first batch: whoever restores random states afterwards finds them
    # untouched by the start of workers
    read = data.read(shares)
    return _finish(read, preprocess, warps)


def _finish(
    read: Iterator[tuple[Tensor, Tensor, Tensor]], preprocess: Preprocess, warps: Tensor | None
) -> Iterator[tuple[Tensor, Tensor] | Padding]:
    for chosen, images, labels in read:
        if len(chosen) == 0:
            blank = images.new_zeros(1, *images.shape[1:])
            yield Padding((preprocess.normalize(blank), labels.new_zeros(1)))
            continue
        if warps is not None:
            images = warp_images(images, warps[chosen])
        yield preprocess.normalize(images), labels
