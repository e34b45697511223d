"""Several right classes for one image, as ReaL has them for ImageNet's validation part."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from allmlp.data import ImageFiles
from allmlp.data.split import Images
from allmlp.errors import AllmlpError, listing

__all__ = ["read_label_sets"]


def read_label_sets(path: Path, images: Images) -> list[list[int]]:
    """The classes that are right for each image, as indices into `images.classes`.

    Args:
        path: a JSON file: a list with one entry for each image, in the order of the part, or an
            object from file names (whole or without folders) to entries. An entry is a list of
            class names or numbers; an empty one, and a file without any, counts for nothing.
        images: the part.

    Raises:
        AllmlpError: no such file, no JSON of this form, or a class nobody has.

    Source: Beyer et al. 2020, arXiv:2006.07159; its `real.json` is a list in this form, in the
    order of ILSVRC2012's file names.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AllmlpError(f"no label sets at {path}; give the path of a JSON file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
        raise AllmlpError(
            f"{path} is no JSON ({e}); it must be a list with the classes of every image"
        ) from e
    entries = _by_name(path, content, images) if isinstance(content, Mapping) else content
    if not isinstance(entries, list) or len(entries) != len(images):
        count = f"{len(entries)} entries" if isinstance(entries, list) else type(entries).__name__
        raise AllmlpError(
            f"{path} must hold a list with one entry for each of {len(images)} images, or an "
            f"object by file name; got {count}"
        )
    numbers = {name: number for number, name in enumerate(images.classes)}
    return [[_number(path, value, numbers) for value in _list(path, entry)] for entry in entries]


def _by_name(path: Path, content: Mapping[str, Any], images: Images) -> list[Any]:
    if not isinstance(images, ImageFiles):
        raise AllmlpError(f"{path} names files, the images have none; give a list in their order")
    found = [
        content[name] if name in content else content.get(PurePosixPath(name).name)
        for name in images.names
    ]
    if all(entry is None for entry in found):
        raise AllmlpError(
            f"{path} names none of the files ({listing(list(content))}, there are "
            f"{listing(images.names)}); use the same names"
        )
    return [[] if entry is None else entry for entry in found]


def _list(path: Path, entry: Any) -> Sequence[Any]:
    if not isinstance(entry, list):
        raise AllmlpError(f"{path}: an entry is a list of classes, got {entry!r}")
    return entry


def _number(path: Path, value: Any, numbers: Mapping[str, int]) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(numbers):
        return value
    if isinstance(value, str) and value in numbers:
        return numbers[value]
    raise AllmlpError(
        f"{path}: {value!r} is none of the {len(numbers)} classes ({listing(list(numbers))})"
    )
