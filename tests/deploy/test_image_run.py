import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import allmlp
from allmlp.data import load_source
from allmlp.deploy import export_run
from allmlp.errors import AllmlpError
from allmlp.runs.run import Run, load_run

TINY: dict[str, Any] = {
    "model": {"overrides": {"depth": 1, "width": 8, "channel_hidden": 16, "token_hidden": 8}},
    "train": {"epochs": 2, "warmup": 0.5},
    # a file answers in float32 wherever it runs
    "run": {"device": "cpu", "precision": "fp32"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("runs") / "small"
    return allmlp.train(TINY, run=str(path), progress=False)


@pytest.fixture
def others_scores(run: Run) -> Any:
    """Lets a test change `scores.json`."""
    path = run.path / "eval" / "scores.json"
    before = path.read_text()
    yield lambda **changed: path.write_text(json.dumps({**json.loads(before), **changed}))
    path.write_text(before)


@pytest.mark.unhooked
def test_the_file_predicts_and_scores_as_the_run(run: Run) -> None:
    done = export_run(run)
    assert done.path == run.path / "model.onnx"
    assert done.verdict is not None
    assert done.verdict.count == 360
    assert done.verdict.value == pytest.approx(run.scores()["accuracy"], abs=1e-9)
    assert done.notes == ()
    images = load_source("digits").part("test").images
    (found,) = onnxruntime.InferenceSession(done.path).run(None, {"images": images.numpy()})
    expected = run.predict(images).probabilities.numpy()
    assert np.abs(found - expected).max() < 1e-5
    with pytest.raises(AllmlpError, match="exists; choose another file or delete it"):
        export_run(run)


@pytest.mark.unhooked
def test_int8_is_scored(run: Run) -> None:
    done = export_run(run, int8=True, max_loss=1.0)
    assert done.path == run.path / "model.int8.onnx"
    assert done.verdict is not None
    assert done.quantized is not None
    assert abs(done.quantized.value - done.verdict.value) < 0.1
    with pytest.raises(AllmlpError, match="int8 may cost -1"):
        export_run(run, run.path / "other.onnx", int8=True, max_loss=-1)
    assert not (run.path / "other.onnx").exists()


@pytest.mark.unhooked
def test_another_score_than_the_recorded_one(run: Run, others_scores: Any, tmp_path: Path) -> None:
    others_scores(accuracy=0.01)
    with pytest.raises(AllmlpError, match=r"on 360 examples is .* where 0.0100 is recorded"):
        export_run(run, tmp_path / "net.pt2", to="torch")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.unhooked
def test_data_that_are_gone_are_said(run: Run, tmp_path: Path) -> None:
    again = load_run(run.path, device="cpu")
    object.__setattr__(again.config.data, "source", str(tmp_path / "gone.zip"))
    done = export_run(again, tmp_path / "net.pt2", to="torch")
    assert done.verdict is None
    assert done.notes[0].startswith("not scored: no data at ")
    with pytest.raises(AllmlpError, match="export a run whose data are there"):
        export_run(again, tmp_path / "net.onnx", int8=True)
    loaded = torch.export.load(tmp_path / "net.pt2").module()
    bytes_ = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)
    expected = run.predict(bytes_).probabilities
    torch.testing.assert_close(loaded(bytes_), expected, rtol=1e-4, atol=1e-6)
