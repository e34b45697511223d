"""Intact files, and small changes that make them hostile. A case is a function of kind and number.

Half of the cases are blind (bytes), half know the format and mend its checksums, so that what they
change is reached. Used by victim.py, in a process of its own.
"""

import csv
import io
import pickle
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from allmlp.runs.config_tree import build_config, describe_fields, to_yaml

__all__ = ["KINDS", "intact_pictures", "make_case"]

HUGE = (0, 1, 255, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64)
PATHS = (
    "../../outside.png",
    "/etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    "C:\\windows\\x.png",
    "a\\..\\..\\x.png",
    "a/" * 200 + "x.png",
    "\0.png",
    "a/\x1b[2Jx.png",
    "a/line\nbreak.png",
    "~/x.png",
    "",
    ".",
    "a//x.png",
    "a/" + "x" * 300 + ".png",
)


class Evil:
    """Runs a command where it is unpickled."""

    def __reduce__(self) -> Any:
        return __import__("os").system, ("touch pickle_was_here",)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@cache
def intact_pictures() -> tuple[bytes, ...]:
    colour = Image.fromarray(noise(9, 11, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    made = []
    for mode in ("RGB", "L", "CMYK"):
        picture = colour.convert(mode)
        made += [encode(picture, "JPEG", exif=exif), encode(picture, "JPEG", progressive=True)]
        made += [encode(picture, "TIFF"), encode(picture, "TIFF", compression="tiff_lzw")]
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1"):
        made.append(encode(colour.convert(mode), "PNG"))
    made.append(encode(Image.fromarray(noise(9, 11).astype(np.uint16) * 257), "PNG"))
    made.append(encode(colour.convert("P"), "PNG", transparency=3))
    frames = [colour.convert("P"), colour.rotate(90).convert("P")]
    made.append(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    for kind in ("BMP", "WEBP", "PPM", "TGA", "JPEG2000", "EPS", "PCX", "ICO", "PDF"):
        made.append(encode(colour, kind))
    made.append(encode(colour.convert("F"), "TIFF"))
    return tuple(made)


def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def small_picture() -> bytes:
    return encode(Image.fromarray(noise(4, 4, 3)), "PNG")


def blind(draw: random.Random, data: bytes) -> bytes:
    """A few changes that know nothing of the format."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        place = draw.randrange(len(changed) + 1)
        length = draw.choice((1, 2, 4, 8, 64))
        match draw.randrange(7):
            case 0:
                del changed[place:]
            case 1:
                changed[place : place + length] = draw.randbytes(length)
            case 2:
                changed[place : place + length] = bytes(length)
            case 3:
                changed[place:place] = changed[place : place + length] * draw.choice((1, 100))
            case 4:
                del changed[place : place + length]
            case 5 if place < len(changed):
                changed[place] ^= 1 << draw.randrange(8)
            case 6:
                order = draw.choice("<>")
                number = draw.choice(HUGE) & 0xFFFFFFFF
                changed[place : place + 4] = struct.pack(f"{order}I", number)
    return bytes(changed)


def edit_png(draw: random.Random, data: bytes) -> bytes:
    """Fields of the header, or any chunk, with a checksum that is right."""
    place = 8
    chunks = []
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    number = draw.randrange(len(chunks))
    name, content = chunks[number]
    if name == b"IHDR":
        side = draw.choice((0, 1, 20_000, 2**31 - 1))
        content = struct.pack(">II", side, draw.choice((1, side))) + content[8:]
    else:
        content = blind(draw, content)
    chunks[number] = name, content
    if draw.random() < 0.3:  # a bomb of text
        chunks.insert(1, (b"zTXt", b"x\0\0" + zlib.compress(bytes(2**24))))
    return data[:8] + b"".join(
        struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks
    )


def edit_exif(draw: random.Random, data: bytes) -> bytes:
    """An orientation of any type, count and value."""
    kind, count = draw.choice((1, 2, 3, 4, 5, 7, 10, 11, 12, 13, 99)), draw.choice((0, 1, 2, 2**31))
    entry = struct.pack("<HHI", 0x0112, kind, count) + draw.choice((b"up\0\0", draw.randbytes(4)))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, draw.choice((1, 1, 500))) + entry + bytes(4)
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    return encode(picture, draw.choice(("JPEG", "PNG", "WEBP")), exif=exif)


def picture_case(draw: random.Random) -> bytes:
    data = draw.choice(intact_pictures())
    match draw.randrange(10):
        case 0:
            return edit_exif(draw, small_picture())
        case 1 | 2 | 3:
            pngs = [p for p in intact_pictures() if p.startswith(b"\x89PNG")]
            return edit_png(draw, draw.choice(pngs))
        case 4:
            return data  # odd formats as they are
        case _:
            return blind(draw, data)


VALUES = (
    "null", "true", "-1", "0", "1e400", ".nan", ".inf", "-.inf", "''", "[]", "{}", "[1, [2, [3]]]",
    str(2**64), "-" + "9" * 5000, "9" * 5000, "0x" + "f" * 40, "&a [*a]", "*nowhere",
    "!!binary aGk=",
    "!!python/object/apply:os.system ['touch yaml_was_here']", "!!python/name:os.system",
    "!!set {a, b}", "2001-12-14t21:59:43.10-05:00", "2001-99-99", "? [a]\n", "\t", "'\\x00'",
    '"\\0"', "hf:", "hf:org/set", "/dev/zero", "..", "'a\nb'", "!!float x", "!!int x", "1:60:99",
    "{1: 2}", "{null: 2}", "[1, 2, 3]", "[0, 0]", "[.nan, 1]", "&x {<<: *x}", "<<: 1", "é" * 5000,
)  # fmt: skip


def yaml_case(draw: random.Random) -> bytes:
    if draw.random() < 0.05:
        return draw.choice(
            (
                b"[" * 20_000,
                b"{a: " * 20_000,
                b"- " * 5_000,
                # ten levels of ten references: 10^10 leaves if anybody writes them out
                b"".join(
                    b"x%d: &x%d [%s]\n" % (i, i, b", ".join([b"*x%d" % (i - 1)] * 10 or b""))
                    if i
                    else b"x0: &x0 [lol]\n"
                    for i in range(10)
                )
                + draw.choice((b"train: {epochs: *x9}\n", b"model: {overrides: {a: *x9}}\n")),
                b"train: &t {epochs: *t}\n",
                b"model: {overrides: &o {a: *o}}\n",
                b"\xff\xfet\0r\0",
                b"%YAML 9.9\n---\n",
                b"a: 1\n---\nb: 2\n",
            )
        )
    text = to_yaml(build_config({}))
    if draw.random() < 0.3:
        return blind(draw, text.encode())
    lines = text.splitlines()
    for _ in range(draw.choice((1, 1, 2, 5))):
        path, _, _ = draw.choice(list(describe_fields()))
        name = path.split(".")[1]
        number = draw.choice(
            [i for i, line in enumerate(lines) if line.strip().startswith(name)] or [0]
        )
        lines[number] = f"  {name}: {draw.choice(VALUES)}"
    return "\n".join(lines).encode()


def csv_case(draw: random.Random) -> bytes:
    rows = [["path", "label", "split"]]
    parts = ("train", "val", "test")
    rows += [[f"{c}/{i}.png", c, parts[i % 3]] for c in "ab" for i in range(6)]
    for _ in range(draw.choice((1, 2, 5))):
        row = draw.randrange(len(rows))
        match draw.randrange(5):
            case 0 if rows[row]:
                rows[row][draw.randrange(len(rows[row]))] = draw.choice(PATHS)
            case 1:
                rows[row].append("x" * draw.choice((1, 200_000)))
            case 2:
                rows.insert(row, [])
            case 3:
                rows[row] = rows[row][: draw.randrange(1, 3)]
            case 4:
                rows.append([draw.choice(PATHS), "a", "train"])
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    data = buffer.getvalue().encode()
    return blind(draw, data) if draw.random() < 0.4 else data


def npy(header: str, content: bytes) -> bytes:
    text = header.encode("latin1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


HEADERS = (
    "{'descr': '|O', 'fortran_order': False, 'shape': (4,), }\n",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (4000000000, 4000000000), }\n",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,), }\n",
    "{'descr': '|u1', 'fortran_order': True, 'shape': (), }\n",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (24, 4, 4), }\n",
    "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (24,), }\n",
    "{'descr': '<M8[D]', 'fortran_order': False, 'shape': (2,), }\n",
    "{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }\n",
    "__import__('os').system('touch npy_was_here')\n",
    "{" * 3000,
)


def npz_case(draw: random.Random) -> bytes:
    arrays: dict[str, Any] = {"images": noise(24, 4, 4), "labels": np.arange(24) % 3}
    members = {}
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        members[f"{name}.npy"] = buffer.getvalue()
    key = draw.choice(sorted(members))
    match draw.randrange(6):
        case 0:
            members[key] = npy(draw.choice(HEADERS), draw.randbytes(384))
        case 1:
            evil = pickle.dumps(np.array([Evil()] * 24, dtype=object))
            members[key] = npy(HEADERS[0].replace("4,", "24,"), evil)
        case 2:
            members[key] = blind(draw, members[key])
        case 3:
            members[draw.choice(("classes.npy", "x_test.npy", "y.npy"))] = members[key]
        case 4:
            kind = draw.choice((np.float32, np.int64, np.bool_, "U2", "M8[D]"))
            buffer = io.BytesIO()
            np.save(buffer, np.zeros(draw.choice(((24,), (0,), (24, 4, 4, 9), (1, 1))), kind))
            members[key] = buffer.getvalue()
        case 5:
            return blind(draw, zipped(draw, members))
    return zipped(draw, members)


def zipped(draw: random.Random, members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    method = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def class_folders(draw: random.Random) -> dict[str, bytes]:
    members = {f"{c}/{i}.png": small_picture() for c in "ab" for i in range(6)}
    for _ in range(draw.choice((0, 1, 1, 3))):
        content = draw.choice((b"", bytes(2**21), small_picture(), picture_case(draw)))
        members[draw.choice((*PATHS, "a/x.png", "c/1.jpg"))] = content
    return members


def zip_case(draw: random.Random) -> bytes:
    members = {name.replace("\0", "_") or "_": c for name, c in class_folders(draw).items()}
    data = zipped(draw, members)
    if draw.random() < 0.5:
        return blind(draw, data)
    # one field of one entry of the directory
    changed = bytearray(data)
    starts = [i for i in range(len(data)) if data.startswith(b"PK\x01\x02", i)]
    place = draw.choice(starts) + draw.choice((8, 10, 16, 20, 24, 28, 30, 32, 38, 42))
    changed[place : place + 4] = struct.pack("<I", draw.choice(HUGE) & 0xFFFFFFFF)
    return bytes(changed)


def tar_case(draw: random.Random) -> bytes:
    members = class_folders(draw)
    if draw.random() < 0.5:  # samples
        members = {}
        for i in range(12):
            members[f"{i:03d}.png"] = small_picture()
            members[f"{i:03d}.cls"] = str(i % 2).encode()
        label = draw.choice((b"", b"\xff", b"9" * 600, b"-1", "猫".encode(), b"1.5", b"\x1b[2J"))
        members[f"{draw.randrange(12):03d}.cls"] = label
        json = draw.choice((b"[" * 50_000, b'{"label": NaN}', b'{"label": 1e999}', b"null", b"{"))
        members["004.json"] = json
    buffer = io.BytesIO()
    form = draw.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name.replace("\0", "_")[:90])
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    data = buffer.getvalue()
    if draw.random() < 0.4:
        return blind(draw, data)
    changed = bytearray(data)
    starts = [i for i in range(0, len(data), 512) if data[i + 257 : i + 262] == b"ustar"]
    place = draw.choice(starts)
    match draw.randrange(4):
        case 0:
            changed[place + 156] = draw.randrange(256)
        case 1:
            changed[place + 156] = draw.choice(b"0123456LKxgSMVD\0")
            changed[place + 157 : place + 257] = b"/etc/passwd".ljust(100, b"\0")
        case 2:
            size = draw.choice(HUGE)
            octal = b"%011o\0" % size
            binary = b"\x80" + size.to_bytes(11, "big")
            changed[place + 124 : place + 136] = octal if len(octal) == 12 else binary
        case 3:
            path = draw.choice(PATHS).encode()[:100]
            changed[place : place + 100] = path.ljust(100, b"\0")
    field = 8 * b" "
    total = sum(changed[place : place + 148]) + sum(field) + sum(changed[place + 156 : place + 512])
    changed[place + 148 : place + 156] = b"%06o\0 " % total
    return bytes(changed)


KINDS: dict[str, Callable[[random.Random], bytes]] = {
    "picture": picture_case,
    "yaml": yaml_case,
    "csv": csv_case,
    "npz": npz_case,
    "zip": zip_case,
    "tar": tar_case,
}


def make_case(kind: str, number: int) -> bytes:
    """The content of one hostile file."""
    return KINDS[kind](random.Random(f"{kind} {number}"))
