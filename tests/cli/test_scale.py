import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from allmlp.cli import main
from allmlp.cli.scale import _duration


@pytest.fixture
def table(tmp_path: Path) -> Path:
    grid = np.meshgrid(np.geomspace(1e3, 1e6, 5), np.geomspace(1e4, 1e7, 5))
    N, D = (axis.ravel() for axis in grid)
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(len(N)))
    loss = (0.5 + 20 * N**-0.42 + 30 * D**-0.31) * noise
    rows = [
        f"{n},{d},{6 * n * d},{y},b{i}" for i, (n, d, y) in enumerate(zip(N, D, loss, strict=True))
    ]
    path = tmp_path / "runs.csv"
    path.write_text("\n".join(["N,D,C,error,name", *rows]), encoding="utf-8")
    return path


def run(*arguments: object) -> int:
    try:
        main([str(a) for a in arguments])
    except SystemExit as e:
        return int(e.code or 0)
    return 0


def test_from_a_table_to_a_plan(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "law"
    columns = ["--size", "N", "--samples", "D", "--loss", "error"]
    assert run("scale", "fit", table, *columns, "--bootstrap", 20, "--out", out) == 0
    shown = capsys.readouterr().out
    assert "L = E + A N^-alpha + B D^-beta" in shown
    assert "most influential runs" in shown
    assert "the 3 dearest runs, predicted from the others: wrong by 0." in shown
    assert {path.name for path in out.iterdir()} == {"law.json", "law.svg", "allocation.svg"}
    assert run("scale", "plan", out / "law.json", "--compute", "1e12") == 0
    plan = capsys.readouterr().out
    assert "C = 1e+12 FLOPs = 6 N D" in plan
    assert plan.count("95 %") == 3

    # from compute instead of samples it is the same law
    columns = ["--size", "N", "--compute", "C", "--loss", "error"]
    assert run("scale", "fit", table, *columns, "--bootstrap", 0, "--out", out) == 0
    again = capsys.readouterr().out
    assert shown.splitlines()[1].split()[1] == again.splitlines()[1].split()[1]


def test_laws_are_drawn_again(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, other = tmp_path / "law", tmp_path / "other"
    columns = ["--size", "N", "--loss", "error", "--bootstrap", 0, "--out", out]
    assert run("scale", "fit", table, *columns) == 0
    capsys.readouterr()
    assert run("scale", "plot", out / "law.json", "--labels", "parameters", "--out", other) == 0
    assert "written to" in capsys.readouterr().out
    # matplotlib keeps text as outlines, and its string beside them as a comment
    assert "<!-- parameters -->" in (other / "law.svg").read_text(encoding="utf-8")
    assert run("scale", "plot", out / "law.json", "--labels", "N", "--labels", "D") == 1
    assert "1 variables, got 2 labels" in capsys.readouterr().err


def test_one_variable(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "law"
    options = ["--loss", "error", "--bootstrap", 0, "--exclude", 3, "--out", out]
    assert run("scale", "fit", table, "--compute", "C", *options) == 0
    shown = capsys.readouterr().out
    assert "L = E + A x^-alpha" in shown
    assert "1 runs left out" in shown
    assert {path.name for path in out.iterdir()} == {"law.json", "law.svg"}
    assert run("scale", "plan", out / "law.json", "--compute", "1e12") == 1
    assert "divided by a law of (N, D)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one of --size, --samples, --compute"),
        (["--samples", "D", "--compute", "C"], "got --samples, --compute"),
        (["--size", "n"], "unknown column of"),
        (["--size", "name", "--loss", "error"], "line 2: name must be a number, got 'b0'"),
        (["--size", "N", "--loss", "los"], "unknown column of"),
        (["--size", "N", "--loss", "error", "--exclude", "99"], "rows 0 … 24, got 99"),
    ],
)
def test_mistakes_are_one_line(
    table: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("scale", "fit", table, *arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_no_file_and_no_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("scale", "fit", tmp_path / "none.csv", "--size", "N") == 1
    assert "cannot be read" in capsys.readouterr().err
    (tmp_path / "empty.csv").write_text("N,loss\n", encoding="utf-8")
    assert run("scale", "fit", tmp_path / "empty.csv", "--size", "N") == 1
    assert "no rows" in capsys.readouterr().err
    assert run("scale", "plan", tmp_path / "none.json", "--compute", "1") == 1
    assert "cannot be read" in capsys.readouterr().err


def test_the_time_that_is_left_is_told_in_units_of_people() -> None:
    assert [_duration(s) for s in (3.4, 119.0, 150.0, 9e3)] == ["3 s", "119 s", "2.5 min", "2.5 h"]


@pytest.mark.unhooked
def test_fitting_needs_no_torch() -> None:
    code = "import allmlp.scaling.pictures, allmlp.scaling, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_sweep_from_nothing_to_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sweep"
    small = ["--families", "mlp", "--widths", 4, "--samples", 50, "--seeds", 1, "--epochs", 2]
    assert run("scale", "run", "digits", *small, "--out", out) == 0
    shown = capsys.readouterr()
    assert f"1 trials in {out}" in shown.out
    assert "1 of 1 measured" in shown.err
    assert (out / "table.csv").read_text(encoding="utf-8").count("\n") == 2
    assert f"page by  allmlp scale report {out}" in shown.out
    command = shown.out.splitlines()[-2].removeprefix("fit with allmlp ").split()
    assert run(*command) == 1  # one run is no table; its columns are there
    assert "needs at least 6 different runs, got 1" in capsys.readouterr().err
    assert run("scale", "run", "digit") == 1
    assert "did you mean digits" in capsys.readouterr().err
    assert run("scale", "run", "digits", *small, "--warmup", 2, "--out", out) == 1
    assert "train longer, or warm up for less" in capsys.readouterr().err
    assert run("scale", "run", *small, "--samples", 5000, "--retries", 0, "--out", out) == 1
    refused = (
        "1 trials failed 1 times, mlp-w4-d2-n5000-s0 among them with AllmlpError: data.samples"
    )
    assert refused in capsys.readouterr().err
    # errors that a storage holds are found there
    shared = [*small, "--samples", 5000, "--retries", 0, "--out", tmp_path / "shared"]
    assert run("scale", "run", *shared, "--storage", f"sqlite:///{tmp_path / 'study.db'}") == 1
    error = capsys.readouterr().err
    assert refused in error
    assert "and the same --storage" in error


def test_a_sweep_of_no_data_is_not_begun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sweep"
    assert run("scale", "run", "mnist", "--out", out) == 1
    assert "needs --source: the folder of MNIST's files, or an .npz" in capsys.readouterr().err
    assert run("scale", "run", "mnist", "--source", tmp_path / "none.npz", "--out", out) == 1
    assert "no data at" in capsys.readouterr().err
    assert not out.exists()


def test_flags_that_are_no_numbers_of_operations(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("scale", "plan", "--compute", "1e9", "--flops", "0") != 0
    assert "--flops" in capsys.readouterr().err
