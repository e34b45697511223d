"""A NumPy archive of pixels and labels.

Keys: `x_train y_train x_test y_test` (Keras), `train_images train_labels …` (MedMNIST), or `images
labels`, `x y` for data without parts; `classes` may hold the names. Never unpickled.
"""

import zipfile
from pathlib import Path

import numpy as np

from allmlp.data.arrays import MAX_ARRAY_BYTES, image_set
from allmlp.data.split import PARTS, Splits, complete_splits
from allmlp.errors import AllmlpError

__all__ = ["load_npz"]

_PAIRS = {
    **{part: [(f"x_{part}", f"y_{part}"), (f"{part}_images", f"{part}_labels")] for part in PARTS},
    "all": [("images", "labels"), ("x", "y")],
}


def load_npz(path: Path) -> Splits:
    """Images and labels from an `.npz`.

    Labels are indices into `classes`; without it, or if they are text, they name the classes.

    Raises:
        AllmlpError: no archive, other keys, images under keys of two kinds, pickled objects, too
            much data, or what `image_set` refuses.
    """
    arrays = _read(path)
    found = [
        (part, pair)
        for part, pairs in _PAIRS.items()
        for pair in pairs
        if pair[0] in arrays or pair[1] in arrays
    ]
    pairs = dict(found)
    if len(pairs) < len(found) or ("all" in pairs and len(pairs) > 1):
        names = ", ".join(pair[0] for _, pair in found)
        raise AllmlpError(
            f"{path} must have images once, in parts or without; it has {names}; leave some out"
        )
    for part, pair in pairs.items():
        if missing := [key for key in pair if key not in arrays]:
            raise AllmlpError(f"{path} has no {missing[0]} to go with {part}; add it")
    if not pairs:
        raise AllmlpError(
            f"{path} must have x_train and y_train, train_images and train_labels, or images and "
            f"labels; it has {', '.join(arrays) or 'nothing'}"
        )
    present = np.unique(np.concatenate([arrays[labels].ravel() for _, labels in pairs.values()]))
    if present.dtype.kind not in "iuU":
        raise AllmlpError(f"{path}: labels must be integers or text, got {present.dtype}")
    if "classes" in arrays and present.dtype.kind != "U":
        named = arrays["classes"].tolist()
        classes = [n.decode(errors="replace") if isinstance(n, bytes) else str(n) for n in named]
        numbered = {part: arrays[labels] for part, (_, labels) in pairs.items()}
    else:
        classes = [str(value) for value in present]
        numbered = {
            part: np.searchsorted(present, arrays[labels]) for part, (_, labels) in pairs.items()
        }
    parts = {
        "train" if part == "all" else part: image_set(
            arrays[images], numbered[part], classes, f"{path} ({images})"
        )
        for part, (images, _) in pairs.items()
    }
    return complete_splits(parts, str(path))


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(info.file_size for info in archive.infolist())
        if total > MAX_ARRAY_BYTES:
            raise AllmlpError(
                f"{path} unpacks to {total:,} bytes, more than {MAX_ARRAY_BYTES:,}; "
                "put the images into class folders"
            )
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
            # a file of another name is handed out as its bytes
            return {key: array for key, array in arrays.items() if isinstance(array, np.ndarray)}
    except AllmlpError:
        raise
    except OSError:
        raise
    # damage makes numpy and zipfile raise nearly anything; a header that declares too much is a
    # MemoryError
    except Exception as e:
        raise AllmlpError(
            f"{path} is no intact .npz without pickled objects ({e}); write it by numpy.savez"
        ) from e
