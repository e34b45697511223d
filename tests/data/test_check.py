import io
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from PIL import Image

from allmlp.data import load_source
from allmlp.data.check import check_splits, sample_sheet

Place = Callable[[Mapping[str, bytes]], str]
Pictures = Callable[..., dict[str, bytes]]


def test_a_clean_set(place: Place, pictures: Pictures) -> None:
    report = check_splits(load_source(place(pictures("cat", "dog", count=10))))
    assert {part: sum(counts) for part, counts in report.counts.items()} == {
        "train": 14,
        "val": 2,
        "test": 4,
    }
    assert report.sizes == {(12, 10): 20}
    assert report.middle_size == (12, 10)
    assert report.modes == {"RGB": 20}
    assert (report.broken, report.copies) == ({}, [])
    assert report.imbalance == 1


def test_everything_that_may_be_wrong(
    place: Place, pictures: Pictures, encode: Callable[..., bytes]
) -> None:
    files = pictures("train/cat", "train/dog", "val/cat", "test/cat", count=3)
    files["train/cat/0.png"] = files["train/cat/0.png"][:100]
    files["test/cat/0.png"] = files["train/cat/1.png"]  # a leak
    files["train/dog/0.png"] = files["train/dog/1.png"]  # a harmless copy
    files["train/dog/2.png"] = files["train/cat/2.png"]  # a conflict
    grey = Image.fromarray(np.zeros((4, 40), np.uint8))
    files["train/cat/grey.png"] = encode(grey)
    files["val/cat/grey.bmp"] = encode(grey, "BMP")  # equal pixels in another format: a leak
    report = check_splits(load_source(place(files)))
    assert list(report.broken) == ["train/cat/0.png"]
    assert "truncated" in report.broken["train/cat/0.png"]
    names = {frozenset(name for name, _, _ in group) for group in report.copies}
    assert len(names) == 4
    assert {frozenset(name for name, _, _ in group) for group in report.leaks} == {
        frozenset({"train/cat/1.png", "test/cat/0.png"}),
        frozenset({"train/cat/grey.png", "val/cat/grey.bmp"}),
    }
    assert [{label for _, _, label in group} for group in report.conflicts] == [{"cat", "dog"}]
    assert report.sizes == {(12, 10): 11, (40, 4): 2}
    assert report.modes == {"RGB": 11, "L": 2}
    assert report.imbalance == pytest.approx(11 / 3)


def test_equal_indices_into_other_palettes_are_other_images(
    place: Place, pictures: Pictures, encode: Callable[..., bytes]
) -> None:
    files = pictures("cat", "dog")
    for name, colour in (("cat/p.png", [255, 0, 0]), ("dog/p.png", [0, 0, 255])):
        image = Image.new("P", (6, 6))
        image.putpalette(colour)
        files[name] = encode(image)
    report = check_splits(load_source(place(files)))
    assert report.modes["P"] == 2
    assert report.copies == []


def test_images_in_memory_are_called_by_their_place() -> None:
    splits = load_source("digits")
    report = check_splits(splits)
    assert report.modes == {"L": 1797}
    assert report.copies == []
    twice = check_splits(type(splits)(splits.train, splits.train, splits.test))
    assert len(twice.leaks) == 1257
    assert twice.leaks[0][0][0] == "train[0]"
    assert twice.leaks[0][1][0] == "val[0]"


def test_the_sheet(place: Place, pictures: Pictures) -> None:
    files = pictures("train/cat", "train/dog", "val/cat", "test/cat", count=3)
    files["train/dog/1.png"] = b"broken"
    sheet = sample_sheet(load_source(place(files)), columns=4, side=20)
    assert sheet.size == (80, 64)
    pixels = np.asarray(sheet)
    assert (pixels[12:32, 60:] == 255).all()  # three images of four
    assert not (pixels[12:32, 20:40] == 255).all()
    assert (pixels[44:64, 20:40] == 255).all()  # a gap for the broken one


def test_what_training_refuses_is_broken(place: Place, pictures: Pictures) -> None:
    files = pictures("cat", "dog", count=10)
    content = io.BytesIO()
    Image.fromarray(np.zeros((6, 6), np.float32)).save(content, "TIFF")
    splits = load_source(place(files | {"cat/0.tiff": content.getvalue()}))
    report = check_splits(splits)
    assert "pixels of type float have no known range" in report.broken["cat/0.tiff"]
    assert sample_sheet(splits).size[0] == 640  # which leaves a gap for it
