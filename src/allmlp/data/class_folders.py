"""Class folders: which part and which class each image belongs to, from its path alone."""

import posixpath
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from allmlp.data.image_files import ImageFiles, Reader
from allmlp.data.split import PARTS, Splits, complete_splits
from allmlp.errors import AllmlpError, listing

__all__ = ["PART_NAMES", "SUFFIXES", "arrange_files", "is_image", "is_visible", "label_files"]

PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}

# files that are images by their name; any other file is left alone
SUFFIXES = frozenset(
    [
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tga",
        ".tif",
        ".tiff",
        ".webp",
    ]
)


def arrange_files(
    reader: Reader, names: Iterable[str], folders: Iterable[str], origin: str
) -> Splits:
    """Splits from paths `CLASS/FILE`, `PART/CLASS/FILE`, or either inside one outer folder.

    The class is the folder below the part; folders below the class belong to it. Classes are
    sorted by name. Hidden files and folders, and files that are no images by their name, are left
    out.

    Args:
        reader: reads the files.
        names: paths relative to the source, with forward slashes.
        folders: likewise of folders, so that empty ones can be named.
        origin: what to call the source in errors.

    Raises:
        AllmlpError: no image, an image outside every class folder, or a class that is missing from
            train.
    """
    visible = sorted(name for name in names if is_visible(name))
    images = [name for name in visible if posixpath.splitext(name)[1].lower() in SUFFIXES]
    if not images:
        raise AllmlpError(
            f"{origin} holds no images in class folders; put them as CLASS/IMAGE or "
            "PART/CLASS/IMAGE (PNG, JPEG, WebP, …)"
        )
    paths = {name: name.split("/") for name in images}
    outer = _count_outer(list(paths.values()))
    paths = {name: path[outer:] for name, path in paths.items()}
    # a class may be called train: it is a part only if there are classes below it
    has_parts = any(path[0].lower() in PART_NAMES and len(path) > 2 for path in paths.values())
    rows = []
    for name, path in paths.items():
        part = PART_NAMES.get(path[0].lower()) if has_parts else None
        if has_parts and part is None:
            raise AllmlpError(
                f"{origin} has part folders, but {name} is outside them; "
                f"move it below {', '.join(PARTS)}, or remove the part folders"
            )
        path = path[has_parts:]
        if len(path) < 2:
            raise AllmlpError(
                f"{origin}: {name} lies in no class folder; its class is the folder it is in, "
                "as in CLASS/IMAGE or PART/CLASS/IMAGE"
            )
        rows.append((name, path[0], part))

    notes = []
    if left := len(visible) - len(images):
        notes.append(f"{left} files that are no images by their name are left out")
    depth = outer + has_parts + 1  # of class folders
    filled = {"/".join(name.split("/")[:depth]) for name in images}
    classes = [f for f in sorted(folders) if is_visible(f) and f.count("/") == depth - 1]
    if empty := [folder for folder in classes if folder not in filled]:
        notes.append(f"class folders without images are left out: {listing(empty)}")
    return label_files(reader, rows, origin, notes)


def label_files(
    reader: Reader,
    rows: Sequence[tuple[str, str, str | None]],
    origin: str,
    notes: Sequence[str] = (),
    order: Callable[[str], Any] | None = None,
) -> Splits:
    """Splits from (name, class, part or None for all); classes become numbers in sorted order.

    Args:
        reader: reads the files.
        rows: one for each image.
        origin: what to call the source in errors.
        notes: what the reader of the data should know.
        order: key that the classes are sorted by; None is their name.

    Raises:
        AllmlpError: a class is missing from train.
    """
    parts = {part: [row for row in rows if row[2] == part] for part in (*PARTS, None)}
    train = parts["train"] or rows
    classes = tuple(sorted({label for _, label, _ in train}, key=order))
    number = {label: i for i, label in enumerate(classes)}
    for part in ("val", "test"):
        if foreign := sorted({label for _, label, _ in parts[part]} - number.keys()):
            raise AllmlpError(
                f"{origin}: {part} has classes that train has not: {listing(foreign)}; "
                "a class must have images to learn from"
            )
    made = {
        part or "train": ImageFiles(
            reader,
            tuple(name for name, _, _ in members),
            torch.tensor([number[label] for _, label, _ in members]),
            classes,
        )
        for part, members in parts.items()
        if members
    }
    return complete_splits(made, origin, notes)


def is_image(name: str) -> bool:
    """Whether a file is a visible image by its name."""
    return posixpath.splitext(name)[1].lower() in SUFFIXES and is_visible(name)


def is_visible(name: str) -> bool:
    """Whether neither a file nor a folder on the way to it is hidden."""
    # __MACOSX is what macOS adds to every zip
    return not any(step.startswith(".") or step == "__MACOSX" for step in name.split("/"))


def _count_outer(paths: Sequence[Sequence[str]]) -> int:
    """How many folders all images share that are neither part nor class."""
    shallowest = min(map(len, paths))
    depth = 0
    while (
        shallowest - depth > 2
        and len({path[depth] for path in paths}) == 1
        and paths[0][depth].lower() not in PART_NAMES
    ):
        depth += 1
    return depth
