import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from allmlp.data import (
    Augment,
    BrokenImages,
    ImageFiles,
    ImageSet,
    ImageStream,
    Preprocess,
    Warp,
    iterate_batches,
    load_source,
    prepare,
)
from allmlp.errors import AllmlpError

Place = Callable[[Mapping[str, bytes]], str]
Pictures = Callable[..., dict[str, bytes]]

COLOUR = Preprocess(img_size=(8, 8), in_chans=3, mean=(0.5,) * 3, std=(0.5,) * 3)


def read(
    files: ImageFiles, *, cache_gib: float = 1.0, workers: int = 0, share: float = 0.5
) -> tuple[ImageSet | ImageStream, BrokenImages]:
    broken = BrokenImages(len(files), share)
    images = prepare(files, COLOUR, broken=broken, cache_gib=cache_gib, workers=workers)
    return images, broken


@pytest.fixture
def files(place: Place, pictures: Pictures) -> ImageFiles:
    part = load_source(place(pictures("cat", "dog", count=10))).part("all")
    assert isinstance(part, ImageFiles)
    return part


def test_memory_and_streams_by_any_number_of_workers_are_alike(files: ImageFiles) -> None:
    def epoch(cache_gib: float, workers: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        images, _ = read(files, cache_gib=cache_gib, workers=workers)
        assert isinstance(images, ImageSet if cache_gib else ImageStream)
        torch.manual_seed(workers)  # a stream must neither use nor move the global state
        before = torch.get_rng_state()
        batches = list(
            iterate_batches(
                images,
                COLOUR,
                7,
                shuffle=(0, 3),
                augment=Augment(warp=Warp(shift=2.0, rotate=10.0)),
            )
        )
        assert torch.equal(torch.get_rng_state(), before)
        return batches

    in_memory = epoch(1.0, 0)
    assert [len(labels) for _, labels in in_memory] == [7, 7, 6]
    for workers in (0, 2):
        for one, other in zip(in_memory, epoch(0.0, workers), strict=True):
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])


def test_statistics_of_a_stream_are_those_of_its_images(files: ImageFiles) -> None:
    assert read(files, cache_gib=0.0)[0].channel_statistics() == read(files)[0].channel_statistics()


def spoil(files: ImageFiles, count: int) -> ImageFiles:
    """The first images cannot be read any more."""
    return replace(files, reader=Spoiled(files.reader, files.names[:count]))


class Spoiled:
    def __init__(self, reader: object, names: tuple[str, ...]):
        self.reader = reader
        self.names = names

    def read(self, name: str) -> bytes:
        if name == self.names[0]:
            raise FileNotFoundError(2, "No such file or directory")
        content = self.reader.read(name)
        return content[:60] if name in self.names else content


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("cache_gib", [0.0, 1.0])
def test_broken_images_are_named_counted_and_left_out(
    files: ImageFiles, workers: int, cache_gib: float
) -> None:
    images, broken = read(spoil(files, 3), cache_gib=cache_gib, workers=workers)
    batches = list(iterate_batches(images, COLOUR, 2))
    assert sum(len(labels) for _, labels in batches) == 17
    left = torch.cat([labels for _, labels in batches])
    assert torch.equal(left, files.labels[3:])
    assert list(broken.reasons) == list(files.names[:3])
    assert str(broken).startswith(
        f"3 of 20 images cannot be read and are left out: {files.names[0]} (No such file"
    )


def test_too_many_broken_images(files: ImageFiles) -> None:
    with pytest.raises(AllmlpError, match=r"cannot read 3 images, 2 of 20 may be broken: "):
        read(spoil(files, 3), share=0.1)
    with pytest.raises(AllmlpError, match=r"cannot read 1 images, none may be: .*; repair or"):
        read(spoil(files, 3), share=0.0)
    stream, _ = read(spoil(files, 3), share=0.1, cache_gib=0.0)
    with pytest.raises(AllmlpError, match=r"cannot read 3 images"):
        list(iterate_batches(stream, COLOUR, 2))


def test_the_limit() -> None:
    assert BrokenImages(50, 0.01).limit == 1  # one always, unless none is wanted
    assert BrokenImages(1000, 0.01).limit == 10
    assert BrokenImages(1000, 0.0).limit == 0


def test_files_travel_to_other_processes_on_every_platform(files: ImageFiles) -> None:
    there = pickle.loads(pickle.dumps(files))
    assert there.reader.read(there.names[3]) == files.reader.read(files.names[3])
    assert torch.equal(there.labels, files.labels)


def test_nothing_intact(files: ImageFiles) -> None:
    with pytest.raises(AllmlpError, match="no intact image among 20"):
        read(spoil(files, 20), share=1.0)


def test_one_image_broken_twice_counts_once(files: ImageFiles) -> None:
    stream, broken = read(spoil(files, 1), cache_gib=0.0)
    for _ in range(2):
        list(iterate_batches(stream, COLOUR, 5))
    assert len(broken.reasons) == 1


def test_sets_are_resized(tmp_path: Path) -> None:
    digits = load_source("digits").test
    small = replace(COLOUR, in_chans=1, mean=(0.0,), std=(1.0,))
    assert prepare(digits, small, broken=BrokenImages(1, 0.0), cache_gib=0.0) is digits


def test_mnist_and_cifar_as_they_are(shared: Path) -> None:
    mnist = load_source(str(shared / "mnist-png" / "mnist_png.zip"))
    assert [len(mnist.part(p)) for p in ("train", "val", "test")] == [54000, 6000, 10000]
    assert mnist.train.in_chans == 1
    cifar = load_source(str(shared / "cifar10-jpg" / "cifar10_jpg.zip"))
    assert [len(cifar.part(p)) for p in ("train", "val", "test")] == [45000, 5000, 10000]
    assert "airplane" in cifar.train.classes
    assert (torch.bincount(cifar.val.labels) - 500).abs().max() <= 1
