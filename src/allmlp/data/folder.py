"""A folder of class folders on disk."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch

from allmlp.data.class_folders import arrange_files, is_image
from allmlp.data.entries import MAX_FILE_BYTES
from allmlp.data.image_files import ImageFiles
from allmlp.data.split import Splits
from allmlp.errors import AllmlpError

__all__ = ["FolderReader", "load_folder", "load_unlabelled"]


@dataclass(frozen=True)
class FolderReader:
    """Reads files below a folder."""

    root: str

    def read(self, name: str) -> bytes:
        """The content of the file at `root`/`name`.

        Raises:
            OSError: it cannot be read.
            AllmlpError: no file (a device would never end, a pipe never begin), or a huge one.
        """
        path = os.path.join(self.root, name)
        try:
            status = os.stat(path)
        except ValueError as e:  # a zero byte, say, in the row of a CSV
            raise AllmlpError(f"no path ({e})") from e
        if not stat.S_ISREG(status.st_mode):
            raise AllmlpError("no regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise AllmlpError(f"{status.st_size:,} bytes, more than {MAX_FILE_BYTES:,}")
        with open(path, "rb") as file:
            return file.read()


def load_folder(path: Path) -> Splits:
    """Images in class folders, with or without part folders above them.

    Raises:
        AllmlpError: a folder that may not be read, or as `arrange_files`.
    """
    names, folders = _walk(path)
    return arrange_files(FolderReader(str(path)), names, folders, str(path))


def load_unlabelled(path: Path) -> ImageFiles:
    """Every image at or below a folder, by name; they are of one class that means nothing.

    Raises:
        AllmlpError: no image, or a folder that may not be read.
    """
    images = tuple(sorted(name for name in _walk(path)[0] if is_image(name)))
    if not images:
        raise AllmlpError(f"{path} holds no images; give a folder with PNG, JPEG, WebP, … files")
    return ImageFiles(FolderReader(str(path)), images, torch.zeros(len(images)).long(), ("",))


def _walk(path: Path) -> tuple[list[str], list[str]]:
    """Files and folders below a folder, hidden folders aside."""
    names, folders = [], []
    # without onerror a class that may not be read would be missing silently
    for where, inner, files in os.walk(path, onerror=_refuse, followlinks=True):
        # hidden folders may be huge (.git): they are not entered
        inner[:] = [n for n in inner if not n.startswith(".") and not _leads_back(path, where, n)]
        base = Path(where).relative_to(path)
        names += [(base / name).as_posix() for name in files]
        folders += [(base / name).as_posix() for name in inner]
    return names, folders


def _leads_back(root: Path, where: str, name: str) -> bool:
    """Whether a folder is a link to one on the way to it: whoever follows it never ends.

    Raises:
        AllmlpError: a link behind two others; the ways through many of them are without number.
    """
    link = Path(where, name)
    if not link.is_symlink():
        return False
    way = [folder for folder in link.parents if folder.is_relative_to(root)]
    target = os.path.realpath(link) + os.sep
    if any((os.path.realpath(folder) + os.sep).startswith(target) for folder in way):
        return True
    if sum(folder.is_symlink() for folder in way if folder != root) > 1:
        raise AllmlpError(f"{link} is a link behind two others; link to its folder directly")
    return False


def _refuse(error: OSError) -> NoReturn:
    raise AllmlpError(
        f"cannot read the folder {error.filename}: {error.strerror}; make it readable or remove it"
    ) from error
