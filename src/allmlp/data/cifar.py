"""CIFAR-10 and CIFAR-100, binary version. The python version is a pickle, which may run any code.

Source: Krizhevsky 2009, www.cs.toronto.edu/~kriz/cifar.html: each record is one label byte (two for
CIFAR-100, coarse and fine), then 1024 bytes each of red, green and blue, row by row.
"""

from pathlib import Path

import numpy as np

from allmlp.data.arrays import image_set
from allmlp.data.image_set import ImageSet
from allmlp.data.split import Splits, complete_splits
from allmlp.errors import AllmlpError

__all__ = ["find_cifar", "load_cifar"]

_PIXELS = 3 * 32 * 32

# files of train, file of test, names of classes, bytes before the pixels
_TEN = (tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin", "batches.meta.txt", 1)
_HUNDRED = (("train.bin",), "test.bin", "fine_label_names.txt", 2)


def find_cifar(folder: Path) -> Path | None:
    """The folder with CIFAR's files: this one, or the one in it that the archive makes.

    Raises:
        AllmlpError: it is the python version.
    """
    for place in (folder, folder / "cifar-10-batches-bin", folder / "cifar-100-binary"):
        if any((place / files[0]).is_file() for files, *_ in (_TEN, _HUNDRED)):
            return place
    for place in (folder, folder / "cifar-10-batches-py", folder / "cifar-100-python"):
        if (place / "data_batch_1").is_file() or (
            (place / "train").is_file() and (place / "meta").is_file()
        ):
            raise AllmlpError(
                f"{place} is the python version of CIFAR, a pickle, which may run any code; get "
                "the binary version (cifar-10-binary.tar.gz or cifar-100-binary.tar.gz)"
            )
    return None


def load_cifar(folder: Path) -> Splits:
    """The 50,000 images to train on, 10 % of them for val, and the 10,000 of test.

    Raises:
        AllmlpError: a file is missing or damaged.
    """
    train, test, names, label_bytes = _TEN if (folder / _TEN[0][0]).is_file() else _HUNDRED
    for name in (*train, test, names):
        if not (folder / name).is_file():
            raise AllmlpError(f"{folder} has no {name}; unpack the whole archive of CIFAR")
    classes = (folder / names).read_text(encoding="utf-8", errors="replace").split()
    parts = {
        "train": _read([folder / name for name in train], label_bytes, classes),
        "test": _read([folder / test], label_bytes, classes),
    }
    return complete_splits(parts, str(folder))


def _read(files: list[Path], label_bytes: int, classes: list[str]) -> ImageSet:
    records = []
    for file in files:
        values = np.fromfile(file, np.uint8)
        if not len(values) or len(values) % (label_bytes + _PIXELS):
            raise AllmlpError(
                f"{file} is damaged: {len(values):,} bytes are no whole number of records of "
                f"{label_bytes + _PIXELS}; unpack the archive of CIFAR again"
            )
        records.append(values.reshape(-1, label_bytes + _PIXELS))
    whole = np.concatenate(records)
    images = whole[:, label_bytes:].reshape(-1, 3, 32, 32)
    return image_set(images, whole[:, label_bytes - 1], classes, str(files[0]))
