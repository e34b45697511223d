import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from allmlp.data import ImageSet, load_source
from allmlp.errors import AllmlpError
from allmlp.runs.evaluate import evaluate_run
from allmlp.runs.run import Run, load_run


@pytest.fixture
def copied(finished: Run, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.path, tmp_path / "copy"))


def test_a_loaded_run_predicts_as_the_trained_one(finished: Run) -> None:
    images = load_source("digits").test.images[:5]
    loaded = load_run(finished.path, device="cpu").predict(images)
    assert torch.equal(loaded.probabilities, finished.predict(images).probabilities)
    torch.testing.assert_close(loaded.probabilities.sum(1), torch.ones(5))


def test_every_kind_of_picture_gives_the_same_answer(finished: Run) -> None:
    sample = finished.path / "eval" / "samples" / "3.png"
    with Image.open(sample) as picture:
        pixels = np.array(picture)[None, None]
        answers = [
            finished.predict(given).probabilities
            for given in (sample, str(sample), picture, [sample], pixels, torch.from_numpy(pixels))
        ]
    for answer in answers[1:]:
        assert torch.equal(answer, answers[0])


def test_top_is_sorted_and_no_longer_than_the_classes(finished: Run) -> None:
    predictions = finished.predict(load_source("digits").test.images[:2])
    top = predictions.top(20)
    assert [len(row) for row in top] == [10, 10]
    for row, label in zip(top, predictions.labels, strict=True):
        assert row == sorted(row, key=lambda pair: -pair[1])
        assert row[0][0] == label


def test_scores_agree_with_the_kept_predictions(finished: Run) -> None:
    scores = finished.scores()
    with np.load(finished.path / "eval" / "predictions.npz") as kept:
        hits = kept["probabilities"].argmax(1) == kept["labels"]
        assert kept["classes"].tolist() == list("0123456789")
    assert scores["accuracy"] == pytest.approx(hits.mean())
    assert (scores["source"], scores["part"], scores["count"]) == ("digits", "test", 360)


def test_other_parts_are_kept_apart(copied: Path) -> None:
    before = (copied / "eval" / "scores.json").read_text()
    scores = evaluate_run(load_run(copied, device="cpu"), part="val")
    assert scores["count"] == 180
    assert json.loads((copied / "eval" / "digits-val" / "scores.json").read_text()) == scores
    assert (copied / "eval" / "scores.json").read_text() == before


def test_data_with_other_classes_are_refused(finished: Run) -> None:
    data = load_source("digits").test
    with pytest.raises(AllmlpError, match=r"knows 10 classes \(0, 1.*has others: a, b"):
        finished.predict_set(ImageSet(data.images, data.labels, ("a", "b")))
    colour = ImageSet(data.images.expand(-1, 3, -1, -1), data.labels, data.classes)
    with pytest.raises(AllmlpError, match="takes 1 image channels, the data has 3"):
        finished.predict_set(colour)


def test_tensors_of_the_wrong_kind(finished: Run) -> None:
    with pytest.raises(AllmlpError, match=r"shape \(n, 1, 8, 8\), got torch.float32"):
        finished.predict(np.zeros((2, 1, 8, 8), np.float32))
    with pytest.raises(AllmlpError, match=r"of shape \(2, 1, 9, 9\)"):
        finished.predict(np.zeros((2, 1, 9, 9), np.uint8))
    with pytest.raises(AllmlpError, match="at least one image"):
        finished.predict([])


def test_what_is_no_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(AllmlpError, match="is no run: it has no config.yaml"):
            load_run(path)
    (tmp_path / "config.yaml").touch()
    with pytest.raises(AllmlpError, match="holds no trained model"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.json", b"{", "model.json is damaged"),
        ("model.json", b"[]", "model.json is damaged"),
        ("model.json", b'{"schema": 1}', "model.json is damaged"),
        ("model.json", b'{"schema": 9}', "has schema 9, this allmlp reads 1"),
        ("model.safetensors", b"\x00" * 10, "cannot read weights from .*model.safetensors"),
        ("config.yaml", b"train: {epcohs: 3}", "unknown key 'train.epcohs'"),
    ],
)
def test_damaged_files_are_named(copied: Path, name: str, content: bytes, message: str) -> None:
    (copied / name).write_bytes(content)
    with pytest.raises(AllmlpError, match=message):
        load_run(copied)


def test_weights_of_another_model(copied: Path) -> None:
    record = json.loads((copied / "model.json").read_text())
    record["config"]["width"] = 16
    (copied / "model.json").write_text(json.dumps(record))
    with pytest.raises(
        AllmlpError, match=r"model.safetensors does not fit this model, in 12 places"
    ):
        load_run(copied)
