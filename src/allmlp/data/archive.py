"""A zip of class folders, read in place: nothing is ever extracted.

Entries are untrusted. Their names are only ever keys; sizes are limited as declared and as found.
"""

import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from allmlp.data.class_folders import arrange_files
from allmlp.data.entries import MAX_FILE_BYTES, leads_outside
from allmlp.data.split import Splits
from allmlp.errors import AllmlpError

__all__ = ["MAX_RATIO", "ZipReader", "load_zip"]

# image formats are compressed already. Plain bitmaps of one colour reach 1,000, but are small.
MAX_RATIO = 200
_SMALL = 2**20


class _Entry(NamedTuple):
    offset: int  # of the local header
    compressed: int  # bytes
    size: int
    method: int
    crc: int


@dataclass(frozen=True)
class ZipReader:
    """Reads entries of a zip. Opens the file for every entry, so that processes share nothing."""

    path: str
    entries: dict[str, _Entry]

    def read(self, name: str) -> bytes:
        """The content of an entry, decompressed and checked.

        Raises:
            OSError: the zip cannot be read.
            AllmlpError: the entry is damaged or not what the directory of the zip says.
        """
        entry = self.entries[name]
        with open(self.path, "rb") as file:
            file.seek(entry.offset)
            header = file.read(30)
            if len(header) < 30 or header[:4] != b"PK\x03\x04":
                raise AllmlpError("the zip is damaged here")
            # name and extra field may differ in length from those in the directory
            name_length, extra_length = struct.unpack("<HH", header[26:30])
            file.seek(name_length + extra_length, 1)
            data = file.read(entry.compressed)
        if entry.method == zipfile.ZIP_DEFLATED:
            try:
                # one byte more than declared tells the honest from the rest
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, entry.size + 1)
            except zlib.error as e:
                raise AllmlpError(f"the zip is damaged here ({e})") from e
        if len(data) != entry.size or zlib.crc32(data) != entry.crc:
            raise AllmlpError("the zip is damaged here: size or checksum differ")
        return data


def load_zip(path: Path) -> Splits:
    """Images in class folders inside a zip.

    Raises:
        AllmlpError: no zip, an entry that has no business in one (a path that leads outside, a
            symbolic link, a bomb, a password), or as `arrange_files`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, EOFError) as e:
        raise AllmlpError(f"{path} is no intact zip ({e}); make it anew") from e
    folders, entries = [], {}
    for info in infos:
        _check(info, path)
        if info.is_dir():
            folders.append(info.filename.rstrip("/"))
        else:
            entries[info.filename] = _Entry(
                info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC
            )
    return arrange_files(ZipReader(str(path), entries), entries, folders, str(path))


def _check(info: zipfile.ZipInfo, path: Path) -> None:
    name = info.filename
    refusal = None
    if leads_outside(name):
        refusal = "leads outside the archive"
    elif stat.S_ISLNK(info.external_attr >> 16):
        refusal = "is a symbolic link"
    elif info.flag_bits & 1:
        refusal = "is encrypted"
    elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # other methods cannot be decompressed up to a limit
        refusal = "is neither stored nor deflated"
    elif max(info.file_size, info.compress_size) > MAX_FILE_BYTES:
        refusal = f"declares {info.file_size:,} bytes, more than {MAX_FILE_BYTES:,}"
    elif info.file_size > max(_SMALL, MAX_RATIO * info.compress_size):
        refusal = f"unpacks to {info.file_size // max(1, info.compress_size):,} times its size"
    if refusal:
        raise AllmlpError(f"{path} is refused: its entry {name!r} {refusal}; make the zip anew")
