"""Data by name or by path."""

import re
from collections.abc import Callable
from pathlib import Path

from allmlp.data.archive import load_zip
from allmlp.data.cifar import find_cifar, load_cifar
from allmlp.data.digits import load_digits
from allmlp.data.folder import load_folder
from allmlp.data.idx import holds_idx, load_idx
from allmlp.data.manifest import load_manifest
from allmlp.data.npz import load_npz
from allmlp.data.split import Splits
from allmlp.errors import AllmlpError, unknown_name

__all__ = ["SOURCES", "load_source", "source_stem"]

SOURCES: dict[str, Callable[[], Splits]] = {"digits": load_digits}

KINDS = (
    "a folder or .zip of class folders, a folder with the IDX files of MNIST or the binary files "
    "of CIFAR, an .npz, or a .csv with path and label"
)

_FILES: dict[str, Callable[[Path], Splits]] = {
    ".zip": load_zip,
    ".npz": load_npz,
    ".csv": load_manifest,
}


def load_source(source: str) -> Splits:
    """Read the data called `source`, or at the path `source`.

    docs/data.md shows what each kind looks like on disk. A registered name wins over a path:
    `./digits` is the folder.

    Raises:
        AllmlpError: nothing is called that and nothing is there, or it is no data; what would be is
            named.
        OSError: it cannot be read.
    """
    if source in SOURCES:
        return SOURCES[source]()
    path = Path(source).expanduser()
    if path.is_dir():
        if cifar := find_cifar(path):
            return load_cifar(cifar)
        return load_idx(path) if holds_idx(path) else load_folder(path)
    if path.is_file():
        suffix = path.suffix.lower()
        if suffix not in _FILES:
            raise AllmlpError(f"{source} is no data that allmlp reads; give {KINDS}")
        return _FILES[suffix](path)
    if path.name != source or path.suffix:
        raise AllmlpError(f"no data at {source}; give {KINDS}, or a name: {', '.join(SOURCES)}")
    raise AllmlpError(f"{unknown_name('data source', source, SOURCES)}, or give {KINDS}")


def source_stem(source: str) -> str:
    """A short name for `source` that is safe as part of a file name.

    Example:
        >>> source_stem("digits"), source_stem("data/my photos.zip")
        ('digits', 'my_photos')
    """
    path = Path(source).expanduser().resolve()
    stem = source if source in SOURCES else path.name if path.is_dir() else path.stem
    return re.sub(r"[^\w.-]+", "_", stem).strip(".") or "data"
