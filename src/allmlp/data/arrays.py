"""What all sources of ready pixels share: from arrays, checked, to an image set.

Axes: n images, c channels, h w pixels.
"""

from collections.abc import Sequence

import numpy as np
import torch

from allmlp.data.image_set import ImageSet
from allmlp.errors import AllmlpError

__all__ = ["MAX_ARRAY_BYTES", "image_set"]

# 4 GiB of pixels, twenty times CIFAR. More belongs into image files, which can be streamed.
MAX_ARRAY_BYTES = 2**32


def image_set(
    images: np.ndarray, labels: np.ndarray, classes: Sequence[str], origin: str
) -> ImageSet:
    """Bytes (n, h, w), (n, h, w, c) or (n, c, h, w) with numbers of classes (n,) or (n, 1).

    Args:
        images: of 1 or 3 channels.
        labels: indices into `classes`.
        classes: their names.
        origin: what to call the source in errors.

    Raises:
        AllmlpError: another shape or type, different counts, or a label without class.
    """
    if images.dtype != np.uint8:
        raise AllmlpError(
            f"{origin}: images must be bytes (uint8, 0 to 255), got {images.dtype}; convert them, "
            "for example by (255 * images).round().astype('uint8')"
        )
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise AllmlpError(
            f"{origin}: images must have shape (n, h, w), (n, h, w, c) or (n, c, h, w) with 1 or 3 "
            f"channels, got {images.shape}"
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != images.shape[:1]:
        raise AllmlpError(
            f"{origin}: each image needs one label, got {len(images)} images and labels of shape "
            f"{labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= len(classes):
        raise AllmlpError(
            f"{origin}: labels run from {labels.min()} to {labels.max()}, but there are "
            f"{len(classes)} classes"
        )
    return ImageSet(
        torch.from_numpy(np.ascontiguousarray(images)),
        torch.from_numpy(labels.astype(np.int64)),
        tuple(classes),
    )
