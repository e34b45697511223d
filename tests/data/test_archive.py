import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allmlp.data import ImageFiles, load_source
from allmlp.data.entries import MAX_FILE_BYTES
from allmlp.errors import AllmlpError

Pictures = Callable[..., dict[str, bytes]]


def write(path: Path, files: dict[Any, bytes], compression: int = zipfile.ZIP_STORED) -> str:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return str(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_entries_are_read_as_zipfile_reads_them(
    tmp_path: Path, pictures: Pictures, method: int
) -> None:
    files = pictures("cat", "dog")
    source = tmp_path / "x.zip"
    source.write_bytes(b"#!/bin/sh\n")  # a self-extracting zip has something before it
    with zipfile.ZipFile(source, "a", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    part = load_source(str(source)).part("all")
    assert isinstance(part, ImageFiles)
    assert {name: part.reader.read(name) for name in part.names} == files


@pytest.mark.parametrize(
    "name", ["../x/1.png", "a/../../1.png", "/a/1.png", "C:/1.png", "a\\..\\b"]
)
def test_paths_that_lead_outside(tmp_path: Path, pictures: Pictures, name: str) -> None:
    source = write(tmp_path / "x.zip", {**pictures("cat", "dog"), name: b""})
    with pytest.raises(AllmlpError, match=r"x.zip is refused: its entry .* leads outside"):
        load_source(source)
    assert [p.name for p in tmp_path.iterdir()] == ["x.zip"]


def test_links(tmp_path: Path, pictures: Pictures) -> None:
    link = zipfile.ZipInfo("cat/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    source = write(tmp_path / "x.zip", {**pictures("cat", "dog"), link: b"/etc/passwd"})
    with pytest.raises(AllmlpError, match="is a symbolic link"):
        load_source(source)


def test_bombs_by_ratio(tmp_path: Path, pictures: Pictures) -> None:
    files = {**pictures("cat", "dog"), "cat/bomb.png": bytes(2**23)}
    source = write(tmp_path / "x.zip", files, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(AllmlpError, match=r"'cat/bomb.png' unpacks to 1,0\d\d times its size"):
        load_source(source)


def test_methods_without_a_limit(tmp_path: Path, pictures: Pictures) -> None:
    source = write(tmp_path / "x.zip", pictures("cat"), compression=zipfile.ZIP_BZIP2)
    with pytest.raises(AllmlpError, match="is neither stored nor deflated"):
        load_source(source)


def patch_directory(path: Path, offset: int, value: bytes) -> None:
    """Change a field of the first entry in the directory at the end of the zip."""
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\x01\x02") + offset
    data[start : start + len(value)] = value
    path.write_bytes(data)


def test_bombs_by_declared_size_and_passwords(tmp_path: Path, pictures: Pictures) -> None:
    source = tmp_path / "x.zip"
    write(source, pictures("cat", "dog"))
    patch_directory(source, 24, struct.pack("<I", MAX_FILE_BYTES + 1))
    with pytest.raises(AllmlpError, match="declares 268,435,457 bytes, more than 268,435,456"):
        load_source(str(source))
    write(source, pictures("cat", "dog"))
    patch_directory(source, 8, struct.pack("<H", 1))
    with pytest.raises(AllmlpError, match="is encrypted"):
        load_source(str(source))


def test_an_entry_that_unpacks_to_more_than_it_says(tmp_path: Path, pictures: Pictures) -> None:
    source = tmp_path / "x.zip"
    write(
        source,
        {"a/0.png": bytes(10_000), **pictures("b", count=6)},
        compression=zipfile.ZIP_DEFLATED,
    )
    patch_directory(source, 24, struct.pack("<I", 100))
    part = load_source(str(source)).part("all")
    assert isinstance(part, ImageFiles)
    with pytest.raises(AllmlpError, match="size or checksum differ"):
        part.reader.read("a/0.png")


def test_damage_inside(tmp_path: Path, pictures: Pictures) -> None:
    source = tmp_path / "x.zip"
    files = pictures("cat", "dog")
    write(source, files)
    data = source.read_bytes()
    part = load_source(str(source)).part("all")
    assert isinstance(part, ImageFiles)
    content = files["cat/0.png"]
    source.write_bytes(data.replace(content, bytes(len(content))))
    with pytest.raises(AllmlpError, match="checksum differ"):
        part.reader.read("cat/0.png")
    source.write_bytes(data.replace(b"PK\x03\x04", b"PK\x00\x00"))
    with pytest.raises(AllmlpError, match="the zip is damaged here"):
        part.reader.read("cat/0.png")


def test_what_is_no_zip(tmp_path: Path, pictures: Pictures) -> None:
    (tmp_path / "text.zip").write_text("not a zip")
    with pytest.raises(AllmlpError, match="text.zip is no intact zip"):
        load_source(str(tmp_path / "text.zip"))
    whole = Path(write(tmp_path / "cut.zip", pictures("cat"))).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AllmlpError, match="cut.zip is no intact zip"):
        load_source(str(tmp_path / "cut.zip"))
