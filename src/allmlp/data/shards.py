"""Tars as WebDataset writes them, read in place: any image at any time, nothing unpacked.

A *sample* is the files of one tar that share a key, the path up to the first dot of the file's
name: `0012.jpg` and `0012.cls`. Without a class file the tar is read like a zip of class folders.

Source: the WebDataset format, github.com/webdataset/webdataset.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allmlp.data.class_folders import (
    PART_NAMES,
    SUFFIXES,
    arrange_files,
    is_image,
    is_visible,
    label_files,
)
from allmlp.data.split import Splits
from allmlp.data.tar_index import TarEntry, scan_tar
from allmlp.errors import AllmlpError

__all__ = ["CLASSES", "TarReader", "find_shards", "load_tars", "name_parts", "read_classes"]

# names of the classes that numbers mean, a line each; beside the tars
CLASSES = "classes.txt"
_MAX_CLASSES_BYTES = 2**24

_MAX_JSON_BYTES = 2**20
_JSON_KEYS = ("label", "cls", "class")


@dataclass(frozen=True, eq=False)
class TarReader:
    """Reads files of several tars. Opens one for every file, so that processes share nothing."""

    tars: tuple[str, ...]
    rows: Mapping[str, int]  # name to row of the arrays
    places: np.ndarray  # (m, 3) int64: number of the tar, offset, size

    def read(self, name: str) -> bytes:
        """The content of one file, called by tar and name within it.

        Raises:
            OSError: the tar cannot be read.
            AllmlpError: the tar has become shorter.
        """
        tar, offset, size = self.places[self.rows[name]].tolist()
        with open(self.tars[tar], "rb", buffering=0) as file:
            data = os.pread(file.fileno(), size, offset)
        if len(data) != size:
            raise AllmlpError("the tar is cut off here")
        return data


def find_shards(folder: Path, suffix: str) -> list[Path]:
    """Files of this kind in a folder or one folder below, in order; none if images lie there, too.

    An archive of photographs beside the photographs is no shard.
    """
    depths = ("*", "*/*")
    found = [
        path
        for depth in depths
        for path in folder.glob(f"{depth}{suffix}")
        if path.is_file() and is_visible(path.relative_to(folder).as_posix())
    ]
    if not found:
        return []
    images = (path for depth in depths for path in folder.glob(depth) if is_image(path.name))
    return [] if any(images) else sorted(found)


def load_tars(paths: Sequence[Path], root: Path, origin: str) -> Splits:
    """Images in tars: WebDataset samples with `.cls` or `.json`, or class folders.

    `.cls` holds a number or a name, `.json` has it under `label`, `cls` or `class`. Numbers are
    lines of `classes.txt` beside the tars if there is one. The part of a sample is a word of its
    tar's path: `train-000012.tar`, `val/3.tar`.

    Args:
        paths: of the tars.
        root: folder that the parts are named below.
        origin: what to call the tars together in errors.

    Raises:
        AllmlpError: a tar that `scan_tar` refuses; an image without class while others have one; a
            class that is missing from train or has no name; or as `arrange_files`.
        OSError: a tar cannot be read.
    """
    parts = name_parts([path.relative_to(root).as_posix() for path in paths], origin)
    names: list[str] = []  # of images
    places: list[tuple[int, int, int]] = []
    folders: set[str] = set()
    labels: dict[tuple[int, str], str] = {}  # tar and key
    for tar, path in enumerate(paths):
        for entry in scan_tar(path):
            key, extension = _split(entry.name)
            if entry.folder:
                folders.add(entry.name)
            elif extension == ".cls":
                labels[tar, key] = _class_text(path, entry)
            elif extension == ".json":
                label = _json_label(path, entry)
                if label is not None:
                    labels.setdefault((tar, key), label)
            elif is_image(entry.name):
                names.append(entry.name)
                places.append((tar, entry.offset, entry.size))

    if not labels:
        names = [_below(parts[tar], name) for name, (tar, _, _) in zip(names, places, strict=True)]
        reader = _reader(paths, names, places, origin)
        return arrange_files(reader, names, folders if parts == [None] else (), origin)

    rows, kept = [], []
    for name, place in zip(names, places, strict=True):
        tar = place[0]
        key, extension = _split(name)
        if extension not in SUFFIXES:  # `1.mask.png` goes with the sample, it is not its image
            continue
        where = paths[tar].relative_to(root).as_posix()
        if (tar, key) not in labels:
            raise AllmlpError(
                f"{origin}: {where} has no class for {name}, but for others; add {key}.cls"
            )
        called = name if len(paths) == 1 else f"{where}/{name}"
        rows.append((called, labels[tar, key], parts[tar]))
        kept.append(place)
    if not rows:
        raise AllmlpError(
            f"{origin} holds classes but no images; a sample is KEY.jpg, .png, … and KEY.cls"
        )
    rows, order = _name_classes(rows, root / CLASSES)
    reader = _reader(paths, [name for name, _, _ in rows], kept, origin)
    return label_files(reader, rows, origin, order=order)


def name_parts(names: Sequence[str], origin: str) -> list[str | None]:
    """Which part each file belongs to: the one among the words of its path; None for all files.

    Raises:
        AllmlpError: two parts in one path, or a path without while others have one.

    Example:
        >>> name_parts(["train-00000-of-00002.tar", "validation/7.tar"], "data")
        ['train', 'val']
    """
    parts: list[str | None] = []
    for name in names:
        words = re.findall("[a-z]+", name.lower())
        found = {PART_NAMES[word] for word in words if word in PART_NAMES}
        if len(found) > 1:
            raise AllmlpError(
                f"{origin}: {name} names {' and '.join(sorted(found))}; a file belongs to one part"
            )
        parts.append(found.pop() if found else None)
    if None in parts and any(parts):
        raise AllmlpError(
            f"{origin}: {names[parts.index(None)]} does not say which part it is, others do; call "
            "it train, val or test, and a number"
        )
    return parts


def _below(part: str | None, name: str) -> str:
    """The path of an image below its part's folder, which a tar called train may hold itself."""
    if part is None or PART_NAMES.get(name.split("/")[0].lower()) == part:
        return name
    return f"{part}/{name}"


def _split(name: str) -> tuple[str, str]:
    """Key and extension, which has all dots of the file's name."""
    folder, _, file = name.rpartition("/")
    stem, dot, extension = file.partition(".")
    return f"{folder}/{stem}" if folder else stem, (dot + extension).lower()


def _reader(
    paths: Sequence[Path], names: Sequence[str], places: Sequence[tuple[int, int, int]], origin: str
) -> TarReader:
    rows = {name: row for row, name in enumerate(names)}
    if len(rows) < len(names):
        twice = next(name for row, name in enumerate(names) if rows[name] != row)
        raise AllmlpError(f"{origin} holds {twice} twice; every image needs a name of its own")
    array = np.array(places, dtype=np.int64).reshape(-1, 3)
    return TarReader(tuple(str(path) for path in paths), rows, array)


def _class_text(path: Path, entry: TarEntry) -> str:
    try:
        label = entry.head.decode().strip()
    except UnicodeDecodeError:
        label = ""
    if not label or entry.size > len(entry.head):
        raise AllmlpError(
            f"{path}: {entry.name} must hold a number or a name in UTF-8, it has {entry.size:,} "
            "bytes; make the tar anew"
        )
    return label


def _json_label(path: Path, entry: TarEntry) -> str | None:
    if entry.size > _MAX_JSON_BYTES:
        raise AllmlpError(
            f"{path}: {entry.name} has {entry.size:,} bytes, more than {_MAX_JSON_BYTES:,}; make "
            "the tar anew"
        )
    with path.open("rb") as file:
        content = os.pread(file.fileno(), entry.size, entry.offset)
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as e:
        raise AllmlpError(f"{path}: {entry.name} is no JSON; make the tar anew") from e
    if not isinstance(fields, dict):
        return None
    label = next((fields[key] for key in _JSON_KEYS if key in fields), None)
    if isinstance(label, str) and label.strip():
        return label.strip()
    return str(label) if type(label) is int else None


def _name_classes(
    rows: list[tuple[str, str, str | None]], path: Path
) -> tuple[list[tuple[str, str, str | None]], Callable[[str], Any] | None]:
    """The rows with names for numbers, and in which order the classes come."""
    if not all(label.isascii() and label.isdigit() and len(label) < 10 for _, label, _ in rows):
        return rows, None
    if not path.is_file():
        return [(name, str(int(label)), part) for name, label, part in rows], int
    classes = read_classes(path)
    for name, label, _ in rows:
        if int(label) >= len(classes):
            raise AllmlpError(
                f"{name} is of class {label}, {path} has names for 0 to {len(classes) - 1}; add "
                "the others, or remove the file"
            )
    number = {label: i for i, label in enumerate(classes)}
    return [(name, classes[int(label)], part) for name, label, part in rows], number.__getitem__


def read_classes(path: Path) -> list[str]:
    """The names in `classes.txt`.

    Raises:
        AllmlpError: no text, an empty line, or a name twice.
    """
    if path.stat().st_size > _MAX_CLASSES_BYTES:
        raise AllmlpError(f"{path} is too large for names of classes; give one a line")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as e:
        raise AllmlpError(f"{path} is no text in UTF-8; give a name of a class a line") from e
    classes = [line.strip() for line in lines]
    if not all(classes) or len(set(classes)) < len(classes):
        raise AllmlpError(f"{path} must have one name a line, none of them empty or twice")
    return classes
