"""In which order an epoch visits the images: functions of seed and epoch.

A *visit* is the position of an image, plus the number of images for every earlier visit of the same
in this epoch: what is drawn for the second visit of an image differs from the first.

Axes: n images, m visits.
"""

import torch
from jaxtyping import Int64
from torch import Tensor

from allmlp.data.draws import epoch_generator
from allmlp.errors import check_integers

__all__ = ["balanced_order", "repeated_order", "shuffled_order"]


def shuffled_order(count: int, seed: int, epoch: int) -> Int64[Tensor, " n"]:
    """Every image once.

    Example:
        >>> sorted(shuffled_order(4, 0, 7).tolist())
        [0, 1, 2, 3]
    """
    return torch.randperm(count, generator=epoch_generator(seed, epoch, "order"))


def balanced_order(labels: Int64[Tensor, " n"], seed: int, epoch: int) -> Int64[Tensor, " n"]:
    """As many visits as there are images, the same number of every class, or one more.

    So it is in every batch, too: the order consists of rounds that visit every class once. The
    images of a class come in a random order, and again in another one when all of them have been: a
    small class is repeated evenly, a large one is visited in part. Classes without images are left
    out.

    Args:
        labels: indices into classes, on the CPU.
        seed: of the run.
        epoch: of it.

    Example:
        >>> order = balanced_order(torch.tensor([0, 0, 0, 0, 0, 1]), 0, 7)
        >>> torch.tensor([0, 0, 0, 0, 0, 1])[order % 6].bincount().tolist()
        [3, 3]
    """
    count = len(labels)
    generator = epoch_generator(seed, epoch, "balanced order")
    classes = labels.unique()
    # who gets one more changes with the epoch
    shares = torch.full((len(classes),), count // len(classes))
    shares[torch.randperm(len(classes), generator=generator)[: count % len(classes)]] += 1
    visits, keys = [], []
    for label, share in zip(classes.tolist(), shares.tolist(), strict=True):
        members = (labels == label).nonzero()[:, 0]
        passes = [
            members[torch.randperm(len(members), generator=generator)] + count * number
            for number in range(-(-share // len(members)))
        ]
        visits.append(torch.cat([*passes, members[:0]])[:share])
        # the number of the round, and a place in it
        keys.append(torch.arange(share) + torch.rand(share, generator=generator))
    return torch.cat(visits)[torch.cat(keys).argsort()]


def repeated_order(order: Int64[Tensor, " n"], count: int, repeats: int) -> Int64[Tensor, " n"]:
    """The first visits of an order, each `repeats` times in a row, to the length it had.

    An epoch stays as long as it was and sees one in `repeats` of the images, others every time.
    What stands in a row falls into the same batch.

    Args:
        order: of one epoch.
        count: n, images there are.
        repeats: visits of each image.

    Raises:
        AllmlpError: `repeats` below 1.

    Source: Hoffer et al. 2019, arXiv:1901.09335; Berman et al. 2019, arXiv:1902.05509; DeiT's
    sampler repeats three times and keeps the epoch's length in the same way.

    Example:
        >>> repeated_order(torch.tensor([2, 0, 1]), 3, 2).tolist()
        [2, 5, 0]
    """
    check_integers("repeated augmentation", minimum=1, repeats=repeats)
    # the visits that `order` makes are numbered first: one image's k-th and its repeats stay apart
    again = torch.arange(repeats) * count * (int(order.max()) // count + 1)
    distinct = order[: -(-len(order) // repeats)]
    return (distinct[:, None] + again).flatten()[: len(order)]
