"""The 1,797 handwritten digits bundled with scikit-learn: 8×8 pixels, 17 grey levels."""

import numpy as np
import torch

from allmlp.data.image_set import ImageSet
from allmlp.data.split import Splits

__all__ = ["load_digits"]

# of the split, not of the run: every run, whatever its seed, is tested on the same digits
SPLIT_SEED = 0


def load_digits() -> Splits:
    """70 % to train on, 10 % to choose by, 20 % to report: stratified by class, always the same.

    Ink is white (255) on black (0); the source's levels 0 to 16 are scaled to bytes.

    Source: scikit-learn's `load_digits`, the test part of UCI's Optical Recognition of Handwritten
    Digits (Alpaydin and Kaynak 1998).

    Example:
        >>> splits = load_digits()
        >>> len(splits.train), len(splits.val), len(splits.test)
        (1257, 180, 360)
    """
    # scikit-learn, which imports pandas, takes longer to import than torch; models need neither
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    bundle = datasets.load_digits()
    images = torch.from_numpy(np.rint(bundle.images * (255 / 16)).astype(np.uint8))[:, None]
    labels = torch.from_numpy(bundle.target.astype(np.int64))
    classes = tuple(str(name) for name in bundle.target_names)

    rest, test = train_test_split(
        np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=SPLIT_SEED
    )
    train, val = train_test_split(
        rest, test_size=0.125, stratify=labels[rest], random_state=SPLIT_SEED
    )
    whole = ImageSet(images, labels, classes)
    parts = [whole.take(torch.from_numpy(index)) for index in (train, val, test)]
    return Splits(parts[0], parts[1], parts[2])
