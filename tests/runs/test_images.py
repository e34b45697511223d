"""Runs on image files: training, scoring and predicting, whatever is wrong with some of them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from allmlp.data import load_source
from allmlp.errors import AllmlpError
from allmlp.runs.evaluate import evaluate_run
from allmlp.runs.run import Run, load_run
from allmlp.runs.train import train

Place = Callable[[Mapping[str, bytes]], str]
Encode = Callable[..., bytes]


def colours(encode: Encode, *classes: str, count: int = 12) -> dict[str, bytes]:
    """Red, green and blue squares with noise, 24 pixels high and 30 wide."""
    noise = np.random.default_rng(0)
    files = {}
    for name in classes:
        for i in range(count):
            pixels = noise.integers(0, 100, (24, 30, 3), dtype=np.uint8)
            pixels[:, :, "rgb".index(name[0])] += 150
            files[f"{name}/{i}.jpg"] = encode(pixels, "JPEG")
    return files


def settings(**data: Any) -> dict[str, Any]:
    return {
        "model": {
            "name": "mixer_digits",
            "overrides": {"depth": 1, "width": 16, "channel_hidden": 32, "token_hidden": 8},
        },
        "train": {"epochs": 6, "batch_size": 6, "warmup": 1, "log_every": 1, "lr": 1e-2},
        "run": {"precision": "fp32", "device": "cpu"},
        "data": data,
    }


def losses(run: Run) -> list[float]:
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    return [record["train/loss"] for record in map(json.loads, lines) if "train/loss" in record]


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory, encode: Encode) -> Run:
    """A run that tells red from green from blue; tests only read it."""
    root = tmp_path_factory.mktemp("coloured")
    for name, content in colours(encode, "red", "green", "blue").items():
        (root / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "photos" / name).write_bytes(content)
    data = settings(source=str(root / "photos"))
    return train(data, run=str(root / "run"), progress=False)


def test_photographs_are_learned_scored_and_predicted(coloured: Run) -> None:
    scores = coloured.scores()
    assert (scores["count"], scores["skipped"]) == (7, 0)
    assert scores["accuracy"] == 1
    assert coloured.preprocess.in_chans == 3
    samples = sorted((coloured.path / "eval" / "samples").iterdir())
    assert [path.name for path in samples] == ["0.jpg", "1.jpg", "2.jpg"]  # the files themselves
    loaded = load_run(coloured.path, device="cpu")
    assert loaded.predict(samples).labels == ["blue", "green", "red"]


def test_streams_train_the_same_model(coloured: Run, tmp_path: Path) -> None:
    source = coloured.config.data.source
    for workers in (0, 2):
        streamed = train(
            settings(source=source, cache_gib=0.0, workers=workers),
            run=str(tmp_path / str(workers)),
            progress=False,
        )
        assert losses(streamed) == losses(coloured)
        torch.testing.assert_close(streamed.model.state_dict(), coloured.model.state_dict())
        assert streamed.scores() == coloured.scores()


def test_classes_are_matched_by_name(coloured: Run, place: Place, encode: Encode) -> None:
    # fewer of them, so that their numbers differ
    source = place(colours(encode, "red", "green", count=4))
    before = sorted(coloured.path.rglob("*"))
    predictions, labels = coloured.predict_set(load_source(source).part("all"))
    assert [coloured.classes[i] for i in labels.tolist()].count("red") == 4
    assert predictions.labels == [coloured.classes[i] for i in labels.tolist()]
    assert sorted(coloured.path.rglob("*")) == before
    foreign = place(colours(encode, "gold", count=6))
    with pytest.raises(AllmlpError, match=r"knows 3 classes \(blue, green, red\).*others: gold"):
        coloured.predict_set(load_source(foreign).part("all"))


def test_scores_of_other_data_have_a_folder_of_their_own(
    coloured: Run, place: Place, encode: Encode
) -> None:
    source = place(colours(encode, "red", "blue", count=5))
    scores = evaluate_run(coloured, source, "all")
    assert (scores["count"], scores["accuracy"]) == (10, 1)
    # a folder and a zip may be of one name
    found = coloured.path.glob("eval/photos-all*/scores.json")
    (folder,) = [path.parent for path in found if json.loads(path.read_text()) == scores]
    with np.load(folder / "predictions.npz") as kept:
        assert kept["probabilities"].shape == (10, 3)


def test_grey_images_reach_a_model_of_colours(coloured: Run, encode: Encode) -> None:
    grey = np.full((9, 9), 80, np.uint8)
    path = coloured.path.parent / "grey.png"
    path.write_bytes(encode(grey))
    assert coloured.predict(path).probabilities.shape == (1, 3)


@pytest.mark.parametrize("cache_gib", [0.0, 1.0])
def test_broken_images_are_skipped_and_told(
    tmp_path: Path,
    place: Place,
    encode: Encode,
    capsys: pytest.CaptureFixture[str],
    cache_gib: float,
) -> None:
    files = colours(encode, "red", "blue")
    files["red/11.jpg"] = b"no image"
    source = place(files)
    run = train(settings(source=source, cache_gib=cache_gib), run=str(tmp_path / "run"))
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("no parts given: split 70 % train")
    assert told[-1].endswith("left out: red/11.jpg (no image format that is read here)")
    assert "1 of 19 images" in told[-1]
    scores = evaluate_run(run, part="all")
    assert (scores["count"], scores["skipped"]) == (23, 1)


def test_a_broken_test_image_is_no_sample(tmp_path: Path, encode: Encode) -> None:
    parts = {"train": 6, "val": 3, "test": 4}
    rows = ["path,label,split"]
    for part, count in parts.items():
        for name, content in colours(encode, "red", "blue", count=count).items():
            path = tmp_path / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            rows.append(f"{part}/{name},{name.split('/')[0]},{part}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    (tmp_path / "test" / "red" / "0.jpg").unlink()
    (tmp_path / "test" / "blue" / "0.jpg").write_bytes(b"no image")
    data = settings(source=str(tmp_path / "list.csv"), max_broken=0.5)
    run = train(data, run=str(tmp_path / "run"), progress=False, epochs=2)
    samples = sorted((run.path / "eval" / "samples").iterdir())
    assert [path.name for path in samples] == ["0.jpg", "1.jpg"]
    assert samples[0].read_bytes() == (tmp_path / "test" / "blue" / "1.jpg").read_bytes()


def test_too_many_broken_images_leave_no_run(tmp_path: Path, place: Place, encode: Encode) -> None:
    files = colours(encode, "red", "blue")
    source = place(files | dict.fromkeys(list(files)[:8], b"no image"))
    for data in ({}, {"max_broken": 0.0}, {"cache_gib": 0.0}):
        with pytest.raises(AllmlpError, match=r"cannot read \d images, (1 of|none)"):
            train(settings(source=source, **data), run=str(tmp_path / "run"), progress=False)
        assert not (tmp_path / "run").exists()


def test_one_class_only(tmp_path: Path, place: Place, encode: Encode) -> None:
    source = place(colours(encode, "red"))
    with pytest.raises(AllmlpError, match=r"has one class only \(red\); a classifier needs at"):
        train(settings(source=source), run=str(tmp_path / "run"), progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("workers", -1, "data needs an integer workers of at least 0"),
        ("max_broken", 1.0, r"data needs max_broken in \[0, 1\)"),
        ("cache_gib", -1.0, "data.cache_gib must not be negative"),
        ("source", "no/where", "no data at no/where"),
    ],
)
def test_wrong_settings(tmp_path: Path, name: str, value: object, message: str) -> None:
    with pytest.raises(AllmlpError, match=message):
        train(settings(**{name: value}), run=str(tmp_path / "run"), progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_named_after_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Place, encode: Encode
) -> None:
    monkeypatch.chdir(tmp_path)
    source = place(colours(encode, "red", "blue", count=4))
    run = train(settings(source=source), progress=False)
    assert run.path == Path("runs/photos-mixer_digits-1")


def test_weights_for_colours_learn_from_grey_sets(coloured: Run, tmp_path: Path) -> None:
    config = settings(source="digits", samples=50)
    config["model"] |= {"pretrained": str(coloured.path), "overrides": {}}
    config["train"] |= {"epochs": 1, "warmup": 0.0}
    run = train(config, run=str(tmp_path / "run"), progress=False)
    assert run.preprocess.in_chans == 3
    assert evaluate_run(run, "digits", "val")["count"] == 180


def test_a_broken_test_part_costs_no_training(encode: Encode, tmp_path: Path) -> None:
    files = {
        f"{part}/{name}": content
        for part in ("train", "test")
        for name, content in colours(encode, "red", "blue", count=4).items()
    }
    root = tmp_path / "photos"
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"no image" if name.startswith("test/red") else content)
    config = settings(source=str(root))
    config["train"] |= {"epochs": 1, "warmup": 0.0}
    with pytest.raises(AllmlpError, match=r"stays in .*run, but its test part .* run allmlp eval"):
        train(config, run=str(tmp_path / "run"), progress=False)
    for name, content in files.items():
        (root / name).write_bytes(content)
    assert evaluate_run(load_run(tmp_path / "run", device="cpu"))["count"] == 8


@pytest.mark.slow
def test_real_photographs_at_224_pixels(tmp_path: Path, shared: Path) -> None:
    source = str(shared / "photos" / "photos.zip")
    config = {"model": {"name": "mixer_s32"}, "train": {"epochs": 1, "warmup": 0.0, "lr": 1e-4}}
    run = train({**config, "data": {"source": source}}, run=str(tmp_path / "run"), progress=False)
    assert run.preprocess.img_size == (224, 224)
    assert evaluate_run(run, source, "all")["count"] == 50
    sample = next((run.path / "eval" / "samples").iterdir())
    assert sample.suffix == ".JPEG"
    assert len(run.predict(sample).top(5)[0]) == 5
