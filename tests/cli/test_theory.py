import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allmlp.errors import AllmlpError

app = importlib.import_module("allmlp.cli.theory").app


def run(*tokens: Any) -> None:
    app(
        list(map(str, tokens)), exit_on_error=False, print_error=False, result_action="return_value"
    )


@pytest.mark.parametrize(
    ("tokens", "shown"),
    [
        (("memorize", "digits"), "labels returned exactly: 1,797 of 1,797"),
        (("approximate", "runge", "--error", 0.1, "--activation", "tanh"), "gaps covered"),
        (("sawtooth", 6), "one hidden layer needs at least 15"),
        (("sawtooth", 1100), "needs at least 3.40e+330"),
        (("depth", 0.001), "fewest"),
        (("width", 2), "end on the boundary"),
        (("kolmogorov", "--families", 5), "error after round 2"),
        (("regions", "--widths", "2,8,8"), "expected at initialisation (wide layers): "),
        (("regions", "--widths", "1,8"), "activation regions"),
        (("regions", "--widths", "20,8,8", "--slice", "line"), "activation regions"),
        (("regions", "--widths", "5,8", "--box", -2, 2), "exact on the plane"),
        (("regions", "--widths", "2,8", "--steps", 20), "step     20: "),
        (("init", "tanh", "--depth", 3, "--width", 60), "weight variance        4 / fan-in"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_each_command_prints_its_certificate_and_writes_json_and_picture(
    tokens: Any, shown: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(*tokens, "--out", tmp_path / "new")
    printed = capsys.readouterr().out
    assert shown in printed
    assert "BROKEN" not in printed
    document = json.loads((tmp_path / "new" / f"{tokens[0]}.json").read_text())
    assert document["holds"] is True
    picture = (tmp_path / "new" / f"{tokens[0]}.svg").read_text()
    assert picture.rstrip().endswith("</svg>")


def test_held_out_accuracy_is_printed_beside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("memorize", "--out", tmp_path, "--format", "png")
    assert "memory, not generalisation" in capsys.readouterr().out
    assert (tmp_path / "memorize.png").read_bytes().startswith(b"\x89PNG")


def test_a_csv_file_with_real_labels_is_interpolated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    table = rng.standard_normal((30, 3)).round(3)
    path = tmp_path / "table.csv"
    np.savetxt(path, table, delimiter=",", header="a,b,c", comments="")
    run("memorize", path, "--target", "b", "--out", tmp_path)
    assert "labels returned exactly: 30 of 30" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (None, (), "neither"),
        ("a,b\n1,x\n", (), "encode names"),
        ("a,b\n1,2\n", ("--target", "c"), "unknown column"),
        ("a,b\n", (), "at least one row"),
        ("", (), "has 0 lines"),
        ("\n\n", (), "has 0 lines"),
        ("a\n1\n", (), "two or more columns"),
        ("a,b\n1,2\n\n1,2,3\n", (), "line 4 has 3 cells"),
        ("a,b\n1,2\n1,\n", (), "line 3 holds ''"),
        (b"\xff\xfea,b\n1,2\n", (), "UTF-8"),
    ],
)
def test_files_that_cannot_be_used(
    content: Any, arguments: Any, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(AllmlpError, match=message):
        run("memorize", path, "--out", tmp_path, *arguments)


def test_a_file_from_a_spreadsheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xef\xbb\xbflabel,x\r\n1,0\r\n0,1\r\n")
    run("memorize", path, "--target", "label", "--out", tmp_path)
    assert "labels returned exactly: 2 of 2" in capsys.readouterr().out


def test_one_input_has_widths_but_no_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("width", 1, "--out", tmp_path)
    assert "monotone" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_too_many_families(tmp_path: Path) -> None:
    with pytest.raises(AllmlpError, match="5 to 30"):
        run("kolmogorov", "--families", 31, "--out", tmp_path)


def test_an_unknown_function() -> None:
    with pytest.raises(AllmlpError, match="did you mean square"):
        run("approximate", "squares")


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (("regions", "--widths", "2"), "such as 2,64,64"),
        (("regions", "--widths", "2,x"), "such as 2,64,64"),
        (("regions", "--widths", "2,0"), "such as 2,64,64"),
        (("regions", "--widths", "2,4", "--slice", "cube"), "unknown slice"),
        (("regions", "--widths", "1,4", "--slice", "plane"), "use a line"),
        (("regions", "--widths", "2,4", "--steps", 5, "--slice", "line"), "leave --slice out"),
        (("regions", "--widths", "3,4", "--steps", 5), "spirals lie in the plane"),
        (("regions", "--widths", "1,4", "--export", "npz"), "which a plane has"),
        (("regions", "--widths", "2,4", "--box", 1, 0), "low < high"),
        (("init", "relo"), "did you mean relu"),
        (("init", "--depth", 0), "depth of at least 1"),
    ],
)
def test_regions_that_cannot_be_counted(tokens: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(AllmlpError, match=message):
        run(*tokens, "--out", tmp_path)


def test_a_box_has_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("regions", "--widths", "3,5", "--slice", "box", "--out", tmp_path)
    assert "linear programs" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["regions.json"]


@pytest.mark.parametrize("kind", ["npz", "geojson"])
def test_polygons_are_written(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("regions", "--widths", "2,8", "--export", kind, "--out", tmp_path)
    assert f"regions.{kind}" in capsys.readouterr().out
    assert (tmp_path / f"regions.{kind}").stat().st_size > 1000


def test_a_trained_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    import allmlp
    import allmlp.runs.run

    settings = {
        "train": {"epochs": 1, "warmup": 0},
        "model": {"overrides": {"depth": 1}},
        "run": {"dir": str(tmp_path / "run")},
    }
    trained = allmlp.train(settings, progress=False)
    with pytest.raises(AllmlpError, match="is a Conv2d"):
        run("regions", trained.path, "--out", tmp_path)
    settings["model"] = {"name": "mlp", "overrides": {"widths": [16], "activation": "relu"}}
    settings["run"] = {"dir": str(tmp_path / "mlp")}
    trained = allmlp.train(settings, progress=False)
    run("regions", trained.path, "--out", tmp_path / "plane")
    samples = sorted((trained.path / "eval" / "samples").glob("*"))
    pair = ",".join(map(str, samples[:2]))
    run("regions", trained.path, "--slice", pair, "--out", tmp_path / "line")
    assert "BROKEN" not in capsys.readouterr().out
    for kind in ("plane", "line"):
        document = json.loads((tmp_path / kind / "regions.json").read_text())
        assert document["claims"][0]["attained"] > 1
        assert (tmp_path / kind / "regions.svg").exists()
    with pytest.raises(AllmlpError, match="two or three images"):
        run("regions", trained.path, "--slice", str(samples[0]), "--out", tmp_path)


def test_the_command_imports_no_torch_until_it_runs() -> None:
    code = "import sys; import allmlp.cli.theory; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
