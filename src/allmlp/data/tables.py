"""Tables with an image and a class in each row: parquet files, and data of Hugging Face's hub.

Through the package `datasets`, which turns them into Arrow files in its own cache once. From then
on they are mapped into memory: any row at any time, and nothing read that is not asked for.
"""

import importlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch

from allmlp.data.class_folders import PART_NAMES
from allmlp.data.folder import FolderReader
from allmlp.data.image_files import ImageFiles
from allmlp.data.online import require_online
from allmlp.data.shards import name_parts
from allmlp.data.split import PARTS, Splits, complete_splits
from allmlp.errors import AllmlpError, check_choice, listing

__all__ = [
    "HUB",
    "TableReader",
    "load_hub",
    "load_hub_images",
    "load_parquet",
    "load_parquet_images",
]

HUB = "hf:"

# what a column of numbers or text must be called to be the class by itself
_TARGETS = ("label", "labels", "class", "cls", "target")

# ORG/NAME:CONFIG@REVISION
_HUB_NAME = re.compile(r"(?P<name>[\w.-]+(/[\w.-]+)?)(:(?P<config>[^@:]+))?(@(?P<revision>.+))?")

_TIMEOUT = 10.0  # seconds without an answer of the hub


@dataclass(frozen=True, eq=False)
class TableReader:
    """Reads the images of tables; `train/12` is row 12 of the table train."""

    tables: Mapping[str, Any]  # `datasets.Dataset`, their images not decoded
    column: str  # of the images
    root: str  # folder that images may lie in, where rows name files

    def read(self, name: str) -> bytes:
        """The content of one image file.

        Raises:
            OSError: it cannot be read.
            AllmlpError: the row has no image, or names a file elsewhere.
        """
        table, _, row = name.rpartition("/")
        cell = self.tables[table][int(row)][self.column]
        if isinstance(cell, bytes):
            return cell
        if not cell:
            raise AllmlpError("the row has no image")
        if cell["bytes"] is not None:
            return cell["bytes"]
        if not cell["path"]:
            raise AllmlpError("the row has no image")
        path = os.path.realpath(os.path.join(self.root, cell["path"].replace("\0", "")))
        if not path.startswith(self.root + os.sep):
            raise AllmlpError(f"the row names a file outside {self.root}")
        return FolderReader(self.root).read(path)


class _Columns(NamedTuple):
    image: str
    target: str
    classes: tuple[str, ...] | None  # that the numbers in `target` mean


def load_parquet(paths: Sequence[Path], root: Path, origin: str, target: str | None) -> Splits:
    """Parquet files with a column of images and one of classes.

    The part of a file is a word of its path: `train-00000-of-00003.parquet`.

    Args:
        paths: of the files.
        root: folder that the parts are named below.
        origin: what to call the files in errors.
        target: column of the classes; None finds it.

    Raises:
        AllmlpError: `datasets` is not installed, a damaged file, no such columns, or a class that
            is missing from train.
    """
    datasets, tables = _open_parquet(paths, root, origin)
    return _splits(datasets, tables, root, origin, target)


def load_parquet_images(paths: Sequence[Path], root: Path, origin: str) -> ImageFiles:
    """The images of all rows, whatever their classes; they are of one that means nothing.

    Args:
        paths: of the files.
        root: folder that the parts are named below.
        origin: what to call the files in errors.

    Raises:
        AllmlpError: as `load_parquet`, of the column of images.
    """
    return _unlabelled(*_open_parquet(paths, root, origin), root, origin)


def _open_parquet(paths: Sequence[Path], root: Path, origin: str) -> tuple[Any, Mapping[str, Any]]:
    """The package, and a table for each part."""
    datasets = _import_datasets(origin)
    parts = name_parts([path.relative_to(root).as_posix() for path in paths], origin)
    files: dict[str, list[str]] = {}
    for path, part in zip(paths, parts, strict=True):
        files.setdefault(part or "train", []).append(str(path.resolve()))
    level = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # or damage is told twice
    try:
        return datasets, datasets.load_dataset("parquet", data_files=files)
    except Exception as e:
        _fail(e, f"{origin} is no intact parquet", "make it anew")
    finally:
        datasets.logging.set_verbosity(level)


def load_hub(source: str, target: str | None = None) -> Splits:
    """A data set of the hub, `hf:ORG/NAME`, `hf:ORG/NAME:CONFIG` or `hf:ORG/NAME@REVISION`.

    It is downloaded once, into the cache of `datasets`. With `HF_HUB_OFFLINE=1` it comes from there
    and nothing connects. Loading scripts are never run.

    Args:
        source: the name.
        target: column of the classes; None finds it.

    Raises:
        AllmlpError: `datasets` is not installed, no connection, nothing called that, or as
            `load_parquet`.
    """
    datasets, tables, root = _open_hub(source)
    return _splits(datasets, tables, root, source, target)


def load_hub_images(source: str) -> ImageFiles:
    """The images of a data set of the hub, whatever their classes.

    Args:
        source: the name, as in `load_hub`.

    Raises:
        AllmlpError: as `load_hub`, of the column of images.
    """
    return _unlabelled(*_open_hub(source), source)


def _open_hub(source: str) -> tuple[Any, Mapping[str, Any], Path]:
    """The package, a table for each part, and where their images are if they are files."""
    match = _HUB_NAME.fullmatch(source.removeprefix(HUB))
    if match is None:
        raise AllmlpError(
            f"{source} is no name of a data set; give hf:ORG/NAME, with :CONFIG or @REVISION after "
            "it if need be"
        )
    datasets = _import_datasets(source)
    name, config, revision = match["name"], match["config"], match["revision"]
    hub = importlib.import_module("huggingface_hub")
    if not hub.constants.HF_HUB_OFFLINE:
        require_online(source)
        # asked first, or `datasets` would try for half a minute to reach what cannot be reached
        try:
            hub.HfApi().dataset_info(name, revision=revision, timeout=_TIMEOUT)
        except (hub.errors.HFValidationError, hub.errors.RepositoryNotFoundError) as e:
            _fail(e, f"the hub has no data set {name}", "look it up at huggingface.co/datasets")
        except hub.errors.RevisionNotFoundError as e:
            _fail(e, f"{name} has no revision {revision}", "leave it out, or name another")
        except Exception as e:  # its transport's own kinds among them
            _fail(
                e,
                f"cannot reach {source}",
                "check the connection, set HF_HUB_OFFLINE=1 to use what was downloaded before, or "
                "give local files",
            )
    try:
        tables = datasets.load_dataset(name, config, revision=revision)
    except Exception as e:
        _fail(e, f"cannot load {source}", "give another name or configuration, or local files")
    # where `datasets` puts the images of a repository that has them as files
    return datasets, tables, Path(datasets.config.DOWNLOADED_DATASETS_PATH).parent


def _import_datasets(origin: str) -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError:
        raise AllmlpError(
            f"{origin} needs the package datasets; install it by pip install 'allmlp[hf]'"
        ) from None


def _fail(error: Exception, fact: str, remedy: str) -> NoReturn:
    first = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    raise AllmlpError(f"{fact} ({first}); {remedy}") from error


def _splits(
    datasets: Any, tables: Mapping[str, Any], root: Path, origin: str, target: str | None
) -> Splits:
    known = _parts(tables)
    columns = _find_columns(datasets, next(iter(tables.values())).features, origin, target)
    notes = [f"{name} is no part and left out" for name, part in known.items() if part is None]
    chosen, cells = {}, {}
    for name, part in known.items():
        if part is None or len(tables[name]) == 0:
            continue
        for column in (columns.image, columns.target):
            check_choice(f"column of {origin}, {name}", column, tables[name].features)
        values = tables[name].data.column(columns.target).to_pylist()
        if columns.classes is not None and set(values) <= {-1, None}:
            notes.append(f"{name} has no labels and is left out")
            continue
        chosen[part], cells[part] = _pictures(datasets, tables[name], columns.image), values
    if not cells:
        raise AllmlpError(f"{origin} has no rows with a class; give another data set")
    classes, index = _number_classes(cells, columns, origin)
    reader = TableReader(chosen, columns.image, os.path.realpath(root))
    made = {
        part: ImageFiles(
            reader,
            tuple(f"{part}/{row}" for row in range(len(values))),
            torch.tensor([index[value] for value in values]),
            classes,
        )
        for part, values in cells.items()
    }
    return complete_splits(made, origin, notes)


def _unlabelled(datasets: Any, tables: Mapping[str, Any], root: Path, origin: str) -> ImageFiles:
    chosen = {}
    for name, part in _parts(tables).items():
        if part is not None and len(tables[name]):
            column = _find_images(datasets, tables[name].features, origin)
            chosen[part] = _pictures(datasets, tables[name], column)
    if not chosen:
        raise AllmlpError(f"{origin} has no rows; give another data set")
    names = [
        f"{part}/{row}" for part in PARTS if part in chosen for row in range(len(chosen[part]))
    ]
    reader = TableReader(chosen, column, os.path.realpath(root))
    return ImageFiles(reader, tuple(names), torch.zeros(len(names)).long(), ("",))


def _parts(tables: Mapping[str, Any]) -> dict[str, str | None]:
    """What each table is; None if it is no part."""
    if len(tables) == 1:
        return dict.fromkeys(tables, "train")
    return {name: PART_NAMES.get(name.lower()) for name in tables}


def _pictures(datasets: Any, table: Any, column: str) -> Any:
    """The column of images, not decoded."""
    table = table.select_columns([column])
    if isinstance(table.features[column], datasets.Image):
        return table.cast_column(column, datasets.Image(decode=False))
    return table


def _find_images(datasets: Any, features: Mapping[str, Any], origin: str) -> str:
    images = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    images = images or [n for n, kind in features.items() if _holds_bytes(datasets, kind)]
    if len(images) != 1:
        raise AllmlpError(
            f"{origin} must have one column of images, it has "
            f"{listing(images) if images else 'none'} among {listing(list(features), 10)}"
        )
    return images[0]


def _find_columns(
    datasets: Any, features: Mapping[str, Any], origin: str, target: str | None
) -> _Columns:
    image = _find_images(datasets, features, origin)
    named = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    named = named or [name for name in features if name.lower() in _TARGETS]
    if target is None and len(named) != 1:
        raise AllmlpError(
            f"{origin} has {len(named) or 'no'} columns that are classes by their type or name "
            f"({listing(named or list(features), 10)}); choose one with --target"
        )
    column = named[0] if target is None else target
    check_choice(f"column of {origin}", column, features)
    kind = features[column]
    return _Columns(
        image, column, tuple(kind.names) if isinstance(kind, datasets.ClassLabel) else None
    )


def _holds_bytes(datasets: Any, kind: Any) -> bool:
    if isinstance(kind, dict):  # an image whose type the file does not say
        return kind.keys() == {"bytes", "path"}
    return isinstance(kind, datasets.Value) and kind.dtype in ("binary", "large_binary")


def _number_classes(
    cells: Mapping[str, Sequence[Any]], columns: _Columns, origin: str
) -> tuple[tuple[str, ...], dict[Any, int]]:
    """Names of the classes, and the number of each value in the column."""
    for part, values in cells.items():
        for row, value in enumerate(values):
            if type(value) not in (int, str) or (columns.classes and not _is_one(value, columns)):
                raise AllmlpError(
                    f"{origin}: {columns.target} must be a class in every row, it is {value!r} in "
                    f"{part}/{row}; mend the data, or choose another column with --target"
                )
    if columns.classes is not None:
        return columns.classes, {number: number for number in range(len(columns.classes))}
    train = set(cells.get("train", next(iter(cells.values()))))
    for part, values in cells.items():
        if foreign := sorted(map(str, set(values) - train)):
            raise AllmlpError(
                f"{origin}: {part} has classes that train has not: {listing(foreign)}; "
                "a class must have images to learn from"
            )
    ordered = sorted(train, key=lambda value: (type(value) is str, value))
    return tuple(map(str, ordered)), {value: number for number, value in enumerate(ordered)}


def _is_one(value: Any, columns: _Columns) -> bool:
    assert columns.classes is not None
    return type(value) is int and 0 <= value < len(columns.classes)
