"""What tars hold is found without unpacking them; what has no business in one is refused."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from allmlp.data.entries import MAX_FILE_BYTES
from allmlp.data.tar_index import scan_tar
from allmlp.errors import AllmlpError

Files = dict[str, bytes]
Write = Callable[..., Path]


def found(path: Path) -> Files:
    data = path.read_bytes()
    return {e.name: data[e.offset : e.offset + e.size] for e in scan_tar(path)}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_are_found_where_tarfile_put_them(tar: Write, tmp_path: Path, form: int) -> None:
    long = "folder/" * 20 + "a" * 90 + ".png"  # 234 letters: beyond ustar's name, in its prefix
    files = {"a.png": b"1" * 513, "b/c.cls": b"", "d": b"2" * 512, long: b"3"}
    if form != tarfile.USTAR_FORMAT:
        files |= {"x" * 300: b"4", "straße/猫.png": b"5" * 2000}
    path = tar(tmp_path / "x.tar", files, form=form)
    assert found(path) == files
    heads = {e.name: e.head for e in scan_tar(path)}
    assert heads == {name: content[:512] for name, content in files.items()}


def test_what_tar_makes_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "cat" / "1.png").write_bytes(b"x")
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        file.add(tmp_path / "photos", arcname=".")
    entries = list(scan_tar(tmp_path / "x.tar"))
    assert [(e.name, e.folder) for e in entries] == [("cat", True), ("cat/1.png", False)]


def test_a_tar_without_its_last_blocks_is_read(tar: Write, tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", {"a": b"1" * 512, "b": b"2"})
    path.write_bytes(path.read_bytes()[: 4 * 512])
    assert found(path) == {"a": b"1" * 512, "b": b"2"}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (tarfile.SYMTYPE, "is a symbolic link"),
        (tarfile.LNKTYPE, "is a hard link"),
        (tarfile.CHRTYPE, "is a device"),
        (tarfile.BLKTYPE, "is a device"),
        (tarfile.FIFOTYPE, "is a named pipe"),
        (tarfile.GNUTYPE_SPARSE, "is a sparse file"),
        (b"Z", "is of the unknown type b'Z'"),
    ],
)
def test_what_is_no_file(tmp_path: Path, kind: bytes, message: str) -> None:
    info = tarfile.TarInfo("cat/1.png")
    info.type, info.linkname = kind, "/etc/passwd"
    path = tmp_path / "x.tar"
    path.write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    with pytest.raises(AllmlpError, match=f"its entry 'cat/1.png' {message}; make the tar anew"):
        list(scan_tar(path))


@pytest.mark.parametrize("name", ["../x.png", "a/../../x.png", "/a.png", "C:/a.png", "a\\..\\b"])
def test_paths_that_lead_outside(tar: Write, tmp_path: Path, name: str) -> None:
    path = tar(tmp_path / "x.tar", {"cat/1.png": b"", name: b""})
    with pytest.raises(AllmlpError, match="leads outside the archive"):
        list(scan_tar(path))


def header(**fields: object) -> bytes:
    info = tarfile.TarInfo("a.png")
    for name, value in fields.items():
        setattr(info, name, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def attributes(content: bytes, kind: bytes = b"x") -> bytes:
    padding = bytes(-len(content) % 512)
    return header(type=kind, size=len(content)) + content + padding


def unsummed(data: bytes) -> bytes:
    return data[:148] + b"0000001\0" + data[156:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: b"", "it ends within a header"),
        (lambda: header()[:300], "it ends within a header"),
        (lambda: b"\x1f\x8b" + bytes(1022), "b'.*' is no octal number|checksum"),
        (lambda: unsummed(header()), "the checksum of a header differs"),
        (lambda: header(size=600) + bytes(512), "'a.png' is cut off"),
        (lambda: header(size=MAX_FILE_BYTES + 1), "declares 268,435,457 bytes, more than 268,435"),
        (lambda: header(size=2**60), "declares 1,152,921,504,606,846,976 bytes"),
        (lambda: header(type=b"x", size=2**30), "1,073,741,824 bytes of attributes"),
        (lambda: header(type=b"L", size=600) + bytes(512), "it ends within attributes"),
        (lambda: attributes(b"5 a=b"), "attributes are damaged"),
        (lambda: attributes(b"999 a=b\n"), "attributes are damaged"),
        (lambda: attributes(b"0 a=b\n"), "attributes are damaged"),
        (lambda: attributes(b"6 size\n"), "attributes are damaged"),
        (lambda: attributes(b"11 size=-1\n") + header(), "'-1' is no size"),
        (lambda: attributes(b"16 path=../../x\n") + header(), "leads outside"),
    ],
)
def test_damage(tmp_path: Path, content: Callable[[], bytes], message: str) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(content())
    with pytest.raises(AllmlpError, match=f"{message}.*; make"):
        list(scan_tar(path))
