"""What an evaluation writes, for runs, foreign weights, choices of classes and label sets."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

from allmlp.data import load_source
from allmlp.errors import AllmlpError
from allmlp.runs.evaluate import evaluate_model, evaluate_run
from allmlp.runs.label_sets import read_label_sets
from allmlp.runs.mistakes import read_mistakes
from allmlp.runs.run import Run, load_run
from allmlp.runs.scores import label_set_hits, score_probabilities
from allmlp.runs.speed import measure_speed
from allmlp.runs.train import train
from allmlp.training import NotFiniteError


@pytest.fixture
def copied(finished: Run, tmp_path: Path) -> Run:
    return load_run(shutil.copytree(finished.path, tmp_path / "copy"), device="cpu")


def kept(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "predictions.npz") as file:
        return dict(file)


def test_every_file_says_the_same(finished: Run) -> None:
    folder, scores = finished.path / "eval", finished.scores()
    arrays = kept(folder)
    again = score_probabilities(arrays["probabilities"], arrays["labels"], finished.classes)
    assert {**scores, **json.loads(json.dumps(again.to_json()))} == scores
    with (folder / "confusion.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["truth", *finished.classes]
    counts = np.array([row[1:] for row in rows], int)
    assert counts.trace() / counts.sum() == pytest.approx(scores["accuracy"])
    assert counts.sum(1).tolist() == [c["images"] for c in scores["classes"]]
    speed = json.loads((folder / "speed.json").read_text())
    assert speed["latency_ms"] > 0
    assert speed["batch_size"] == 256
    assert speed["peak_memory"] > 2**20


def test_mistakes_are_the_surest_ones_and_show_their_image(finished: Run) -> None:
    folder = finished.path / "eval"
    mistakes = read_mistakes(folder)
    test, arrays = load_source("digits").test, kept(folder)
    assert 0 < len(mistakes) <= 24
    sure = [m.probability for m in mistakes]
    assert sure == sorted(sure, reverse=True)
    p, labels = arrays["probabilities"], arrays["labels"]
    assert sure[0] == pytest.approx(p.max(1)[p.argmax(1) != labels].max())
    for m in mistakes:
        assert m.truth == test.classes[int(test.labels[m.position])] != m.predicted
        with Image.open(folder / m.file) as picture:
            assert torch.equal(torch.from_numpy(np.array(picture)), test.images[m.position, 0])


def test_only_some_classes_count(copied: Run) -> None:
    scores = evaluate_run(copied, only=["8", "3"])
    assert [c["name"] for c in scores["classes"]] == scores["only"] == ["8", "3"]
    whole = kept(copied.path / "eval")
    inside = np.isin(whole["labels"], [3, 8])
    p = whole["probabilities"][inside][:, [8, 3]].astype(np.float64)
    labels = np.where(whole["labels"][inside] == 8, 0, 1)
    expected = score_probabilities(p / p.sum(1, keepdims=True), labels, ["8", "3"])
    assert scores["count"] == inside.sum()
    assert scores["accuracy"] == expected.accuracy
    assert scores["loss"] == pytest.approx(expected.loss, rel=1e-4)
    (folder,) = (copied.path / "eval").glob("digits-test-only-*")
    assert json.loads((folder / "scores.json").read_text()) == scores
    assert kept(folder)["positions"].tolist() == np.flatnonzero(inside).tolist()
    with pytest.raises(AllmlpError, match="unknown class 'ten'"):
        evaluate_run(copied, only=["3", "ten"])
    with pytest.raises(AllmlpError, match="at least two classes, each once; got 3, 3"):
        evaluate_run(copied, only=["3", "3"])


def test_label_sets_in_order(copied: Run, tmp_path: Path) -> None:
    test = load_source("digits").test
    # every digit may also be read as the next one; the first two images count for nothing
    sets: list[list[Any]] = [[label, str((label + 1) % 10)] for label in test.labels.tolist()]
    sets[0] = sets[1] = []
    file = tmp_path / "real.json"
    file.write_text(json.dumps(sets))
    scores = evaluate_run(copied, label_sets=file)
    arrays = kept(copied.path / "eval")
    numbers = [[int(value) for value in entry] for entry in sets]
    hits, _ = label_set_hits(arrays["probabilities"], numbers)
    assert scores["multi_label"] == {
        "file": str(file),
        "count": 358,
        "accuracy": pytest.approx(hits.mean()),
    }
    assert scores["multi_label"]["accuracy"] > scores["accuracy"] - 0.01
    assert "multi_label" not in copied.scores()  # the run's own result stays


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "is no JSON"),
        ("[[0]]", "one entry for each of 360 images, or an object by file name; got 1 entries"),
        ("3", "got int"),
        (json.dumps([[0]] * 359 + [["x"]]), "'x' is none of the 10 classes"),
        (json.dumps([[0]] * 359 + [[10]]), "10 is none of the 10 classes"),
        (json.dumps([[0]] * 359 + [3]), "an entry is a list of classes, got 3"),
        ('{"a.png": [0]}', "names files, the images have none; give a list"),
    ],
)
def test_label_sets_that_do_not_fit(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "real.json"
    file.write_text(content)
    with pytest.raises(AllmlpError, match=message):
        read_label_sets(file, load_source("digits").test)


def test_label_sets_by_file_name(
    tmp_path: Path,
    place: Callable[[Mapping[str, bytes]], str],
    pictures: Callable[..., dict[str, bytes]],
) -> None:
    images = load_source(place(pictures("train/cat", "train/dog", "test/cat", "test/dog"))).test
    file = tmp_path / "real.json"
    name = images.names[2]
    file.write_text(json.dumps({name: ["dog", 0]}))
    assert read_label_sets(file, images) == [[1, 0] if n == name else [] for n in images.names]
    file.write_text(json.dumps({"elsewhere.png": [0]}))
    with pytest.raises(AllmlpError, match=r"names none of the files \(elsewhere.png, there are"):
        read_label_sets(file, images)


def test_broken_images_do_not_move_the_others(
    tmp_path: Path,
    place: Callable[[Mapping[str, bytes]], str],
    pictures: Callable[..., dict[str, bytes]],
    small: dict[str, Any],
) -> None:
    files = pictures("train/cat", "train/dog", "val/cat", "val/dog", "test/cat", "test/dog")
    source = place(files | {"test/cat/1.png": b"broken"})
    small["model"]["name"] = "mixer_nano"
    small["data"] = {"source": source, "img_size": 8}
    run = train(small, run=str(tmp_path / "run"), progress=False)
    arrays = kept(run.path / "eval")
    test = load_source(source).test
    missing = next(i for i, name in enumerate(test.names) if name.endswith("cat/1.png"))
    assert arrays["positions"].tolist() == [i for i in range(8) if i != missing]
    assert arrays["labels"].tolist() == test.labels[arrays["positions"]].tolist()
    for m in read_mistakes(run.path / "eval"):
        assert m.name == test.names[m.position]
        assert f"/{m.truth}/" in m.name


@pytest.mark.parametrize(
    ("cache_gib", "message"),
    [(2.0, "no intact image among 8: 8 of 8 "), (0.0, "none of 8 images can be read; give others")],
)
def test_a_part_that_nobody_can_read(
    finished: Run,
    place: Callable[[Mapping[str, bytes]], str],
    pictures: Callable[..., dict[str, bytes]],
    cache_gib: float,
    message: str,
) -> None:
    files = pictures("train/3", "train/8") | dict.fromkeys(pictures("test/3", "test/8"), b"broken")
    part = load_source(place(files)).test
    data = replace(finished.config.data, cache_gib=cache_gib, max_broken=1.0, workers=0)
    train = replace(finished.config.train, batch_size=3)
    run = load_run(finished.path, device="cpu")
    run.config = replace(run.config, data=data, train=train)
    with pytest.raises(AllmlpError, match=message):
        run.predict_set(part)


def test_foreign_weights_are_scored_as_the_run_they_are(finished: Run, tmp_path: Path) -> None:
    by_folder = evaluate_model("mixer_digits", str(finished.path), "digits", config=finished.config)
    for key in ("accuracy", "loss", "classes"):
        assert by_folder.scores[key] == finished.scores()[key]
    assert by_folder.scores["weights"] == str(finished.path)
    by_folder.save(tmp_path)
    np.testing.assert_array_equal(
        kept(tmp_path)["probabilities"], kept(finished.path / "eval")["probabilities"]
    )


def test_weights_without_names_need_as_many_classes(
    finished: Run, tmp_path: Path, place: Callable[[Mapping[str, bytes]], str], pictures: Any
) -> None:
    nameless = shutil.copytree(finished.path, tmp_path / "nameless")
    record = json.loads((nameless / "model.json").read_text())
    (nameless / "model.json").write_text(json.dumps(record | {"classes": None}))
    scores = evaluate_model("mixer_digits", str(nameless), "digits", config=finished.config).scores
    assert scores["accuracy"] == finished.scores()["accuracy"]
    source = place(pictures("train/cat", "train/dog", "test/cat", "test/dog"))
    with pytest.raises(AllmlpError, match=r"as many classes as they have outputs, 10; .* has 2"):
        evaluate_model("mixer_digits", str(nameless), source)


def test_nan_is_named_with_its_image(finished: Run) -> None:
    class Broken(torch.nn.Module):
        def __init__(self, model: torch.nn.Module):
            super().__init__()
            self.model = model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits = self.model(images)
            logits[5] = torch.nan
            return logits

    run = load_run(finished.path, device="cpu")
    run.model = cast(Any, Broken(run.model).eval())
    run.config = replace(run.config, train=replace(run.config.train, batch_size=100))
    with pytest.raises(NotFiniteError, match="to 4 of 360 images, first to image 5; use weights"):
        run.predict_set(load_source("digits").test)


def test_minus_infinity_is_an_answer(finished: Run) -> None:
    class Never(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([0.0] + 9 * [-torch.inf]).expand(len(images), 10)

    run = load_run(finished.path, device="cpu")
    run.model = cast(Any, Never())
    predictions, _ = run.predict_set(load_source("digits").test)
    assert predictions.probabilities[:, 0].eq(1).all()


def test_speed_is_counted_in_images() -> None:
    class Sleeper(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            torch.ones(1)  # something to do
            import time

            time.sleep(0.002 * len(images))
            return images

    speed = measure_speed(Sleeper(), (1, 2, 2), 10, torch.device("cpu"))
    assert 2 <= speed.latency_ms < 40
    assert 20 < speed.images_per_second <= 500
    assert (speed.batch_size, speed.precision) == (10, "fp32")


def test_data_of_one_name_have_scores_of_their_own(
    copied: Run, encode: Callable[..., bytes], tmp_path: Path
) -> None:
    for shop, level in (("here", 0), ("there", 255)):
        for number in copied.classes:
            folder = tmp_path / shop / "photos" / number
            folder.mkdir(parents=True)
            for i in range(5):
                pixels = np.full((8, 8), level, np.uint8) - np.uint8(i)
                (folder / f"{i}.png").write_bytes(encode(pixels))
    for shop in ("here", "there", "here"):
        evaluate_run(copied, str(tmp_path / shop / "photos"), "all")
    folders = sorted(copied.directory.eval.glob("photos-all*"))
    sources = {json.loads((f / "scores.json").read_text())["source"] for f in folders}
    assert sources == {str(tmp_path / shop / "photos") for shop in ("here", "there")}
    assert len(folders) == 2
