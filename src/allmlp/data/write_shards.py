"""Write any data as tars in WebDataset's format: few large files instead of many small ones."""

import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import IO

from allmlp.data.encode import encode_png, image_suffix
from allmlp.data.entries import MAX_FILE_BYTES
from allmlp.data.image_files import ImageFiles
from allmlp.data.order import shuffled_order
from allmlp.data.shards import CLASSES
from allmlp.data.split import PARTS, Images, Splits
from allmlp.data.stream import BrokenImages
from allmlp.errors import AllmlpError, check_integers
from allmlp.files import replace_file, sync_folder, temporary_path, write_text

__all__ = ["Shard", "write_shards"]

# of the order within a part: readers that go through a tar from its start meet all classes at once
_SEED = 0


@dataclass(frozen=True)
class Shard:
    """A tar that was written."""

    name: str
    images: int
    size: int  # bytes


def write_shards(
    splits: Splits,
    folder: Path,
    *,
    max_bytes: int = 2**28,
    max_images: int = 10_000,
    broken: BrokenImages,
    note: Callable[[Shard], None] = lambda shard: None,
) -> list[Shard]:
    """Write `train-000000.tar`, …, and `classes.txt` with the names of the classes.

    Image files are copied as they are, ready pixels become PNG. Samples are called by a running
    number and their file's name, and come in a random order that is always the same. The same data
    give the same bytes: no time, user or machine is written.

    `folder` appears when everything is in it, and not before.

    Args:
        splits: what to write; each part has its own tars.
        folder: to create; an empty one is replaced.
        max_bytes: size of a tar that the next sample may not exceed, if there is one already.
        max_images: of a tar.
        broken: told of images that cannot be read; they are left out.
        note: called after each tar.

    Raises:
        AllmlpError: a size below 1, a folder that holds something, too many broken images, or a
            class whose name has several lines.
        OSError: the folder cannot be written.
    """
    check_integers("write_shards", minimum=1, max_bytes=max_bytes, max_images=max_images)
    classes = splits.train.classes
    if bad := [name for name in classes if name.strip() != name or len(name.splitlines()) != 1]:
        raise AllmlpError(f"{CLASSES} has one name a line, the class {bad[0]!r} cannot be written")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise AllmlpError(f"{folder} exists already; remove it, or choose another folder")
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = temporary_path(folder)
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    try:
        shards: list[Shard] = []
        for part in PARTS:
            samples = _samples(splits.part(part), broken)
            pending = next(samples, None)
            numbers = count()
            while pending is not None:
                name = f"{part}-{next(numbers):06d}.tar"
                with replace_file(made / name) as file:
                    pending, images = _fill(file, pending, samples, max_bytes, max_images)
                    shards.append(Shard(name, images, file.tell()))
                note(shards[-1])
        if not shards:
            raise AllmlpError(f"there is no intact image to write: {broken}")
        write_text(made / CLASSES, "".join(f"{name}\n" for name in classes))
        made.replace(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    sync_folder(folder.parent)
    return shards


# key, suffix, content, class
_Sample = tuple[str, str, bytes, int]


def _samples(images: Images, broken: BrokenImages) -> Iterator[_Sample]:
    labels = images.labels.tolist()
    digits = max(6, len(str(len(images))))
    for number, position in enumerate(shuffled_order(len(images), _SEED, 0).tolist()):
        key = f"{number:0{digits}d}"
        if not isinstance(images, ImageFiles):
            yield key, ".png", encode_png(images.images[position]), labels[position]
            continue
        name = images.names[position]
        try:
            content = images.reader.read(name)
            if len(content) > MAX_FILE_BYTES:
                raise AllmlpError(f"more than {MAX_FILE_BYTES:,} bytes")
            suffix = image_suffix(content)
        except AllmlpError as e:
            broken.add(name, str(e))
            continue
        except OSError as e:
            broken.add(name, e.strerror or str(e))
            continue
        # a dot would end the key
        stem = re.sub(r"[^\w-]+", "_", PurePosixPath(name).stem, flags=re.ASCII)[:60]
        yield f"{key}-{stem}", suffix, content, labels[position]


def _fill(
    file: IO[bytes],
    sample: _Sample,
    samples: Iterator[_Sample],
    max_bytes: int,
    max_images: int,
) -> tuple[_Sample | None, int]:
    """One tar, from a first sample on.

    Returns:
        The first sample of the next tar, and how many are in this one.
    """
    written = 0
    pending: _Sample | None = sample
    while pending is not None:
        key, suffix, content, label = pending
        data = _entry(f"{key}{suffix}", content) + _entry(f"{key}.cls", str(label).encode())
        end = 2 * tarfile.BLOCKSIZE
        if written and (written == max_images or file.tell() + len(data) + end > max_bytes):
            break
        file.write(data)
        written += 1
        pending = next(samples, None)
    file.write(bytes(2 * tarfile.BLOCKSIZE))
    return pending, written


def _entry(name: str, content: bytes) -> bytes:
    info = tarfile.TarInfo(name)  # of no time, no user, mode 0644
    info.size = len(content)
    padding = -len(content) % tarfile.BLOCKSIZE
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(padding)
