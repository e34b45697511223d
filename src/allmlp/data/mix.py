"""Mixup and cutmix: each image is blended with a partner of its batch, and so is its label.

Axes: b batch, c channels, h w pixels, k classes.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64
from scipy.special import betaincinv
from torch import Tensor

from allmlp.data.boxes import Box
from allmlp.errors import AllmlpError

__all__ = ["Mix", "cutmix_box", "cutmix_images_", "mix_labels", "mixup_images"]


@dataclass(frozen=True, kw_only=True)
class Mix:
    """How images are mixed: one weight, one box, one pairing for a batch, as in the papers' codes.

    The weight λ of the image itself is Beta(α, α), that of its partner 1 - λ. A batch is mixed with
    probability `rate`; if both ways are on, it is cut with probability `switch`, else blended.

    Raises:
        AllmlpError: a negative α, or a probability outside [0, 1].

    Source: mixup, Zhang et al. 2017, arXiv:1710.09412, eq. 1; cutmix, Yun et al. 2019,
    arXiv:1905.04899, eq. 1 to 3; the switch is timm's, which recipes since DeiT rely on.
    """

    mixup: float = 0.0  # α; 0 is off
    cutmix: float = 0.0  # α; 0 is off
    rate: float = 1.0
    switch: float = 0.5

    def __post_init__(self) -> None:
        for name, alpha in {"mixup": self.mixup, "cutmix": self.cutmix}.items():
            if not 0 <= alpha < math.inf:
                raise AllmlpError(f"{name} needs an α of 0 (off) or more, got {alpha}")
        for name, share in {"rate": self.rate, "switch": self.switch}.items():
            if not 0 <= share <= 1:
                raise AllmlpError(f"mixing needs a {name} in [0, 1], got {share}")

    def __bool__(self) -> bool:
        return self.rate > 0 and (self.mixup > 0 or self.cutmix > 0)

    def apply(
        self,
        images: Float[Tensor, "b c h w"],
        labels: Int64[Tensor, " b"],
        num_classes: int,
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, "b c h w"], Float32[Tensor, "b k"]]:
        """Mix a batch, or leave it alone, as the generator decides.

        Args:
            images: a batch, which may be overwritten.
            labels: indices into classes.
            num_classes: k.
            generator: on the CPU; alone decides what happens.

        Returns:
            Images, and for each the weights of all classes, which sum to 1. `F.cross_entropy` takes
            them in place of labels, smoothing included: λ CE(a) + (1 - λ) CE(b) is the
            cross-entropy with the mixed target, since it is linear in the target.
        """
        mixed, switch, u, down, right = torch.rand(
            5, generator=generator, dtype=torch.float64
        ).tolist()
        if mixed >= self.rate:
            return images, mix_labels(labels, labels, 1.0, num_classes)
        partner = torch.randperm(len(labels), generator=generator).to(images.device)
        cut = self.cutmix > 0 and (self.mixup == 0 or switch < self.switch)
        alpha = self.cutmix if cut else self.mixup
        weight = float(betaincinv(alpha, alpha, u))  # the quantile: the same in every version
        if cut:
            height, width = images.shape[2:]
            box = cutmix_box(weight, (height, width), (down, right))
            # what the rounded box, cut at the border, really covers
            weight = 1 - box[2] * box[3] / (height * width)
            images = cutmix_images_(images, partner, box)
        else:
            images = mixup_images(images, partner, weight)
        return images, mix_labels(labels, labels[partner], weight, num_classes)


def mixup_images(
    images: Float[Tensor, "b c h w"], partner: Int64[Tensor, " b"], weight: float
) -> Float[Tensor, "b c h w"]:
    """λ x + (1 - λ) x of the partner.

    Args:
        images: a batch.
        partner: for each image the position of another.
        weight: λ.
    """
    # In the copy, since memory is what this costs; index_select copies three times as fast as [].
    return images.index_select(0, partner).lerp_(images, weight)


def cutmix_images_(
    images: Float[Tensor, "b c h w"], partner: Int64[Tensor, " b"], box: Box
) -> Float[Tensor, "b c h w"]:
    """In place: the partner's pixels within the box, the image's own outside.

    Args:
        images: a batch.
        partner: for each image the position of another.
        box: top, left, height and width in pixels.
    """
    top, left, height, width = box
    rows, columns = slice(top, top + height), slice(left, left + width)
    images[:, :, rows, columns] = images[:, :, rows, columns].index_select(0, partner)
    return images


def cutmix_box(weight: float, size: tuple[int, int], centre: tuple[float, float]) -> Box:
    """The box of area 1 - λ and of the image's proportions about a centre, cut at the border.

    Args:
        weight: λ.
        size: pixels, height and width of the image.
        centre: uniform numbers on [0, 1): down and right.

    Returns:
        Top, left, height and width in pixels; of area 0 if λ is near 1.

    Example:
        >>> cutmix_box(0.75, (8, 8), (0.5, 0.0))
        (2, 0, 4, 2)
    """
    share = math.sqrt(1 - weight)
    edges = []
    for side, place in zip(size, centre, strict=True):
        length, middle = int(side * share), int(side * place)
        start, end = max(0, middle - length // 2), min(side, middle + length // 2)
        edges.append((start, end - start))
    (top, height), (left, width) = edges
    return top, left, height, width


def mix_labels(
    labels: Int64[Tensor, " b"], others: Int64[Tensor, " b"], weight: float, num_classes: int
) -> Float32[Tensor, "b k"]:
    """For each image λ on its class and 1 - λ on its partner's.

    Example:
        >>> mix_labels(torch.tensor([0, 1]), torch.tensor([2, 1]), 0.75, 3).tolist()
        [[0.75, 0.0, 0.25], [0.0, 1.0, 0.0]]
    """
    own, other = (F.one_hot(y, num_classes).float() for y in (labels, others))
    return own.mul_(weight).add_(other, alpha=1 - weight)
