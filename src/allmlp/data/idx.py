"""IDX files, the format of MNIST and its family, plain or compressed by gzip.

Source: yann.lecun.com/exdb/mnist, "file formats": two zero bytes, a type (8 for bytes), the number
of axes, each length as four bytes big-endian, then the values.
"""

import gzip
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np

from allmlp.data.arrays import MAX_ARRAY_BYTES, image_set
from allmlp.data.split import Splits, complete_splits
from allmlp.errors import AllmlpError

__all__ = ["holds_idx", "load_idx"]

# how the files of each part are called, and what follows: -images.idx3-ubyte.gz, for example
_PREFIXES = {"train": "train", "val": "val", "test": "test", "t10k": "test"}


def holds_idx(folder: Path) -> bool:
    """Whether the folder holds IDX files of images."""
    return bool(_find(folder, "images"))


def load_idx(folder: Path) -> Splits:
    """`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-…` and what is called like them.

    Classes are the numbers of the labels.

    Raises:
        AllmlpError: a file without its partner, damaged, or of another type.
    """
    images, labels = _find(folder, "images"), _find(folder, "labels")
    for part in images.keys() ^ labels.keys():
        have = images.get(part) or labels[part]
        raise AllmlpError(
            f"{have} has no partner: every part needs a file of images and one of labels"
        )
    arrays = {part: (_read(images[part], 3), _read(labels[part], 1)) for part in images}
    count = 1 + max(int(numbers.max(initial=0)) for _, numbers in arrays.values())
    classes = [str(number) for number in range(count)]
    parts = {
        part: image_set(pixels, numbers, classes, str(images[part]))
        for part, (pixels, numbers) in arrays.items()
    }
    return complete_splits(parts, str(folder))


def _find(folder: Path, kind: str) -> dict[str, Path]:
    """Part to file, for one kind of content."""
    found = {}
    for path in sorted(folder.iterdir()):
        name = path.name.lower()
        if "ubyte" not in name or kind not in name:
            continue
        # EMNIST puts the name of the set in front: emnist-digits-train-images-idx3-ubyte.gz
        for prefix, part in _PREFIXES.items():
            if prefix in name.split(kind)[0]:
                found[part] = path
    return found


def _read(path: Path, axes: int) -> np.ndarray:
    """The bytes of an IDX file, in its shape.

    Raises:
        AllmlpError: another type, another number of axes, or another size than it declares.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(4 + 4 * axes)
            if len(header) < 4 + 4 * axes or header[:4] != bytes([0, 0, 8, axes]):
                raise AllmlpError(
                    f"{path} is no IDX file of bytes with {axes} axes; take the original file"
                )
            shape = struct.unpack(f">{axes}I", header[4:])
            if prod(shape) > MAX_ARRAY_BYTES:
                raise AllmlpError(
                    f"{path} declares {prod(shape):,} bytes, more than {MAX_ARRAY_BYTES:,}; "
                    "put the images into class folders"
                )
            values = file.read(prod(shape) + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise AllmlpError(f"{path} is damaged ({e}); take the original file") from e
    if len(values) != prod(shape):
        raise AllmlpError(
            f"{path} is damaged: it declares {prod(shape):,} values and holds "
            f"{'more' if len(values) > prod(shape) else format(len(values), ',')}; "
            "take the original file"
        )
    # a copy, because torch wants memory that may be written
    return np.frombuffer(values, np.uint8).reshape(shape).copy()
