"""Data by name or by path."""

import re
from collections.abc import Callable
from pathlib import Path

from allmlp.data.archive import load_zip
from allmlp.data.cifar import find_cifar, load_cifar
from allmlp.data.digits import load_digits
from allmlp.data.folder import load_folder, load_unlabelled
from allmlp.data.idx import holds_idx, load_idx
from allmlp.data.manifest import load_manifest
from allmlp.data.npz import load_npz
from allmlp.data.shards import find_shards, load_tars
from allmlp.data.split import Images, Splits
from allmlp.data.tables import (
    HUB,
    load_hub,
    load_hub_images,
    load_parquet,
    load_parquet_images,
)
from allmlp.errors import AllmlpError, unknown_name

__all__ = ["SOURCES", "is_data", "load_images", "load_source", "source_stem"]

SOURCES: dict[str, Callable[[], Splits]] = {"digits": load_digits}

KINDS = (
    "a folder or .zip of class folders, a folder with the IDX files of MNIST or the binary files "
    "of CIFAR, an .npz, a .csv with path and label, .tar or .parquet shards or a folder of them, "
    "or hf:ORG/NAME"
)

_FILES: dict[str, Callable[[Path], Splits]] = {
    ".zip": load_zip,
    ".npz": load_npz,
    ".csv": load_manifest,
}


def load_source(source: str, target: str | None = None) -> Splits:
    """Read the data called `source`, or at the path `source`.

    docs/data.md shows what each kind looks like on disk. A registered name wins over a path:
    `./digits` is the folder.

    Args:
        source: a name, a path, or `hf:ORG/NAME`.
        target: of parquet and `hf:`, the column of the classes; None finds it.

    Raises:
        AllmlpError: nothing is called that and nothing is there, or it is no data; what would be is
            named. Or a target for data without columns.
        OSError: it cannot be read.
    """
    splits = _load(source, target)
    if target is not None and not _has_columns(source):
        raise AllmlpError(
            f"{source} holds images of known classes and no columns, so that the target {target!r} "
            "means nothing; leave it out"
        )
    return splits


def _has_columns(source: str) -> bool:
    path = Path(source).expanduser()
    if source.startswith(HUB) or (source not in SOURCES and path.suffix.lower() == ".parquet"):
        return True
    return source not in SOURCES and path.is_dir() and bool(find_shards(path, ".parquet"))


def _load(source: str, target: str | None) -> Splits:
    if source in SOURCES:
        return SOURCES[source]()
    if source.startswith(HUB):
        return load_hub(source, target)
    path = Path(source).expanduser()
    if path.is_dir():
        return _load_pixels_or_shards(path, source, target) or load_folder(path)
    if path.is_file():
        suffix = path.suffix.lower()
        if suffix == ".tar":
            return load_tars([path], path.parent, source)
        if suffix == ".parquet":
            return load_parquet([path], path.parent, source, target)
        if suffix not in _FILES:
            raise AllmlpError(f"{source} is no data that allmlp reads; give {KINDS}")
        return _FILES[suffix](path)
    if path.name != source or path.suffix:
        raise AllmlpError(f"no data at {source}; give {KINDS}, or a name: {', '.join(SOURCES)}")
    raise AllmlpError(f"{unknown_name('data source', source, SOURCES)}, or give {KINDS}")


def is_data(source: str) -> bool:
    """Whether this names data rather than one image: a name, `hf:`, a folder, a file of many."""
    path = Path(source).expanduser()
    if path.is_file():
        return path.suffix.lower() in {*_FILES, ".tar", ".parquet"}
    return path.is_dir() or source in SOURCES or source.startswith(HUB)


def load_images(source: str) -> Images:
    """Every image of the data called `source`; those of a folder or a table need no classes.

    Raises:
        AllmlpError, OSError: as `load_source`.
    """
    path = Path(source).expanduser()
    if source.startswith(HUB):
        return load_hub_images(source)
    if source not in SOURCES and path.is_file() and path.suffix.lower() == ".parquet":
        return load_parquet_images([path], path.parent, source)
    if source in SOURCES or not path.is_dir():
        return load_source(source).part("all")
    if not find_cifar(path) and not holds_idx(path) and not find_shards(path, ".tar"):
        tables = find_shards(path, ".parquet")
        return load_parquet_images(tables, path, source) if tables else load_unlabelled(path)
    return load_source(source).part("all")


def _load_pixels_or_shards(folder: Path, source: str, target: str | None) -> Splits | None:
    """What a folder holds other than image files; None if that is all."""
    if cifar := find_cifar(folder):
        return load_cifar(cifar)
    if holds_idx(folder):
        return load_idx(folder)
    if tars := find_shards(folder, ".tar"):
        return load_tars(tars, folder, source)
    if tables := find_shards(folder, ".parquet"):
        return load_parquet(tables, folder, source, target)
    return None


def source_stem(source: str) -> str:
    """A short name for `source` that is safe as part of a file name.

    Example:
        >>> source_stem("digits"), source_stem("data/my photos.zip")
        ('digits', 'my_photos')
        >>> source_stem("hf:uoft-cs/cifar10")
        'cifar10'
    """
    if source.startswith(HUB):
        source = re.split("[:@]", source.removeprefix(HUB))[0]
        return re.sub(r"[^\w.-]+", "_", source.rpartition("/")[2]).strip(".") or "data"
    path = Path(source).expanduser().resolve()
    stem = source if source in SOURCES else path.name if path.is_dir() else path.stem
    return re.sub(r"[^\w.-]+", "_", stem).strip(".") or "data"
