"""Parquet, and the hub without a network: its loader is given a local folder."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from allmlp.data import (
    ImageFiles,
    Preprocess,
    iterate_batches,
    load_images,
    load_source,
    prepare,
)
from allmlp.data.stream import BrokenImages
from allmlp.errors import AllmlpError

Pictures = Callable[..., dict[str, bytes]]
Write = Callable[..., Path]


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package, its cache in the test's folder, its bars off."""
    package = pytest.importorskip("datasets", reason="an extra: pip install 'allmlp[hf]'")
    monkeypatch.setattr(package.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    package.disable_progress_bars()
    return package


@pytest.fixture
def images(pictures: Pictures) -> list[bytes]:
    return list(pictures("x", count=20).values())


@pytest.fixture
def write(datasets: Any, images: list[bytes]) -> Write:
    """Writes a parquet of images and other columns."""

    def written(path: Path, *, embed: bool = True, **columns: list[Any]) -> Path:
        count = len(next(iter(columns.values())))
        cells: list[Any] = images[:count]
        if embed:
            cells = [{"bytes": data, "path": None} for data in cells]
        table = datasets.Dataset.from_dict({"image": cells, **columns})
        if embed:
            table = table.cast_column("image", datasets.Image(decode=False))
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(path)
        return path

    return written


def names_of(datasets: Any, path: Path, *names: str) -> None:
    table = datasets.Dataset.from_parquet(str(path), cache_dir=str(path.parent / "c"))
    table.cast_column("label", datasets.ClassLabel(names=list(names))).to_parquet(path)


def test_rows_are_images_with_classes(
    datasets: Any, write: Write, images: list[bytes], tmp_path: Path
) -> None:
    path = write(tmp_path / "x.parquet", label=[10, 9] * 10, other=["a"] * 20)
    whole = load_source(str(path)).part("all")
    assert isinstance(whole, ImageFiles)
    assert whole.classes == ("9", "10")
    found = {name: whole.reader.read(name) for name in whole.names}
    assert found == {f"train/{row}": data for row, data in enumerate(images)}
    labels = dict(zip(whole.names, whole.labels.tolist(), strict=True))
    assert labels == {f"train/{row}": 1 - row % 2 for row in range(20)}


def test_parts_and_names_of_classes(datasets: Any, write: Write, tmp_path: Path) -> None:
    for name, count in (("train-00000-of-00002", 8), ("train-00001-of-00002", 6), ("test-0", 4)):
        path = write(tmp_path / "data" / f"{name}.parquet", label=[0, 1] * (count // 2))
        names_of(datasets, path, "cat", "dog", "owl")
    splits = load_source(str(tmp_path))
    assert splits.train.classes == ("cat", "dog", "owl")
    assert len(splits.train) + len(splits.val) == 14
    assert len(splits.test) == 4
    assert splits.notes == ("no val given: 10 % of train, stratified, seed 0, became val",)


def test_bare_bytes_and_text(datasets: Any, write: Write, tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", embed=False, kind=["b", "a"] * 5)
    files = load_source(str(path), "kind").part("all")
    assert files.classes == ("a", "b")
    assert isinstance(files, ImageFiles)
    assert files.reader.read("train/0")[:4] == b"\x89PNG"


def test_columns_that_are_not_there_or_not_clear(
    datasets: Any, write: Write, tmp_path: Path
) -> None:
    two = str(write(tmp_path / "two.parquet", label=[0, 1] * 5, cls=["a", "b"] * 5))
    with pytest.raises(AllmlpError, match=r"has 2 columns .* \(label, cls\); choose one with --ta"):
        load_source(two)
    assert load_source(two, "cls").train.classes == ("a", "b")
    with pytest.raises(
        AllmlpError, match=r"unknown column .* 'kind'; choose one of: cls, image, label"
    ):
        load_source(two, "kind")
    none = str(write(tmp_path / "none.parquet", x=[0, 1] * 5))
    with pytest.raises(AllmlpError, match=r"has no columns .* \(image, x\); choose one with"):
        load_source(none)
    datasets.Dataset.from_dict({"label": [0, 1]}).to_parquet(tmp_path / "bare.parquet")
    with pytest.raises(AllmlpError, match="must have one column of images, it has none among lab"):
        load_source(str(tmp_path / "bare.parquet"))


def test_images_of_whatever_classes(
    datasets: Any, write: Write, images: list[bytes], tmp_path: Path
) -> None:
    two = write(tmp_path / "two.parquet", label=[0, 1] * 5, cls=["a", "b"] * 5)
    none = write(tmp_path / "deep" / "none.parquet", x=[0, 1] * 5)
    for source in (two, none, none.parent):
        found = load_images(str(source))
        assert isinstance(found, ImageFiles)
        assert found.names[9] == "train/9"
        assert found.reader.read("train/9") == images[9]
    datasets.Dataset.from_dict({"label": [0, 1]}).to_parquet(tmp_path / "bare.parquet")
    with pytest.raises(AllmlpError, match="must have one column of images"):
        load_images(str(tmp_path / "bare.parquet"))


def test_classes_that_are_none(datasets: Any, write: Write, tmp_path: Path) -> None:
    path = str(write(tmp_path / "x.parquet", label=[0, 1, None, 0, 1, 1]))
    with pytest.raises(AllmlpError, match="must be a class in every row, it is None in train/2"):
        load_source(path)
    path = str(write(tmp_path / "y.parquet", label=[0.5, 1.0] * 5))
    with pytest.raises(AllmlpError, match=r"must be a class in every row, it is 0.5 in train/0"):
        load_source(path)


def test_a_part_without_labels_is_left_out(datasets: Any, write: Write, tmp_path: Path) -> None:
    for name, label in (("train", [0, 1] * 6), ("test", [-1] * 4)):
        names_of(datasets, write(tmp_path / f"{name}.parquet", label=label), "cat", "dog")
    notes = load_source(str(tmp_path)).notes
    assert notes[0] == "test has no labels and is left out"


def test_rows_that_name_files_elsewhere(datasets: Any, images: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "in.png").write_bytes(images[0])
    (tmp_path / "secret.png").write_bytes(images[1])
    paths = ["in.png", "../secret.png", str(tmp_path / "secret.png"), None, "gone.png"] * 2
    cells = [None if path is None else {"bytes": None, "path": path} for path in paths]
    arrow, parquet = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
    kind = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    table = {"image": arrow.array(cells, kind), "label": arrow.array([0, 1] * 5)}
    parquet.write_table(arrow.table(table), tmp_path / "set" / "x.parquet")
    files = load_source(str(tmp_path / "set" / "x.parquet")).part("all")
    assert isinstance(files, ImageFiles)
    assert files.reader.read("train/0") == images[0]
    for row in (1, 2):
        with pytest.raises(AllmlpError, match="the row names a file outside"):
            files.reader.read(f"train/{row}")
    with pytest.raises(AllmlpError, match="the row has no image"):
        files.reader.read("train/3")
    with pytest.raises(FileNotFoundError):
        files.reader.read("train/4")


def test_damage(datasets: Any, write: Write, tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", label=[0, 1] * 5)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AllmlpError, match=r"x.parquet is no intact parquet \(.*\); make it anew"):
        load_source(str(path))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_for_any_number_of_workers(
    datasets: Any, write: Write, tmp_path: Path, workers: int
) -> None:
    path = write(tmp_path / "x.parquet", label=[0, 1] * 10)
    train = load_source(str(path)).train
    pre = Preprocess(img_size=(8, 8), in_chans=3, mean=(0.0,) * 3, std=(1.0,) * 3)

    def batches(cache_gib: float, workers: int) -> list[torch.Tensor]:
        ready = prepare(
            train, pre, broken=BrokenImages(20, 0.0), cache_gib=cache_gib, workers=workers
        )
        return [x for x, _ in iterate_batches(ready, pre, 4, shuffle=(0, 3))]

    for ours, theirs in zip(batches(0.0, workers), batches(1.0, 0), strict=True):
        assert torch.equal(ours, theirs)


@pytest.fixture
def hub(datasets: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """A hub with the data set org/set, which lies in `tmp_path / "set"`; notes what it is asked."""
    asked: list[Any] = []
    load, api = datasets.load_dataset, importlib.import_module("huggingface_hub").HfApi

    def loaded(name: str, config: str | None, *, revision: str | None) -> Any:
        asked.append((name, config, revision))
        return load(str(tmp_path / "set"))

    monkeypatch.setattr(datasets, "load_dataset", loaded)
    monkeypatch.setattr(api, "dataset_info", lambda self, name, **_: asked.append(name))
    return asked


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("hf:org/set", ("org/set", None, None)),
        ("hf:set", ("set", None, None)),
        ("hf:org/set:small", ("org/set", "small", None)),
        ("hf:org/set:small@refs/pr/1", ("org/set", "small", "refs/pr/1")),
    ],
)
def test_a_data_set_of_the_hub(
    hub: list[Any], write: Write, tmp_path: Path, source: str, asked: tuple[Any, ...]
) -> None:
    write(tmp_path / "set" / "data" / "train-00000-of-00001.parquet", label=["a", "b"] * 5)
    splits = load_source(source)
    assert hub == [asked[0], asked]
    assert splits.train.classes == ("a", "b")


def test_tars_of_the_hub(hub: list[Any], images: list[bytes], tar: Write, tmp_path: Path) -> None:
    files = {f"{i:03d}.png": data for i, data in enumerate(images)}
    files |= {f"{i:03d}.cls": str(i % 2).encode() for i in range(len(images))}
    (tmp_path / "set").mkdir()
    tar(tmp_path / "set" / "train-0.tar", dict(sorted(files.items())))
    splits = load_source("hf:org/set")
    assert splits.train.classes == ("0", "1")
    assert isinstance(splits.train, ImageFiles)
    assert splits.train.reader.read(splits.train.names[0]) in images


def test_names_that_cannot_be(datasets: Any) -> None:
    for source in ("hf:", "hf:a/b/c", "hf:../x"):
        with pytest.raises(AllmlpError, match=r"is no name of a data set|has no data set"):
            load_source(source)


def test_without_a_connection(datasets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(self: Any, name: str, **_: Any) -> None:
        raise ConnectionError("Name or service not known\nand more")

    hub = importlib.import_module("huggingface_hub")
    monkeypatch.setattr(hub.HfApi, "dataset_info", unreachable)
    message = r"cannot reach hf:org/set \(Name or service not known\); check the connection, set HF"
    with pytest.raises(AllmlpError, match=message):
        load_source("hf:org/set")
    monkeypatch.setenv("ALLMLP_OFFLINE", "1")
    with pytest.raises(AllmlpError, match="ALLMLP_OFFLINE forbids to fetch it"):
        load_source("hf:org/set")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    (tmp_path / "x.parquet").write_bytes(b"")
    for source in ("hf:org/set", str(tmp_path / "x.parquet")):
        with pytest.raises(
            AllmlpError, match=r"needs the package datasets; install it by pip inst"
        ):
            load_source(source)
