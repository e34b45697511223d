"""The commands as a person calls them; what they call has its own tests."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from allmlp.cli import main

TINY = ["--epochs", "1", "--train.warmup", "0", "--model.overrides.depth", "1", "--device", "cpu"]
TINY += ["--no-report"]  # which has its own tests


def call(*arguments: str) -> int:
    try:
        main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "small"
    main(["train", "--run", str(path), *TINY])
    return path


def test_train_prints_config_result_and_what_to_do_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    main(["train", "digits", "--run", str(path), *TINY])
    out = capsys.readouterr().out
    assert "epochs: 1" in out
    assert "    depth: 1" in out
    assert "test accuracy" in out
    assert f"run           {path}" in out
    command = shlex.split(out.splitlines()[-1].removeprefix("predict with"))
    main(command[command.index("predict") :])
    assert capsys.readouterr().out.startswith(str(path / "eval" / "samples" / "0.png"))


def test_a_config_file_is_replayed_and_flags_win(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(run / "config.yaml")
    assert call("train", "--config", config) == 1
    assert "exists; choose another with --run" in capsys.readouterr().err
    new = ["--run", str(tmp_path / "new"), "--batch-size", "300", "--no-report"]
    main(["train", "--config", config, *new])
    assert "batch_size: 300" in (tmp_path / "new" / "config.yaml").read_text()
    assert "depth: 1" in (tmp_path / "new" / "config.yaml").read_text()


def test_eval(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["eval", str(run)])
    assert capsys.readouterr().out.startswith("digits test: accuracy")
    main(["eval", str(run), "digits", "--part", "val"])
    assert "of 180 images" in capsys.readouterr().out


def test_predict(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = [str(run / "eval" / "samples" / f"{digit}.png") for digit in (3, 7)]
    main(["predict", str(run), *samples, "--top", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.count("%") for line in lines] == [2, 2]
    main(["predict", str(run), *samples, "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert [row["image"] for row in rows] == samples
    assert sum(entry["probability"] for entry in rows[0]["top"]) <= 1 + 1e-6
    assert len(rows[0]["top"]) == 5


def test_data_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["data", "check", "digits", "--sheet", str(tmp_path / "s.png")])
    out = capsys.readouterr().out
    assert re.search(r"all +1,257 +180 +360", out)
    for piece in ("classes    10", "modes      L 1,797", "broken     0", "duplicates 0"):
        assert piece in out
    assert [path.name for path in tmp_path.iterdir()] == ["s.png"]


def test_data_check_names_what_is_wrong_and_is_strict_on_demand(
    place: Callable[[Mapping[str, bytes]], str],
    pictures: Callable[..., dict[str, bytes]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = pictures("train/cat", "train/dog", "test/cat")
    source = place(files | {"train/cat/0.png": b"", "test/cat/0.png": files["train/dog/1.png"]})
    main(["data", "check", source])
    out = capsys.readouterr().out
    assert "train/cat/0.png: no image format that is read here" in out
    assert "1 of them in several parts, 1 in several classes" in out
    assert "train/dog/1.png (train, dog), test/cat/0.png (test, cat)" in out
    assert call("data", "check", source, "--strict") == 1
    err = capsys.readouterr().err
    assert "is not clean: 1 broken images, 1 in several parts, 1 in several classes" in err


def test_names_of_files_cannot_write_on_the_terminal(
    tmp_path: Path,
    pictures: Callable[..., dict[str, bytes]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = pictures("a", "b\x1b[2J") | {"a/\x1b[31mred\n.png": b"", "c": b""}
    for name, content in files.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "photos" / "a" / os.fsdecode(b"\xff.png")).write_bytes(b"")
    main(["data", "check", str(tmp_path / "photos")])
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert r"a/\x1b[31mred\n.png: no image" in out
    assert r"a/\udcff.png: no image" in out
    assert call("data", "check", str(tmp_path / "no\x1b[2J.zip")) == 1
    assert r"no data at " in (err := capsys.readouterr().err)
    assert r"no\x1b[2J.zip" in err


def test_data_shard_then_check_eval_and_predict(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "shards"
    main(["data", "shard", "digits", str(out), "--count", "700"])
    told = capsys.readouterr().out
    assert "train-000001.tar  557 images" in told
    assert f"{out} has 1,797 images in 4 tars; train with allmlp train {out}" in told
    assert call("data", "shard", "digits", str(out)) == 1
    assert "exists already; remove it, or choose another folder" in capsys.readouterr().err
    main(["eval", str(run), str(out)])
    ours = capsys.readouterr().out.removeprefix(f"{out} ")
    advice = "  one part of 1797 images; --part all scores every one of them\n"
    main(["eval", str(run), "digits"])
    own = capsys.readouterr().out.removeprefix("digits ")
    assert "one part" not in own  # the run has learned from the others
    assert ours == own + advice
    main(["predict", str(run), str(out / "val-000000.tar"), "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 180
    assert min(row["image"] for row in rows) == f"{out}/val-000000.tar/000000.png"


def test_predict_takes_folders_of_images_without_classes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = sorted((run / "eval" / "samples").glob("*.png"))[:3]
    (tmp_path / "inner").mkdir()
    for sample in samples:
        (tmp_path / "inner" / sample.name).write_bytes(sample.read_bytes())
    (tmp_path / "broken.png").write_bytes(b"")
    main(["predict", str(run), str(tmp_path), "--top", "1"])
    shown = capsys.readouterr()
    main(["predict", str(run), *map(str, samples), "--top", "1"])
    theirs = [line.split("  ")[1] for line in capsys.readouterr().out.splitlines()]
    assert [line.split("  ")[1] for line in shown.out.splitlines()] == theirs
    assert shown.out.startswith(f"{tmp_path}/inner/0.png  ")
    assert "1 of 4 images cannot be read and are left out: broken.png" in shown.err
    (tmp_path / "empty").mkdir()
    assert call("predict", str(run), str(tmp_path / "empty")) == 1
    assert "empty holds no images; give a folder with PNG" in capsys.readouterr().err


def test_probe(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["probe", str(run), "--k", "3", "--linear"])
    out = capsys.readouterr().out
    assert "1257 images to learn from, 360 to test on" in out
    assert "3-NN accuracy" in out
    assert "linear accuracy" in out


def test_strict_stops_at_the_first_broken_image(
    tmp_path: Path,
    place: Callable[[Mapping[str, bytes]], str],
    pictures: Callable[..., dict[str, bytes]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = place(
        pictures("train/cat", "train/dog", "val/cat", "test/cat") | {"val/cat/0.png": b""}
    )
    path = tmp_path / "run"
    assert call("train", source, "--run", str(path), "--strict", *TINY) == 1
    assert "cannot read 1 images, none may be: val/cat/0.png" in capsys.readouterr().err
    assert not path.exists()
    main(["train", source, "--run", str(path), *TINY])
    assert "1 of 12 images cannot be read and are left out" in capsys.readouterr().err
    main(["eval", str(path), source, "--part", "val"])
    assert "of 3 images" in (out := capsys.readouterr().out)
    assert "1 unreadable left out" in out


def test_models_and_info(capsys: pytest.CaptureFixture[str]) -> None:
    main(["models", "mixer_b*"])
    out = capsys.readouterr().out
    assert "59,880,472" in out
    assert "mixer_l16" not in out
    main(["info", "mixer_b16_224"])
    out = capsys.readouterr().out
    assert out.startswith("mixer_b16  (mixer, arXiv:2105.01601)")
    assert "12,601,767,936" in out
    assert "76.44 % ImageNet-1k" in out
    assert "google_in21k: ImageNet-21k; Apache-2.0" in out


def test_convert(golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, folder = str(golden / "mixer_flax_weights.npz"), tmp_path / "ours"
    main(["convert", file, "--to", str(folder)])
    out = capsys.readouterr().out
    assert "MixerBlock_1/LayerNorm_1/scale -> blocks.1.channel_norm.weight" in out
    assert "30 tensors of Google (Flax linen)" in out
    assert sorted(p.name for p in folder.iterdir()) == ["model.json", "model.safetensors"]
    main(["convert", str(folder), "--to", str(tmp_path / "timm"), "--as", "timm"])
    main(["convert", str(tmp_path / "timm/model.safetensors"), "--to", str(tmp_path / "back")])
    assert "30 tensors of timm" in capsys.readouterr().out
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("ours", "back")]
    assert weights[0] == weights[1]
    assert call("convert", file, "--to", str(folder)) == 1
    assert "exists; choose another folder" in capsys.readouterr().err


def test_convert_makes_nothing_of_a_broken_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w.pth").write_bytes(b"PK\x03\x04 no zip")
    assert call("convert", str(tmp_path / "w.pth"), "--to", str(tmp_path / "out")) == 1
    assert "cannot read weights from" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_fine_tuning_from_a_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--epochs", "1", "--train.warmup", "0", "--device", "cpu", "--model.pretrained"]
    new = tmp_path / "new"
    assert call("train", "--run", str(new), *flags, str(run), "--data.img_size", "16") == 1
    assert "pass resize='interpolate'" in capsys.readouterr().err
    resize = ["--data.img_size", "16", "--model.resize", "block", "--train.freeze", "true"]
    main(["train", "--run", str(new), *flags, str(run), *resize, "--no-report"])
    assert "img_size: 16" in (new / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["trian"], 2, 'Unknown command "trian". Did you mean "train"?'),
        (["train", "--epcohs", "3"], 2, "Unknown option: --epcohs. Did you mean --epochs?"),
        (["train", "--epochs", "x"], 2, 'unable to convert "x" into int'),
        (["train", "--train.epcohs", "3"], 1, "did you mean train.epochs?"),
        (["train", "--train.warmup"], 1, "--train.warmup needs a value"),
        (["train", "--train.warmup", "--lr", "1"], 1, "--train.warmup needs a value"),
        (["train", "--train.warmup=soon"], 1, "train.warmup must be a number or null, got 'soon'"),
        (["train", "--set", "train.warmup"], 1, "--set takes PATH=VALUE"),
        (["train", "--train.clip", "[1"], 1, "--train.clip [1: no valid YAML value"),
        (["train", "--config", "none.yaml"], 1, "no config file at none.yaml"),
        (["train", "digit"], 1, "did you mean digits?"),
        (["train", "--precision", "fp8"], 1, "run.precision must be one of auto, fp32, bf16"),
        (["eval", "nowhere"], 1, "nowhere is no run"),
        (["predict", "nowhere", "a.png"], 1, "nowhere is no run"),
        (["predict"], 2, "requires an argument"),
        (["info", "mixer_b61"], 1, "did you mean"),
        (["models", "vit*"], 1, "no model matches 'vit*'"),
        (["data", "check", "digit"], 1, "did you mean digits?"),
        (["data", "check", "photos.zip"], 1, "no data at photos.zip; give a folder or .zip"),
        (["data", "check", "digits", "--sheet", "s.jpg"], 1, "give a name that ends in .png"),
        (["data", "check"], 2, "requires an argument"),
        (["probe", "nowhere"], 1, "nowhere is no run"),
        (["probe", "nowhere", "--k", "0"], 2, "Must be >= 1"),
        (["eval", "x", "--train.lr", "3"], 2, "Unknown option"),
        (["train", "digits", "--time", "day"], 1, "--time means nothing for images"),
        (["train", ""], 2, "an argument is empty"),
        (["train", "--target", ""], 2, "an argument is empty"),
        (["train", "--model="], 2, "an argument is empty (--model=)"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    arguments: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(*arguments) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("allmlp: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unreadable_image_is_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    assert call("predict", str(run), str(tmp_path / "broken.png")) == 1
    assert "broken.png" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o500)
    assert call("train", "--run", str(tmp_path / "run"), *TINY) == 1
    assert "Permission denied" in capsys.readouterr().err


def test_a_run_under_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert call("train", "--run", str(tmp_path / "file" / "run"), *TINY) == 1
    assert "Not a directory" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, allmlp.cli, sys;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000));"
        "allmlp.cli.main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, "train", "--run", str(tmp_path / "run"), *TINY]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "File too large" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_is_quick_and_lists_the_commands() -> None:
    started = time.perf_counter()
    shown = subprocess.run(
        [sys.executable, "-m", "allmlp", "--help"], capture_output=True, text=True, check=True
    )
    # stated as < 0.7 s in the design; a loaded machine gets four times that
    assert time.perf_counter() - started < 2.8
    for command in ("train", "eval", "predict", "models", "info", "data", "probe"):
        assert command in shown.stdout


def test_a_reader_that_leaves_early_is_no_error() -> None:
    shown = subprocess.run(
        f"{shlex.quote(sys.executable)} -m allmlp info mixer_s32 | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stderr == ""


def test_ctrl_c_leaves_a_loadable_run_or_none(tmp_path: Path) -> None:
    path = tmp_path / "run"
    command = shlex.split(
        f"{shlex.quote(sys.executable)} -m allmlp train --run {shlex.quote(str(path))} "
        "--device cpu --epochs 10000 --model.overrides.depth 1"
    )
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # what a shell puts into the background ignores SIGINT, and its children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        deadline = time.monotonic() + 60
        while not (path / "model.safetensors").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        try:
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith("allmlp: interrupted; stopped after step ")
    assert last.endswith(f"; go on with allmlp train --resume {path}")
    assert call("eval", str(path)) == 0


@pytest.mark.unhooked  # the hook's checks cannot be traced
def test_export(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["export", str(run), "--output", str(tmp_path / "m.onnx")])
    out = capsys.readouterr().out
    assert out.startswith(f"{tmp_path / 'm.onnx'}: ")
    assert re.search(r"in batches of 1 and 8 \(allowed: 0.0001\)", out)
    accuracy = re.search(r"accuracy +(\d\.\d{4}) of 360 examples; of the run (\d\.\d{4})", out)
    assert accuracy is not None
    # the run was scored in bf16 where that is the device's choice, the file computes in float32
    assert float(accuracy[1]) == pytest.approx(float(accuracy[2]), abs=0.0051)
    assert re.search(r"batch of 8 +\d+\.\d\d ms, the model \d+\.\d\d ms", out)
    assert call("export", str(run), "--output", str(tmp_path / "m.onnx")) == 1
    assert "m.onnx exists; choose another file" in capsys.readouterr().err
    folder = tmp_path / "folder"
    main(["convert", str(run), "--to", str(folder)])
    main(["export", str(folder), "--to", "torch", "--output", str(tmp_path / "m.pt2")])
    assert (tmp_path / "m.pt2").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("runs/absent",), 1, "nothing is at runs/absent; give a run"),
        (("mixer_b16",), 1, "mixer_b16 needs weights, named once: mixer_b16.TAG, or --pretrained"),
        (("mixer_b16", "--int8"), 1, "int8 costs accuracy, which is measured on a run's data"),
        (("mixer_b16", "--to", "tflite"), 2, "onnx"),
        (("mixer_b16", "--tolerance", "-1"), 2, "tolerance"),
    ],
)
def test_exports_that_cannot_be(
    arguments: tuple[str, ...], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("export", *arguments) == code
    assert message in capsys.readouterr().err


def test_an_error_of_the_system_names_the_users_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["data", "check", "digits", "--sheet", str(tmp_path / "none" / "sheet.png")])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert f"({tmp_path / 'none' / 'sheet.png'}); make its folder first" in said


def test_a_bench_of_nothing_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "mixer_s32", "--img-size", "33", "--rounds", "1", "--out", str(tmp_path)])
    assert ended.value.code == 1
    assert "nothing was measured" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]  # a record that was there would still be
