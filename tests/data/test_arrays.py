"""IDX, CIFAR and npz: sources of ready pixels. The tests write the formats by hand."""

import gzip
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from allmlp.data import ImageSet, load_source
from allmlp.errors import AllmlpError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 5, 4), dtype=np.uint8)
LABELS = np.arange(20, dtype=np.uint8) % 4


def idx(values: np.ndarray) -> bytes:
    shape = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, 8, values.ndim]) + shape + values.tobytes()


def write_mnist(folder: Path, compress: bool = False, prefix: str = "") -> Path:
    folder.mkdir()
    for part in ("train", "t10k"):
        for name, values in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
            path = folder / f"{prefix}{part}-{name}-ubyte{'.gz' if compress else ''}"
            path.write_bytes(gzip.compress(idx(values)) if compress else idx(values))
    return folder


@pytest.mark.parametrize("prefix", ["", "emnist-letters-"])
@pytest.mark.parametrize("compress", [False, True])
def test_idx(tmp_path: Path, compress: bool, prefix: str) -> None:
    splits = load_source(str(write_mnist(tmp_path / "mnist", compress, prefix)))
    assert isinstance(splits.test, ImageSet)
    assert torch.equal(splits.test.images[:, 0], torch.from_numpy(IMAGES))
    assert splits.test.labels.tolist() == LABELS.tolist()
    assert splits.test.classes == ("0", "1", "2", "3")
    assert (len(splits.train), len(splits.val)) == (18, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(IMAGES)[:-1], "declares 400 values and holds 399"),
        (idx(IMAGES) + b"0", "declares 400 values and holds more"),
        (b"\0\0\x0d\x03" + idx(IMAGES)[4:], "is no IDX file of bytes with 3 axes"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12, "declares .* bytes, more than 4,294,967,296"),
        (b"", "is no IDX file"),
        (idx(IMAGES[:3]), "each image needs one label, got 3 images"),
    ],
)
def test_damaged_idx(tmp_path: Path, content: bytes, message: str) -> None:
    folder = write_mnist(tmp_path / "mnist")
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(AllmlpError, match=message):
        load_source(str(folder))


def test_damaged_gzip_and_missing_partner(tmp_path: Path) -> None:
    folder = write_mnist(tmp_path / "mnist", compress=True)
    images = folder / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:-20])
    with pytest.raises(AllmlpError, match=r"images-idx3-ubyte.gz is damaged"):
        load_source(str(folder))
    images.unlink()
    with pytest.raises(AllmlpError, match=r"train-labels.* has no partner"):
        load_source(str(folder))


def write_cifar(folder: Path, hundred: bool = False) -> np.ndarray:
    """Twenty images a file; returns the pixels of test."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    train = ["train.bin"] if hundred else [f"data_batch_{i}.bin" for i in range(1, 6)]
    for name in (*train, "test.bin" if hundred else "test_batch.bin"):
        pixels = noise.integers(0, 256, (20, 3072), dtype=np.uint8)
        labels = np.stack([LABELS + 9, LABELS], 1)[:, 0 if hundred else 1 :]
        (folder / name).write_bytes(np.hstack([labels.astype(np.uint8), pixels]).tobytes())
    names = folder / ("fine_label_names.txt" if hundred else "batches.meta.txt")
    names.write_text("plane\ncar\nbird\ncat\n\n")
    return pixels.reshape(20, 3, 32, 32)


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
@pytest.mark.parametrize("hundred", [False, True])
def test_cifar(tmp_path: Path, hundred: bool, inner: str) -> None:
    pixels = write_cifar(tmp_path / "cifar" / inner, hundred)
    splits = load_source(str(tmp_path / "cifar"))
    assert isinstance(splits.test, ImageSet)
    assert torch.equal(splits.test.images, torch.from_numpy(pixels))
    assert splits.test.labels.tolist() == LABELS.tolist()  # of CIFAR-100 the fine ones
    assert splits.test.classes == ("plane", "car", "bird", "cat")
    assert len(splits.train) + len(splits.val) == (20 if hundred else 100)


def test_damaged_cifar(tmp_path: Path) -> None:
    write_cifar(tmp_path / "cifar")
    (tmp_path / "cifar" / "data_batch_3.bin").write_bytes(b"123")
    with pytest.raises(AllmlpError, match="data_batch_3.bin is damaged: 3 bytes"):
        load_source(str(tmp_path / "cifar"))
    (tmp_path / "cifar" / "data_batch_3.bin").unlink()
    with pytest.raises(AllmlpError, match="has no data_batch_3.bin; unpack the whole archive"):
        load_source(str(tmp_path / "cifar"))


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("unpickled",)


@pytest.mark.parametrize("names", [["data_batch_1"], ["train", "meta"]])
def test_pickled_cifar_is_never_opened(
    tmp_path: Path, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(AllmlpError, match="a pickle, which may run any code; get the binary"):
        load_source(str(tmp_path))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "keys",
    [("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels")],
)
@pytest.mark.parametrize("shape", [(20, 5, 4), (20, 5, 4, 1), (20, 1, 5, 4)])
def test_npz(tmp_path: Path, keys: tuple[str, ...], shape: tuple[int, ...]) -> None:
    values = [IMAGES.reshape(shape) if "x_" in key or "images" in key else LABELS for key in keys]
    np.savez(tmp_path / "data.npz", **dict(zip(keys, values, strict=True)))
    splits = load_source(str(tmp_path / "data.npz"))
    assert isinstance(splits.train, ImageSet)
    assert splits.train.images.shape[1:] == (1, 5, 4)
    assert len(splits.part("all")) == 10 * len(keys)
    assert splits.train.classes == ("0", "1", "2", "3")


def test_npz_labels_and_names(tmp_path: Path) -> None:
    colour = np.zeros((20, 6, 6, 3), np.uint8)
    path = str(tmp_path / "data.npz")
    np.savez(path, images=colour, labels=np.array(["dog", "cat"])[LABELS % 2])
    assert load_source(path).train.classes == ("cat", "dog")
    np.savez(path, images=colour, labels=10 * LABELS[:, None])
    assert load_source(path).train.classes == ("0", "10", "20", "30")
    np.savez(path, x=colour, y=LABELS, classes=list("abcdef"))
    assert load_source(path).train.classes == tuple("abcdef")
    np.savez(path, x=colour, y=np.array(["dog", "cat"])[LABELS % 2], classes=["dog", "cat"])
    assert load_source(path).train.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pixels": IMAGES}, "must have x_train and y_train.*it has pixels"),
        ({}, "it has nothing"),
        ({"images": IMAGES}, "has no labels to go with all"),
        ({"images": IMAGES / 255, "labels": LABELS}, "must be bytes .*got float64"),
        ({"images": IMAGES[0], "labels": LABELS}, "must have shape"),
        ({"images": IMAGES, "labels": LABELS[:9]}, "each image needs one label"),
        ({"images": IMAGES, "labels": LABELS / 2}, "labels must be integers or text"),
        ({"images": IMAGES, "labels": LABELS, "classes": ["a"]}, "labels run from 0 to 3"),
        ({"images": np.array([Bomb()]), "labels": LABELS}, "without pickled objects"),
    ],
)
def test_npz_that_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(AllmlpError, match=message):
        load_source(str(tmp_path / "data.npz"))
    assert capsys.readouterr().out == ""


def test_damaged_npz(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, images=IMAGES, labels=LABELS)
    whole = path.read_bytes()
    for content in (
        b"",
        b"no archive",
        whole[: len(whole) // 2],
        whole.replace(b"20, 5, 4", b"99, 5, 4"),
    ):
        path.write_bytes(content)
        with pytest.raises(AllmlpError, match=r"data.npz is no intact .npz"):
            load_source(str(path))


def test_npz_whose_members_are_no_arrays(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images", b"not called .npy: handed out as bytes")
        archive.writestr("labels.npy", b"\x93NUMPY\x01\x00\x05\x00{{{{{")
    with pytest.raises(AllmlpError, match=r"data.npz is no intact .npz"):
        load_source(str(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images", b"not called .npy: handed out as bytes")
    with pytest.raises(AllmlpError, match=r"images and labels; it has nothing"):
        load_source(str(path))


def test_npz_with_images_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    train = {"x_train": IMAGES, "y_train": LABELS}
    whole = "images once, in parts or without; it has x_train, "
    for more, found in (
        ({"x": IMAGES, "y": LABELS}, f"{whole}x"),
        ({"train_images": IMAGES, "train_labels": LABELS}, f"{whole}train_images"),
    ):
        np.savez(path, **train, **more)
        with pytest.raises(AllmlpError, match=f"{found}; leave some out"):
            load_source(str(path))


def test_npz_with_classes_that_train_lacks(tmp_path: Path) -> None:
    images = np.zeros((6, 4, 4), np.uint8)
    arrays = {"x_train": images, "y_train": [0, 1] * 3, "x_test": images, "y_test": [0, 1, 2] * 2}
    np.savez(tmp_path / "d.npz", **arrays, classes=np.array([b"cat", b"dog", b"owl"]))
    with pytest.raises(AllmlpError, match="test has classes that train has not: owl; a class must"):
        load_source(str(tmp_path / "d.npz"))
