"""Batches of images: read, augmented, normalised, mixed.

Axes: b batch, c channels, h w pixels, k classes, m visits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from allmlp.data.augment import Augment, EpochAugment
from allmlp.data.image_set import ImageSet
from allmlp.data.order import shuffled_order
from allmlp.data.pictures import read_edited
from allmlp.data.preprocess import Preprocess
from allmlp.data.stream import ImageStream

__all__ = ["Padding", "iterate_batches", "iterate_shares"]


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
    order: Int64[Tensor, " m"] | None = None,
    augment: Augment | None = None,
    workers: int = 0,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield normalised images (b, c, h, w) and labels (b,), every intact example once.

    With `augment.mix` labels are weights of all classes (b, k) that sum to 1.

    Args:
        data: in memory or streamed, on the device that the batches shall be on.
        preprocess: the normalisation.
        batch_size: b; the last batch holds what remains.
        shuffle: (seed, epoch) of a random order, and of what is drawn for `augment`; None keeps the
            order of the data.
        order: with `shuffle`, the visits of this epoch in another order: see `allmlp.data.order`.
            None visits every image once.
        augment: with `shuffle`, vary the images at random. What happens to an image depends on
            seed, epoch and visit, not on its batch.
        workers: processes that edit single pictures of data in memory, if `augment` has a policy;
            0 edits here. A stream has its own. Changes no result.
    """
    batches = iterate_shares(
        data,
        preprocess,
        batch_size,
        shuffle=shuffle,
        order=order,
        augment=augment,
        workers=workers,
    )
    return (batch for batch in batches if not isinstance(batch, Padding))


def iterate_shares(
    data: ImageSet | ImageStream,
    preprocess: Preprocess,
    batch_size: int,
    *,
    shuffle: tuple[int, int] | None = None,
    order: Int64[Tensor, " m"] | None = None,
    augment: Augment | None = None,
    workers: int = 0,
    start: int = 0,
    rank: int = 0,
    size: int = 1,
) -> Iterator[tuple[Tensor, Tensor] | Padding]:
    """As `iterate_batches`, from a batch on, and of every batch the part of one process.

    The processes together see exactly the images that one alone would see, varied in the same way.
    Only mixing pairs images within a process, with one weight and one box for all.

    Args:
        data: in memory or streamed, on the device that the batches shall be on.
        preprocess: the normalisation.
        batch_size: examples of all processes together.
        shuffle: (seed, epoch) of a random order, as there.
        order: of the visits, as there.
        augment: of the images, as there.
        workers: as there.
        start: batches to leave out, which a resumed epoch has seen already.
        rank: which part is taken.
        size: number of parts.

    Yields:
        One item for each batch, whatever is broken in it.
    """
    epoch = None
    if shuffle is None:
        order = torch.arange(len(data))
    else:
        if order is None:
            order = shuffled_order(len(data), *shuffle)
        epoch = EpochAugment(augment or Augment(), *shuffle, len(data), preprocess.mean)
    shares = [batch.tensor_split(size)[rank] for batch in order.split(batch_size)[start:]]
    edit = epoch.edit(files=isinstance(data, ImageStream)) if epoch else None
    # begun here and not with the first batch: whoever restores random states afterwards finds them
    # untouched by the start of workers
    if isinstance(data, ImageStream):
        read = data.read(shares, edit)
    else:
        read = data.read(shares) if edit is None else read_edited(data, shares, edit, workers)
    return _finish(read, preprocess, epoch, len(data.classes), start, cropped=edit is not None)


def _finish(
    read: Iterator[tuple[Tensor, Tensor, Tensor]],
    preprocess: Preprocess,
    epoch: EpochAugment | None,
    num_classes: int,
    start: int,
    *,
    cropped: bool,
) -> Iterator[tuple[Tensor, Tensor] | Padding]:
    for number, (visits, images, labels) in enumerate(read, start):
        if nothing := len(visits) == 0:
            visits = torch.zeros(1, dtype=torch.int64)
            images, labels = images.new_zeros(1, *images.shape[1:]), labels.new_zeros(1)
        if epoch is not None:
            images = epoch.change(images, visits, cropped=cropped)
        batch = preprocess.normalize(images), labels
        if epoch is not None:
            batch = epoch.mix(*batch, num_classes, number)
        yield Padding(batch) if nothing else batch
