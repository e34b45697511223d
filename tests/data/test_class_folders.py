import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from allmlp.data import ImageFiles, Splits, load_source
from allmlp.errors import AllmlpError

Place = Callable[[Mapping[str, bytes]], str]
Pictures = Callable[..., dict[str, bytes]]


def names(part: object) -> list[str]:
    assert isinstance(part, ImageFiles)
    return list(part.names)


def everything(splits: Splits) -> list[str]:
    return sorted(names(splits.part("all")))


def test_the_class_is_the_folder(place: Place, pictures: Pictures) -> None:
    files = pictures("cat", "dog", "big owl", count=10)
    splits = load_source(place(files))
    assert splits.train.classes == splits.test.classes == ("big owl", "cat", "dog")
    assert everything(splits) == sorted(files)
    assert [len(splits.part(p)) for p in ("train", "val", "test")] == [21, 3, 6]
    for part in (splits.train, splits.val, splits.test):
        for name, label in zip(names(part), part.labels.tolist(), strict=True):
            assert name.split("/")[0] == part.classes[label]
    assert splits.notes == (
        "no parts given: split 70 % train, 10 % val, 20 % test, stratified, seed 0",
    )


def test_a_folder_and_a_zip_of_it_are_cut_alike(
    tmp_path: Path, pictures: Pictures, request: pytest.FixtureRequest
) -> None:
    files = pictures("a", "b", count=20)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in reversed(files):  # the order of entries must not matter
            archive.writestr(name, files[name])
            (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "x" / name).write_bytes(files[name])
    one, other = (load_source(str(tmp_path / name)) for name in ("x", "x.zip"))
    for part in ("train", "val", "test"):
        assert names(one.part(part)) == names(other.part(part))


@pytest.mark.parametrize("outer", ["", "photos/", "a/b/"])
def test_parts_are_respected_below_any_outer_folder(
    place: Place, pictures: Pictures, outer: str
) -> None:
    files = pictures(*(f"{outer}{part}/{c}" for part in ("train", "Valid", "test") for c in "xy"))
    splits = load_source(place(files))
    assert all("/Valid/" in f"/{name}" for name in names(splits.val))
    assert [len(splits.part(p)) for p in ("train", "val", "test")] == [8, 8, 8]
    assert splits.notes == ()


def test_what_is_missing_is_cut_from_train(place: Place, pictures: Pictures) -> None:
    files = pictures("train/x", "train/y", count=10) | pictures("test/x", "test/y")
    splits = load_source(place(files))
    assert [len(splits.part(p)) for p in ("train", "val", "test")] == [18, 2, 8]
    assert all(name.startswith("train/") for name in names(splits.val))
    assert splits.notes == ("no val given: 10 % of train, stratified, seed 0, became val",)


def test_a_given_val_is_what_is_reported(place: Place, pictures: Pictures) -> None:
    files = pictures("train/x", "train/y", count=10) | pictures("val/x", "val/y")
    splits = load_source(place(files))
    assert all(name.startswith("val/") for name in names(splits.test))
    assert [len(splits.part(p)) for p in ("train", "val", "test")] == [18, 2, 8]
    assert "the given val became test" in splits.notes[0]


def test_a_class_may_be_called_train(place: Place, pictures: Pictures) -> None:
    assert load_source(place(pictures("train", "car"))).train.classes == ("car", "train")


def test_folders_below_a_class_belong_to_it(place: Place, pictures: Pictures) -> None:
    files = pictures("cat/2024", "cat/2025", "dog/2024")
    assert load_source(place(files)).train.classes == ("cat", "dog")


def test_hidden_and_foreign_files_are_left_out(place: Place, pictures: Pictures) -> None:
    files = pictures("cat", "dog")
    extra = {
        "cat/notes.txt": b"",
        "labels.csv": b"",
        "__MACOSX/cat/0.png": b"",
        ".git/x/y.png": b"",
    }
    splits = load_source(place(files | extra))
    assert everything(splits) == sorted(files)
    assert "2 files that are no images by their name are left out" in splits.notes


def test_an_empty_class_is_named(tmp_path: Path, pictures: Pictures, place: Place) -> None:
    source = Path(place(pictures("cat", "dog")))
    if source.is_dir():
        (source / "owl").mkdir()
    else:
        with zipfile.ZipFile(source, "a") as archive:
            archive.mkdir("owl")
    splits = load_source(str(source))
    assert "class folders without images are left out: owl" in splits.notes
    assert splits.train.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ((), "holds no images in class folders; put them as CLASS/IMAGE"),
        (("cat", "."), "0.png lies in no class folder"),
        (("train/cat", "stray"), "has part folders, but stray/0.png is outside them"),
        (("train/cat", "test/dog"), "test has classes that train has not: dog"),
        (("val/cat", "test/cat"), "has val and test but no train part"),
    ],
)
def test_what_cannot_be_arranged(
    place: Place, pictures: Pictures, folders: tuple[str, ...], message: str
) -> None:
    files = {name.removeprefix("./"): data for name, data in pictures(*folders).items()}
    with pytest.raises(AllmlpError, match=message):
        load_source(place(files or {"readme.txt": b""}))


def test_too_few_images_for_three_parts(place: Place, pictures: Pictures) -> None:
    with pytest.raises(AllmlpError, match="has 2 images to make 3 parts of; at least 6"):
        load_source(place(pictures("cat", "dog", count=1)))


@pytest.mark.parametrize(("channels", "expected"), [(1, 1), (3, 3)])
def test_channels_are_found_in_the_images(
    place: Place, pictures: Pictures, channels: int, expected: int
) -> None:
    files = pictures("cat", "dog", channels=channels)
    # what cannot be read says nothing about channels
    assert load_source(place(files | {"cat/x.png": b"?"})).train.in_chans == expected


def test_one_coloured_image_makes_the_set_coloured(place: Place, pictures: Pictures) -> None:
    files = pictures("train/x", "train/y", channels=1) | pictures("train/z", count=3)
    files |= pictures("val/x", "test/x")
    assert load_source(place(files)).train.in_chans == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir(mode=0o000)
    with pytest.raises(AllmlpError, match=r"cannot read the folder .*cat: Permission denied"):
        load_source(str(tmp_path))


def test_links_to_folders_are_folders(tmp_path: Path, pictures: Pictures) -> None:
    for name, content in pictures("train/a", "train/b", "far/a", "far/b").items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(content)
    data = tmp_path / "data"
    (data / "far").rename(tmp_path / "far")
    (data / "test").symlink_to(tmp_path / "far")
    (data / "train" / "a" / "all").symlink_to(data)  # an endless way for whoever follows it
    splits = load_source(str(data))
    assert sorted(names(splits.test)) == sorted(f"test/{c}/{i}.png" for c in "ab" for i in range(4))
    assert len(splits.train) + len(splits.val) == 8


def test_links_that_lead_to_each_other_end(tmp_path: Path, pictures: Pictures) -> None:
    for name, content in pictures("a", "b", count=10).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "a" / "other").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "other").symlink_to(tmp_path / "a")
    found = [name for name in everything(load_source(str(tmp_path))) if "other" in name]
    assert found == sorted(f"{c}/other/{i}.png" for c in "ab" for i in range(10))
    for start, end in (("c", "d"), ("d", "e"), ("e", "f")):
        for folder in (start, end):
            (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / start / "next").symlink_to(tmp_path / end)
    with pytest.raises(AllmlpError, match="c/next/next/next is a link behind two others"):
        load_source(str(tmp_path))
