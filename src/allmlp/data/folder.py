"""A folder of class folders on disk."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from allmlp.data.class_folders import arrange_files
from allmlp.data.split import Splits
from allmlp.errors import AllmlpError

__all__ = ["FolderReader", "load_folder"]


@dataclass(frozen=True)
class FolderReader:
    """Reads files below a folder."""

    root: str

    def read(self, name: str) -> bytes:
        """The content of the file at `root`/`name`."""
        with open(os.path.join(self.root, name), "rb") as file:
            return file.read()


def load_folder(path: Path) -> Splits:
    """Images in class folders, with or without part folders above them.

    Raises:
        AllmlpError: a folder that may not be read, or as `arrange_files`.
    """
    names, folders = [], []
    # without onerror a class that may not be read would be missing silently
    for where, inner, files in os.walk(path, onerror=_refuse):
        # hidden folders may be huge (.git): they are not entered
        inner[:] = [name for name in inner if not name.startswith(".")]
        base = Path(where).relative_to(path)
        names += [(base / name).as_posix() for name in files]
        folders += [(base / name).as_posix() for name in inner]
    return arrange_files(FolderReader(str(path)), names, folders, str(path))


def _refuse(error: OSError) -> NoReturn:
    raise AllmlpError(
        f"cannot read the folder {error.filename}: {error.strerror}; make it readable or remove it"
    ) from error
