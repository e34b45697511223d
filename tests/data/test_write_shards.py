"""Shards hold what they were made of, always in the same bytes, and appear whole or not at all."""

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from allmlp.data import (
    BrokenImages,
    ImageFiles,
    Shard,
    Splits,
    load_source,
    shuffled_order,
    write_shards,
)
from allmlp.data.encode import image_suffix
from allmlp.data.split import PARTS
from allmlp.errors import AllmlpError

Pictures = Callable[..., dict[str, bytes]]


@pytest.fixture
def photos(tmp_path: Path, pictures: Pictures) -> Path:
    for name, data in pictures("cat", "two words", count=12).items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "photos"


def write(splits: Splits, folder: Path, **options: int) -> list[Shard]:
    return write_shards(splits, folder, broken=BrokenImages(100, 0.0), **options)


def contents(splits: Splits) -> Iterator[tuple[str, str, bytes]]:
    for part in PARTS:
        images = splits.part(part)
        assert isinstance(images, ImageFiles)
        for name, label in zip(images.names, images.labels.tolist(), strict=True):
            yield part, images.classes[label], images.reader.read(name)


def test_every_part_has_its_images_and_classes(photos: Path, tmp_path: Path) -> None:
    splits = load_source(str(photos))
    write(splits, tmp_path / "out")
    again = load_source(str(tmp_path / "out"))
    assert again.train.classes == splits.train.classes == ("cat", "two words")
    assert sorted(contents(again)) == sorted(contents(splits))


def test_other_readers_find_keys_numbers_and_suffixes(photos: Path, tmp_path: Path) -> None:
    picture = Image.fromarray(np.zeros((4, 4, 3), np.uint8))
    picture.save(photos / "cat" / "a.b c.é.png", "JPEG")  # a name that lies and has dots
    write(load_source(str(photos)), tmp_path / "out")
    names = []
    for path in sorted((tmp_path / "out").glob("*.tar")):
        with tarfile.open(path) as file:
            members = file.getmembers()
            names += [member.name for member in members]
            for image, label in zip(members[::2], members[1::2], strict=True):
                assert label.name == image.name.split(".")[0] + ".cls"
                handle = file.extractfile(label)
                assert handle is not None
                assert handle.read() in (b"0", b"1")
            assert {(m.mtime, m.uid, m.uname, m.mode) for m in members} == {(0, 0, "", 0o644)}
    assert sum(name.endswith("-a_b_c_.jpg") for name in names) == 1


def test_the_same_data_give_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(load_source(str(photos)), tmp_path / name, max_images=5)
    first, second = (
        {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("a", "b")
    )
    assert first == second
    # in an order that no run, machine or version changes
    with tarfile.open(fileobj=io.BytesIO(first["val-000000.tar"])) as file:
        assert [m.name for m in file.getmembers()][:2] == ["000000-1.png", "000000-1.cls"]


def test_sizes(photos: Path, tmp_path: Path) -> None:
    splits = load_source(str(photos))
    shards = write(splits, tmp_path / "count", max_images=4)
    assert [shard.images for shard in shards if shard.name.startswith("train")] == [4, 4, 4, 4, 1]
    shards = write(splits, tmp_path / "size", max_bytes=10_000)
    for shard in shards:
        assert (tmp_path / "size" / shard.name).stat().st_size == shard.size <= 10_000
    assert sum(shard.images for shard in shards) == 24
    alone = write(splits, tmp_path / "one", max_bytes=1)  # smaller than any image
    assert {shard.images for shard in alone} == {1}
    with pytest.raises(AllmlpError, match="an integer max_images of at least 1, got 0"):
        write(splits, tmp_path / "none", max_images=0)


def test_ready_pixels_become_png(tmp_path: Path) -> None:
    splits = load_source("digits")
    write(splits, tmp_path / "out")
    again = load_source(str(tmp_path / "out")).test
    assert isinstance(again, ImageFiles)
    theirs = splits.test
    assert not isinstance(theirs, ImageFiles)
    read = [np.array(Image.open(io.BytesIO(again.reader.read(name)))) for name in again.names]
    order = shuffled_order(len(theirs), 0, 0)
    assert np.array_equal(np.stack(read), theirs.images[order, 0].numpy())
    assert torch.equal(again.labels, theirs.labels[order])


def test_broken_images_are_left_out_and_told(photos: Path, tmp_path: Path) -> None:
    (photos / "cat" / "3.png").write_bytes(b"no image")
    (photos / "cat" / "4.png").unlink()
    splits = load_source(str(photos))
    (photos / "cat" / "5.png").unlink()
    broken = BrokenImages(100, 0.05)
    shards = write_shards(splits, tmp_path / "out", broken=broken)
    assert sum(shard.images for shard in shards) == 21
    assert broken.reasons == {
        "cat/3.png": "no image format that is read here",
        "cat/5.png": "No such file or directory",
    }
    with pytest.raises(AllmlpError, match="cannot read 1 images, none may be"):
        write(splits, tmp_path / "strict")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "photos"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_nothing_is_left_when_it_ends_early(
    photos: Path, tmp_path: Path, error: type[BaseException]
) -> None:
    def stop(shard: Shard) -> None:
        if shard.name == "train-000002.tar":
            assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["photos"]
            raise error

    splits = load_source(str(photos))
    with pytest.raises(error):
        write_shards(
            splits, tmp_path / "out", max_images=4, broken=BrokenImages(24, 0.0), note=stop
        )
    assert [p.name for p in tmp_path.iterdir()] == ["photos"]


def test_a_folder_that_holds_something_is_left(photos: Path, tmp_path: Path) -> None:
    splits = load_source(str(photos))
    with pytest.raises(AllmlpError, match="photos exists already; remove it, or choose another"):
        write(splits, photos)
    (tmp_path / "empty").mkdir()
    write(splits, tmp_path / "empty")
    with pytest.raises(AllmlpError, match="exists already"):
        write(splits, tmp_path / "empty")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_class_that_is_no_line(photos: Path, tmp_path: Path) -> None:
    os.rename(photos / "cat", photos / "c\nat")
    with pytest.raises(AllmlpError, match=r"one name a line, the class 'c\\nat' cannot be written"):
        write(load_source(str(photos)), tmp_path / "out")


@pytest.mark.parametrize(
    ("kind", "suffix"), [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("TIFF", ".tiff")]
)
def test_suffixes_by_content(encode: Callable[..., bytes], kind: str, suffix: str) -> None:
    assert image_suffix(encode(np.zeros((4, 4, 3), np.uint8), kind)) == suffix
