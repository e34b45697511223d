"""A CSV that names images and their classes: `path,label` or `path,label,split`."""

import csv
from pathlib import Path

from allmlp.data.class_folders import PART_NAMES, label_files
from allmlp.data.folder import FolderReader
from allmlp.data.split import Splits
from allmlp.errors import AllmlpError, listing, shown, unknown_name

__all__ = ["load_manifest"]


def load_manifest(path: Path) -> Splits:
    """Images named by the rows of a CSV with a header; paths are relative to the CSV.

    A path that leads nowhere counts as a broken image when it is read.

    Raises:
        AllmlpError: no such columns, an empty field, an image named twice, an unknown part, or a
            class that is missing from train.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = reader.fieldnames or []
            if not {"path", "label"} <= set(columns):
                raise AllmlpError(
                    f"{path} must have the columns path and label, and may have split; "
                    f"it has {listing(columns, 10) if columns else 'nothing'}; to learn one of "
                    "its columns from the others: allmlp train TABLE --target COLUMN"
                )
            rows = [
                _row(row, f"{path}, line {reader.line_num}", "split" in columns) for row in reader
            ]
    except (UnicodeDecodeError, csv.Error) as e:
        raise AllmlpError(f"{path} is no CSV in UTF-8 ({e}); save it again as that") from e
    if not rows:
        raise AllmlpError(f"{path} names no images; add a row for each")
    seen: set[str] = set()
    for name, _, _ in rows:
        if name in seen:
            raise AllmlpError(f"{path} names {name} twice; an image belongs to one class and part")
        seen.add(name)
    return label_files(FolderReader(str(path.parent)), rows, str(path))


def _row(row: dict[str, str | None], where: str, has_parts: bool) -> tuple[str, str, str | None]:
    name, label = ((row[column] or "").strip() for column in ("path", "label"))
    if not name or not label:
        raise AllmlpError(
            f"{where}: path and label must not be empty, got {shown(name)}, {shown(label)}"
        )
    if not has_parts:
        return name, label, None
    part = (row["split"] or "").strip()
    if part.lower() not in PART_NAMES:
        raise AllmlpError(f"{where}: {unknown_name('split', part, PART_NAMES)}")
    return name, label, PART_NAMES[part.lower()]
