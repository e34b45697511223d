"""`allmlp bench` as a person calls it."""

import csv
import json
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from allmlp.bench import side_by_side, work
from allmlp.cli import main

QUICK = ["--batch", "1", "--rounds", "1", "--threads", "1", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _quick_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(work._SIDE, "cpu", 1024)


def fail(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_two_models_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs" / "bench"
    main(
        ["bench", "mixer_digits", "gmlp_dig*", *QUICK, "--dtype", "fp32", "bf16", "--out", str(out)]
    )
    shown = capsys.readouterr().out
    for piece in ("139 k", "gmlp_digits bf16", "peak of products: fp32", "load before"):
        assert piece in shown, piece
    assert shown.strip().endswith(f"written to {out}: bench.csv, bench.json, bench.html")
    assert sorted(path.name for path in out.iterdir()) == ["bench.csv", "bench.html", "bench.json"]
    with (out / "bench.csv").open() as file:
        rows = list(csv.DictReader(file))
    named = [(row["model"], row["precision"]) for row in rows]
    assert named == list(product(("mixer_digits", "gmlp_digits"), ("fp32", "bf16")))
    assert all(float(row["train_ms_median"]) > 0 and not row["error"] for row in rows)
    record = json.loads((out / "bench.json").read_text())
    assert record["machine"]["threads"] == 1
    assert "mixer_digits bf16" in (out / "bench.html").read_text()


def test_ctrl_c_writes_what_was_measured(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ctrl_c: Callable[[], None],
) -> None:
    training_step = side_by_side.training_step

    def interrupted(*arguments: object) -> object:
        ctrl_c()
        return training_step(*arguments)

    monkeypatch.setattr(side_by_side, "training_step", interrupted)
    assert fail("bench", "mixer_digits", *QUICK, "--out", str(tmp_path)) == 130
    shown = capsys.readouterr()
    assert f"interrupted; {tmp_path} holds what was measured until then" in shown.err
    assert "mixer_digits" in shown.out
    with (tmp_path / "bench.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["forward_ms_median"]) > 0
    assert row["train_ms_median"] == ""
    assert "interrupted" in (tmp_path / "bench.html").read_text()


def test_wrong_names_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench"
    assert fail("bench", "mixer_digit", "--out", str(out)) == 1
    assert "did you mean mixer_digits" in capsys.readouterr().err
    assert fail("bench", "vit_*", "--out", str(out)) == 1
    assert "no model matches" in capsys.readouterr().err
    assert fail("bench", "--rounds", "0") == 2
    assert not out.exists()


def test_peers_without_timm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    monkeypatch.setitem(sys.modules, "timm", None)
    assert fail("bench", "--peers", "--out", str(tmp_path / "bench")) == 1
    assert "pip install timm" in capsys.readouterr().err
    assert not (tmp_path / "bench").exists()
