"""`allmlp kan fit`: what it prints, what it leaves, and how it fails."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from allmlp.cli import main


def table(path: Path, count: int = 60) -> Path:
    """y = 2 a + 3 + log(b), and a column that has no part in it."""
    generator = np.random.default_rng(0)
    a, b, c = generator.uniform(1, 5, count), generator.uniform(0.5, 4, count), np.ones(count)
    rows = zip(a, b, c, 2 * a + 3 + np.log(b), strict=True)
    lines = ["a,<b>,c,y", *(",".join(map(repr, map(float, row))) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_law_from_a_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = table(tmp_path / "data.csv"), tmp_path / "run"
    command = ["kan", "fit", str(data), "--target", "y", "--widths", "3", "1", "--epochs", "6"]
    main([*command, "--formula", "--run", str(run)])
    out = capsys.readouterr().out
    assert "  <b>: number, " in out
    assert "RMSE " in out
    assert "network       [2, 1] after pruning" in out
    assert "  x2 = <b>: 0." in out
    assert "formula       y = 2*x1 + log(x2) + 3" in out
    assert r"LaTeX         2 x_{1} + \log{\left(x_{2} \right)} + 3" in out
    laws = json.loads((run / "eval" / "laws.json").read_text())
    assert laws["symbols"] == {"x1": "a", "x2": "<b>"}
    assert laws["laws"][-1]["functions"] == ["x", "log"]
    assert laws["laws"][-1]["explained"] > 1 - 1e-9
    assert "&lt;b&gt;" in (run / "kan.html").read_text()
    assert "<svg" in (run / "kan.svg").read_text()
    # the run is one on a table as all others are
    main(["eval", str(run)])
    assert capsys.readouterr().out.startswith(f"{data} test: RMSE ")
    main(["predict", str(run), str(data), "--output", str(tmp_path / "answers.csv")])
    answers = np.loadtxt(tmp_path / "answers.csv", skiprows=1)
    truth = np.loadtxt(data, delimiter=",", skiprows=1)[:, 3]
    np.testing.assert_allclose(answers, truth, rtol=1e-2)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a,y\n1,2\n", ["--target", "z"], "the table has no column 'z'; it has a, y"),
        ("", ["--target", "y"], "must hold a line of names and at least one row"),
        ("a,y\n", ["--target", "y"], "must hold a line of names and at least one row"),
        ("a,y\n1,2,3\n", ["--target", "y"], "names 2 columns, but row 2 has 3 values"),
        ("a,y\n" + "red,2.5\nblue,1\n,3\n" * 9, ["--target", "y"], "column 'a' holds 'red'"),
        ("a,y\n" + "1,2.5\n,1\n3,3\n" * 9, ["--target", "y"], "missing values (NaN)"),
        ("a,y\n" + "1,2.5\ninf,1\n3,3\n" * 9, ["--target", "y"], "infinity"),
        ("a,y\n" + "1,\n2,\n" * 9, ["--target", "y"], "is missing in every row"),
        (
            "a,y\n" + "1,2.5\n2,1\n3,3\n" * 9,
            ["--target", "y", "--widths", "2", "1"],
            "from 1 (columns) to 1",
        ),
        ("a,y\n1,2.5\n2,1\n3,3\n", ["--target", "y", "--task", "both"], "both"),
    ],
)
def test_mistakes_are_one_line(
    content: str,
    options: list[str],
    message: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path, run = tmp_path / "data.csv", tmp_path / "run"
    path.write_text(content)
    with pytest.raises(SystemExit) as ended:
        main(["kan", "fit", str(path), *options, "--run", str(run)])
    assert ended.value.code == (2 if "--task" in options else 1)
    error = capfd.readouterr().err.strip()
    assert error.count("\n") == 0
    assert error.startswith("allmlp: ")
    assert message in error
    assert not run.exists()


@pytest.mark.slow
def test_ctrl_c_leaves_no_run(tmp_path: Path) -> None:
    import signal
    import time

    data, run = table(tmp_path / "data.csv", 400), tmp_path / "run"
    command = [sys.executable, "-m", "allmlp", "kan", "fit", str(data), "--target", "y"]
    process = subprocess.Popen(
        [*command, "--epochs", "5000", "--sparsity", "0.01", "--run", str(run)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not run.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert "Traceback" not in error
    assert not run.exists()
