"""Tars of samples or of class folders become parts like any other data."""

import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from allmlp.data import (
    BrokenImages,
    ImageFiles,
    ImageStream,
    Preprocess,
    iterate_shares,
    load_source,
)
from allmlp.data.image_files import Reader
from allmlp.errors import AllmlpError

Pictures = Callable[..., dict[str, bytes]]
Write = Callable[..., Path]


@pytest.fixture
def image(pictures: Pictures) -> bytes:
    return pictures("cat")["cat/0.png"]


def samples(image: bytes, *labels: str, first: int = 0) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for number, label in enumerate(labels, first):
        files |= {f"{number:04d}.png": image, f"{number:04d}.cls": label.encode()}
    return files


def files_of(source: Path, part: str = "all") -> ImageFiles:
    images = load_source(str(source)).part(part)
    assert isinstance(images, ImageFiles)
    return images


def named(files: ImageFiles) -> dict[str, str]:
    labels = [files.classes[i] for i in files.labels.tolist()]
    return dict(zip(files.names, labels, strict=True))


def test_samples_have_the_class_beside_them(tar: Write, tmp_path: Path, image: bytes) -> None:
    for shard in range(3):
        labels = [str(label) for label in (10, 9, 10, 9, 2)]
        tar(tmp_path / f"{shard}.tar", samples(image, *labels, first=5 * shard))
    files = files_of(tmp_path)
    assert files.classes == ("2", "9", "10")  # in the order of the numbers
    assert len(files) == 15
    assert named(files)["1.tar/0005.png"] == "10"
    assert files.reader.read("1.tar/0005.png") == image
    assert pickle.loads(pickle.dumps(files.reader)).read("1.tar/0005.png") == image


def test_numbers_have_names_in_classes_txt(tar: Write, tmp_path: Path, image: bytes) -> None:
    (tmp_path / "classes.txt").write_text("zebra\nape\nowl\n")
    tar(tmp_path / "0.tar", samples(image, *"0101010110"))
    files = files_of(tmp_path / "0.tar")
    assert files.classes == ("zebra", "ape")  # in the file's order, those there are
    assert named(files)["0001.png"] == "ape"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"ape\n", "0001.png is of class 1, .*classes.txt has names for 0 to 0"),
        (b"ape\n\nowl", "one name a line, none of them empty or twice"),
        (b"ape\nape", "one name a line, none of them empty or twice"),
        (b"\xff\xfe", "is no text in UTF-8"),
    ],
)
def test_names_that_do_not_fit(
    tar: Write, tmp_path: Path, image: bytes, text: bytes, message: str
) -> None:
    (tmp_path / "classes.txt").write_bytes(text)
    tar(tmp_path / "0.tar", samples(image, *"0101010110"))
    with pytest.raises(AllmlpError, match=message):
        load_source(str(tmp_path))


def test_classes_by_name_and_in_json(tar: Write, tmp_path: Path, image: bytes) -> None:
    files = samples(image, *"aabbaabb")
    for number in range(4):
        del files[f"{number:04d}.cls"]
        label = '{"label": "c", "caption": "x"}' if number < 2 else '{"cls": 7}'
        files[f"{number:04d}.json"] = label.encode()
    tar(tmp_path / "x.tar", files)
    assert sorted(named(files_of(tmp_path / "x.tar")).values()) == list("77aabbcc")


def test_a_mask_is_no_sample(tar: Write, tmp_path: Path, image: bytes) -> None:
    files = samples(image, *"00001111") | {"0000.mask.png": image, "0001.txt": b"a cat"}
    assert len(files_of(tar(tmp_path / "x.tar", files))) == 8


def test_parts_by_file_and_by_folder(tar: Write, tmp_path: Path, image: bytes) -> None:
    (tmp_path / "validation").mkdir()
    tar(tmp_path / "set-train-00000-of-00001.tar", samples(image, *"010101"))
    tar(tmp_path / "validation" / "0.tar", samples(image, *"01"))
    tar(tmp_path / "test_0.tar", samples(image, *"011"))
    splits = load_source(str(tmp_path))
    assert [len(splits.part(part)) for part in ("train", "val", "test")] == [6, 2, 3]
    assert splits.notes == ()
    tar(tmp_path / "more.tar", samples(image, *"011"))
    with pytest.raises(AllmlpError, match=r"more.tar does not say which part it is, others do"):
        load_source(str(tmp_path))
    (tmp_path / "more.tar").rename(tmp_path / "train-test.tar")
    with pytest.raises(AllmlpError, match=r"train-test.tar names test and train; a file belongs"):
        load_source(str(tmp_path))


@pytest.mark.parametrize("outer", ["", "train/"])
def test_class_folders_as_in_a_zip(
    tar: Write, tmp_path: Path, pictures: Pictures, outer: str
) -> None:
    content = pictures("cat", "dog", count=6)
    files = {outer + name: data for name, data in content.items()} | {"README": b""}
    source = tar(tmp_path / "train.tar", files)
    images = files_of(source)
    assert images.classes == ("cat", "dog")
    assert sorted(images.reader.read(name) for name in images.names) == sorted(content.values())


def test_a_tar_beside_photographs_is_no_shard(
    tar: Write, tmp_path: Path, pictures: Pictures
) -> None:
    for name, data in pictures("cat", "dog", count=6).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    tar(tmp_path / "backup.tar", {"x": b""})
    splits = load_source(str(tmp_path))
    assert splits.train.classes == ("cat", "dog")
    assert "1 files that are no images by their name are left out" in splits.notes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"0000.cls": None}, "x.tar has no class for 0000.png, but for others; add 0000.cls"),
        ({"0000.cls": b" \n"}, r"0000.cls must hold a number or a name in UTF-8, it has 2 bytes"),
        ({"0000.cls": b"x" * 600}, "0000.cls must hold .* it has 600 bytes"),
        ({"0000.cls": b"\xff"}, "0000.cls must hold a number or a name in UTF-8"),
        ({"0000.json": b"{"}, "0000.json is no JSON"),
        ({"0000.json": b"[" * 100_000}, "0000.json is no JSON"),
        ({"0000.json": b" " * (2**20 + 1)}, "0000.json has 1,048,577 bytes, more than 1,048,576"),
    ],
)
def test_classes_that_cannot_be_read(
    tar: Write, tmp_path: Path, image: bytes, change: dict[str, bytes | None], message: str
) -> None:
    files = {k: v for k, v in (samples(image, *"00001111") | change).items() if v is not None}
    with pytest.raises(AllmlpError, match=message):
        load_source(str(tar(tmp_path / "x.tar", files)))


def test_no_image_and_one_twice(tar: Write, tmp_path: Path, image: bytes) -> None:
    with pytest.raises(AllmlpError, match="holds classes but no images; a sample is KEY.jpg"):
        load_source(str(tar(tmp_path / "x.tar", {"0.cls": b"0", "0.txt": b""})))
    with pytest.raises(AllmlpError, match="holds no images in class folders"):
        load_source(str(tar(tmp_path / "x.tar", {"0.txt": b""})))
    tar(tmp_path / "x.tar", samples(image, *"00001111"), samples(image, "0"))
    with pytest.raises(AllmlpError, match=r"x.tar holds 0000.png twice"):
        load_source(str(tmp_path / "x.tar"))


def test_a_tar_that_became_shorter_is_a_broken_image(
    tar: Write, tmp_path: Path, image: bytes
) -> None:
    source = tar(tmp_path / "x.tar", samples(image, *"00001111"))
    files = files_of(source)
    source.write_bytes(source.read_bytes()[:2000])
    with pytest.raises(AllmlpError, match="the tar is cut off here"):
        files.reader.read("0007.png")


class Counting:
    """A reader that notes what it is asked for."""

    def __init__(self, reader: Reader):
        self.reader = reader
        self.asked: Counter[str] = Counter()

    def read(self, name: str) -> bytes:
        self.asked[name] += 1
        return self.reader.read(name)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_the_processes_read_every_image_of_uneven_tars_once(
    tar: Write, tmp_path: Path, image: bytes, ranks: int
) -> None:
    for shard, count in enumerate((1, 17, 4)):
        labels = [str(number % 2) for number in range(count)]
        tar(tmp_path / f"train-{shard}.tar", samples(image, *labels))
    tar(tmp_path / "val-0.tar", samples(image, "0", "1"))
    tar(tmp_path / "test-0.tar", samples(image, "0", "1"))
    files = files_of(tmp_path, "train")
    reader = Counting(files.reader)
    pre = Preprocess(img_size=(8, 8), in_chans=3, mean=(0.0,) * 3, std=(1.0,) * 3)
    stream = ImageStream(replace(files, reader=reader), pre, 0, BrokenImages(22, 0.0))
    for rank in range(ranks):
        batches = iterate_shares(stream, pre, 5, shuffle=(0, 1), rank=rank, size=ranks)
        assert len(list(batches)) == 5
    assert reader.asked == Counter(files.names)
    assert len(files) == 22


def test_shards_and_folder_train_alike(tar: Write, tmp_path: Path, pictures: Pictures) -> None:
    # same names in the same order, hence the same split, order and draws
    content = pictures("cat", "dog", count=8)
    for name, data in content.items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(data)
    ours = load_source(str(tar(tmp_path / "photos.tar", content)))
    theirs = load_source(str(tmp_path / "photos"))
    for part in ("train", "val", "test"):
        a, b = ours.part(part), theirs.part(part)
        assert isinstance(a, ImageFiles)
        assert isinstance(b, ImageFiles)
        assert (a.names, a.classes) == (b.names, b.classes)
        assert torch.equal(a.labels, b.labels)
        assert [a.reader.read(n) for n in a.names] == [b.reader.read(n) for n in b.names]
