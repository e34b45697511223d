import os
from collections.abc import Callable
from pathlib import Path

import pytest

from allmlp.data import BrokenImages, ImageFiles, Preprocess, load_source, prepare
from allmlp.data.entries import MAX_FILE_BYTES
from allmlp.errors import AllmlpError

Pictures = Callable[..., dict[str, bytes]]


def write(folder: Path, text: str) -> str:
    (folder / "list.csv").write_text(text, encoding="utf-8")
    return str(folder / "list.csv")


def test_paths_are_relative_to_the_csv(tmp_path: Path, pictures: Pictures) -> None:
    (tmp_path / "img").mkdir()
    rows = []
    for number, content in enumerate(pictures("x", count=12).values()):
        (tmp_path / "img" / f"{number}.png").write_bytes(content)
        part = ("train", "val", "test")[number % 3]
        rows.append(f"img/{number}.png, {'cat' if number < 6 else 'a dog'}, {part}")
    # a byte order mark, as Excel writes it
    splits = load_source(write(tmp_path, "\ufeff" + "\n".join(["path,label,split", *rows])))
    assert splits.train.classes == ("a dog", "cat")
    assert isinstance(splits.val, ImageFiles)
    assert splits.val.names == tuple(f"img/{n}.png" for n in (1, 4, 7, 10))
    assert splits.val.labels.tolist() == [1, 1, 0, 0]
    assert splits.val.reader.read("img/1.png")
    assert splits.notes == ()


def test_without_parts_it_is_split(tmp_path: Path) -> None:
    rows = "\n".join(f"{n},{n}.png,{'ab'[n % 2]}" for n in range(10))
    splits = load_source(write(tmp_path, f"id,path,label\n{rows}\n"))
    assert len(splits.part("all")) == 10


def test_a_label_without_image_is_a_broken_image(tmp_path: Path, pictures: Pictures) -> None:
    for name, content in pictures("x", count=9).items():
        (tmp_path / Path(name).name).write_bytes(content)
    rows = "\n".join(f"{n}.png,{'ab'[n % 2]}" for n in range(10))
    images = load_source(write(tmp_path, f"path,label\n{rows}\n")).part("all")
    colour = Preprocess(img_size=(4, 4), in_chans=3, mean=(0.0,) * 3, std=(1.0,) * 3)
    broken = BrokenImages(10, 0.1)
    assert len(prepare(images, colour, broken=broken, cache_gib=1.0)) == 9
    assert broken.reasons == {"9.png": "No such file or directory"}


def test_what_is_no_regular_file_is_a_broken_image(tmp_path: Path, pictures: Pictures) -> None:
    for name, content in pictures("x", count=6).items():
        (tmp_path / Path(name).name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe.png")  # opening it would wait for a writer
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # of zeros that take no room
    odd = ["/dev/zero", "pipe.png", ".", "zero\0byte.png", "huge.png"]
    rows = "\n".join(f"{name},{'ab'[n % 2]}" for n, name in enumerate([*odd, *range(6)]))
    images = load_source(write(tmp_path, f"path,label\n{rows}\n")).part("all")
    assert isinstance(images, ImageFiles)
    messages = {}
    for name in odd:
        with pytest.raises(AllmlpError) as e:
            images.reader.read(name)
        messages[name] = str(e.value)
    assert messages == {
        "/dev/zero": "no regular file",
        "pipe.png": "no regular file",
        ".": "no regular file",
        "zero\0byte.png": "no path (embedded null byte)",
        "huge.png": "268,435,457 bytes, more than 268,435,456",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,class\na.png,x\n", "must have the columns path and label.*it has file, class"),
        ("", "it has nothing"),
        ("path,label\n", "names no images"),
        ("path,label\na.png,\n", r"list.csv, line 2: path and label must not be empty"),
        ("path,label\na.png\n", r"line 2: path and label must not be empty"),
        ("path,label\n" + "x" * 9000 + ",\n", r"must not be empty, got 'x{1,60}\.\.\.x{1,60}', ''"),
        ("path,label,split\na.png,x,tests\n", "line 2: unknown split 'tests'; did you mean test"),
        ("path,label\na.png,x\na.png,y\n", "names a.png twice"),
        ("path,label,split\na.png,x,train\nb.png,y,test\n", "test has classes that train has not"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AllmlpError, match=message):
        load_source(write(tmp_path, text))


def test_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"path,label\n\xff\xfe\x00,x\n")
    with pytest.raises(AllmlpError, match="is no CSV in UTF-8"):
        load_source(str(tmp_path / "list.csv"))
