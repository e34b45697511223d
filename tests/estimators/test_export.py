"""Exported estimators take columns as they are, and answer as the estimator does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd  # type: ignore[import-untyped]
import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.estimators import (
    ImageClassifier,
    KANClassifier,
    KANRegressor,
    TabularClassifier,
    TabularRegressor,
    export_estimator,
)
from allmlp.estimators.export import export_table_run, load_estimator
from allmlp.estimators.table_run import TableRun
from allmlp.estimators.table_source import TableConfig
from allmlp.estimators.table_train import train_table

# as in tests/deploy/test_export.py
pytestmark = pytest.mark.unhooked

QUICK: dict[str, Any] = {"max_epochs": 1, "width": 8, "depth": 1, "random_state": 0}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Numbers with gaps and many equal ones, texts with gaps, a column that says nothing."""
    draw = np.random.default_rng(0)  # few rows: a search among fewer quantiles is a shorter graph
    return pd.DataFrame(
        {
            "a": draw.normal(size=60),
            "color": draw.choice(["red", "blue", None], 60),
            "b": np.where(draw.random(60) < 0.6, 0.0, draw.exponential(size=60)),
            "gaps": np.where(draw.random(60) < 0.3, np.nan, 1e3 * draw.normal(size=60)),
            "shape": draw.choice(["round", "flat"], 60),
            "same": 1.0,
        }
    )


def answers(path: Path, rows: pd.DataFrame) -> np.ndarray:
    """As docs/export.md shows it: by onnxruntime, pandas and the file alone."""
    session = onnxruntime.InferenceSession(path)
    about = json.loads(session.get_modelmeta().custom_metadata_map["allmlp"])
    feeds = {}
    if about["numbers"]:
        feeds["numbers"] = rows[about["numbers"]].to_numpy(np.float64)
    if about["texts"]:
        names = [column["name"] for column in about["texts"]]
        feeds["texts"] = rows[names].fillna("").to_numpy(object)
    return session.run(None, feeds)[0]


@pytest.mark.parametrize("kind", ["tabm-mini", "realmlp", "mlp"])
def test_texts_and_gaps_go_in(kind: str, table: pd.DataFrame, tmp_path: Path) -> None:
    model = TabularClassifier(model=kind, **QUICK).fit(table, np.where(table.a > 0, "yes", "no"))
    done = export_estimator(model, tmp_path / "m.onnx")
    assert done.graph.about["classes"] == ["no", "yes"]
    assert done.graph.about["numbers"] == ["a", "b", "gaps"]
    others = table.assign(a=table.a * 5, color=table.color.replace("red", "unheard of"))
    for rows in (table, others, table[:1]):
        found = answers(tmp_path / "m.onnx", rows)
        assert found.dtype == np.float64
        # float32 within
        np.testing.assert_allclose(found, model.predict_proba(rows), atol=1e-5)


@pytest.mark.parametrize("columns", [["a", "b"], ["color", "shape"]])
def test_numbers_alone_and_texts_alone(
    columns: list[str], table: pd.DataFrame, tmp_path: Path
) -> None:
    model = TabularRegressor(model="mlp", scaling="standard", **QUICK)
    model.fit(table[columns], 1000 + 50 * table.a)
    export_estimator(model, tmp_path / "m.onnx")
    found = answers(tmp_path / "m.onnx", table)
    np.testing.assert_allclose(found, model.predict(table[columns]), rtol=1e-5)


def test_torch_takes_codes(table: pd.DataFrame, tmp_path: Path) -> None:
    model = TabularRegressor(model="realmlp", **QUICK)  # which clamps what it predicts
    model.fit(table, np.stack([table.a, table.b], axis=1))
    done = export_estimator(model, tmp_path / "m.pt2", to="torch")
    numbers = torch.from_numpy(table[done.graph.about["numbers"]].to_numpy(np.float64, copy=True))
    codes = torch.tensor(
        [
            [
                column["missing"] if pd.isna(text) else column["levels"].index(text) + 1
                for column, text in zip(done.graph.about["texts"], row, strict=True)
            ]
            for row in table[["color", "shape"]].to_numpy(object)
        ]
    )
    found = torch.export.load(tmp_path / "m.pt2").module()(numbers, codes)
    np.testing.assert_allclose(found.numpy(), model.predict(table), rtol=1e-5, atol=1e-5)


def test_kans_keep_their_precision(table: pd.DataFrame, tmp_path: Path) -> None:
    X = table[["a", "b"]]
    model = KANRegressor(widths=[2, 1], max_epochs=2, random_state=0).fit(X, 10 * table.a**2)
    done = export_estimator(model, tmp_path / "m.onnx")
    assert done.tolerance == 1e-9
    beyond = X * 3  # the grid ends where the training did
    np.testing.assert_allclose(answers(done.path, beyond), model.predict(beyond), rtol=1e-9)


def test_files_of_estimators(table: pd.DataFrame, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    images = draw.uniform(0, 16, (40, 4, 4)).astype(np.float32)
    model = ImageClassifier(model="mlp", max_epochs=1, random_state=0)
    model.fit(images, images.mean(axis=(1, 2)) > 8).save(tmp_path / "m.safetensors")
    loaded = load_estimator(tmp_path / "m.safetensors")
    assert isinstance(loaded, ImageClassifier)
    done = export_estimator(loaded, tmp_path / "m.pt2", to="torch")
    assert done.graph.about["classes"] == [False, True]
    found = torch.export.load(done.path).module()(torch.from_numpy(images[..., None]))
    np.testing.assert_allclose(found.numpy(), model.predict_proba(images), atol=1e-6)
    with pytest.raises(AllmlpError, match="cannot be read as an estimator"):
        load_estimator(tmp_path / "absent.safetensors")
    kan = KANClassifier(widths=[2, 2], max_epochs=1, random_state=0)
    kan.fit(table[["a", "b"]], table.a > 0).save(tmp_path / "kan.safetensors")
    assert isinstance(load_estimator(tmp_path / "kan.safetensors"), KANClassifier)


@pytest.fixture(scope="module")
def run(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> TableRun:
    folder = tmp_path_factory.mktemp("table")
    source = folder / "t.csv"
    table.assign(y=table.a + table.b).to_csv(source, index=False)
    config = TableConfig(
        source=str(source),
        target="y",
        run=str(folder / "run"),
        parameters={"model": "mlp", **QUICK},
    )
    return train_table(config)


def test_a_run_is_scored(run: TableRun) -> None:
    done = export_table_run(run, int8=True, max_loss=1.0)
    assert done.path == run.directory.path / "model.int8.onnx"
    assert done.verdict is not None
    assert done.quantized is not None
    assert (done.verdict.metric, done.verdict.count) == ("r2", run.scores()["count"])
    assert done.verdict.value == pytest.approx(run.scores()["r2"], abs=1e-6)
    assert done.quantized.value == pytest.approx(done.verdict.value, abs=0.05)


def test_a_run_whose_table_is_gone(run: TableRun, tmp_path: Path) -> None:
    elsewhere = Path(run.config.source).rename(tmp_path / "elsewhere.csv")
    try:
        done = export_table_run(run, tmp_path / "m.pt2", to="torch")
    finally:
        elsewhere.rename(run.config.source)
    assert done.verdict is None
    assert done.notes[0].startswith("not scored: ")
