"""What a tar holds and where, from its headers alone: nothing is extracted, nothing is linked to.

Python's own `tarfile` follows sparse maps and negative sizes of hostile files into endless loops
(CVE-2025-8194); data sets need none of what it does beyond names, offsets and sizes.

Source: POSIX.1-1988 (ustar), POSIX.1-2001 (pax), and GNU's long names and binary numbers, as
described in the manual of GNU tar, "Basic Tar Format".
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from allmlp.data.entries import MAX_FILE_BYTES, leads_outside
from allmlp.errors import AllmlpError

__all__ = ["TarEntry", "scan_tar"]

_BLOCK = 512
# what is read at once: a header, and the class that follows it as a rule
_AHEAD = 2 * _BLOCK
# of what precedes an entry: a long name, times, owners
_ATTRIBUTES = {b"x", b"g", b"L", b"K"}
_MAX_ATTRIBUTES = 2**20

_REGULAR = {b"0", b"\0", b"7", b"5"}  # 5 is a folder, 7 a file that should lie in one piece
_REFUSED = {
    b"1": "is a hard link",
    b"2": "is a symbolic link",
    b"3": "is a device",
    b"4": "is a device",
    b"6": "is a named pipe",
    b"S": "is a sparse file",
    b"M": "continues in another tar",
}


class TarEntry(NamedTuple):
    """One regular file, or a folder, in a tar."""

    name: str
    offset: int  # bytes from the start of the tar to the content
    size: int
    head: bytes  # the first bytes of the content, 512 at most
    folder: bool


def scan_tar(path: Path) -> Iterator[TarEntry]:
    """Yield the files and folders of an uncompressed tar, in order.

    Raises:
        AllmlpError: no intact tar, or an entry that has no business in one: a path that leads
            outside, a link, a device, a huge file.
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        total = os.fstat(file.fileno()).st_size
        offset, name, size = 0, None, None
        while True:
            block = os.pread(file.fileno(), _AHEAD, offset)
            if not block and offset > 0:
                return  # some writers leave out the empty blocks at the end
            header = block[:_BLOCK]
            if len(header) < _BLOCK:
                raise _damaged(path, offset, "it ends within a header")
            if not header.strip(b"\0"):
                return
            if not _sums_up(path, offset, header):
                raise _damaged(path, offset, "the checksum of a header differs")
            kind, start = header[156:157], offset + _BLOCK
            declared = _number(path, offset, header[124:136])
            if kind in _ATTRIBUTES:
                if declared > _MAX_ATTRIBUTES:
                    raise _damaged(path, offset, f"{declared:,} bytes of attributes")
                content = os.pread(file.fileno(), declared, start)
                if len(content) < declared:
                    raise _damaged(path, offset, "it ends within attributes")
                if kind == b"L":
                    name = _text(content.split(b"\0")[0])
                elif kind == b"x":
                    attributes = _attributes(path, offset, content)
                    name = attributes.get("path", name)
                    if "size" in attributes:
                        size = _decimal(path, offset, attributes["size"])
                offset = start + _padded(declared)
                continue
            name = (name or _name(header)).removeprefix("./")
            folder = kind == b"5" or (kind == b"\0" and name.endswith("/"))
            size = 0 if folder else declared if size is None else size
            _check(path, name, kind, size)
            if start + size > total:
                raise _damaged(path, offset, f"{name!r} is cut off")
            head = block[_BLOCK : _BLOCK + min(size, _BLOCK)]
            if name:  # what is left of ./
                yield TarEntry(name.rstrip("/"), start, size, head, folder)
            offset, name, size = start + _padded(size), None, None


def _check(path: Path, name: str, kind: bytes, size: int) -> None:
    refusal = _REFUSED.get(kind)
    if refusal is None and kind not in _REGULAR:
        refusal = f"is of the unknown type {kind!r}"
    elif name and leads_outside(name):
        refusal = "leads outside the archive"
    elif size > MAX_FILE_BYTES:
        refusal = f"declares {size:,} bytes, more than {MAX_FILE_BYTES:,}"
    if refusal:
        raise AllmlpError(f"{path} is refused: its entry {name!r} {refusal}; make the tar anew")


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _sums_up(path: Path, offset: int, header: bytes) -> bool:
    # the sum of all bytes, its own field counted as spaces
    found = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    return found == _number(path, offset, header[148:156])


def _number(path: Path, offset: int, field: bytes) -> int:
    if field[0] == 0x80:  # GNU: binary, big-endian, for what octal digits cannot hold
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0")[0].strip(b" ")
    if digits.strip(b"01234567"):
        raise _damaged(path, offset, f"{field!r} is no octal number")
    return int(digits or b"0", 8)


def _decimal(path: Path, offset: int, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise _damaged(path, offset, f"{text[:20]!r} is no size")
    return int(text)


def _name(header: bytes) -> str:
    name = _text(header[:100].split(b"\0")[0])
    # GNU's older format keeps times where ustar keeps the folder
    prefix = header[345:500].split(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return f"{_text(prefix)}/{name}" if prefix else name


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="backslashreplace")


def _attributes(path: Path, offset: int, content: bytes) -> dict[str, str]:
    """Records of pax: length, space, key, =, value, newline."""
    found, place = {}, 0
    while place < len(content):
        length, space, _ = content[place : place + 21].partition(b" ")
        if not (space and length.isdigit() and int(length) > len(length) + 1):
            raise _damaged(path, offset, "attributes are damaged")
        record = content[place + len(length) + 1 : place + int(length)]
        key, equals, value = record.partition(b"=")
        if not equals or record[-1:] != b"\n" or place + int(length) > len(content):
            raise _damaged(path, offset, "attributes are damaged")
        found[_text(key)] = _text(value[:-1])
        place += int(length)
    return found


def _damaged(path: Path, offset: int, reason: str) -> AllmlpError:
    return AllmlpError(
        f"{path} is no intact tar (at byte {offset:,}: {reason}); make it anew, uncompressed"
    )
