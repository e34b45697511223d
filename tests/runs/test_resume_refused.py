"""A run that cannot go on says why, and what it has saved stays as it was."""

import copy
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from allmlp.cli import main as cli
from allmlp.errors import AllmlpError
from allmlp.runs.run import Run
from allmlp.runs.train import train
from allmlp.training import load_checkpoint, save_checkpoint

Config = dict[str, Any]


@pytest.fixture(scope="module")
def halted(
    zygote: Any,
    noisy: Config,
    after_step_3: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run that died after its first checkpoint; tests resume copies."""
    path = tmp_path_factory.mktemp("halted") / "run"
    assert zygote.ask(config=noisy, run=str(path), fault=after_step_3) == 9
    return path


@pytest.fixture
def run(halted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(halted, tmp_path / "run"))


def change_checkpoint(run: Path, **entries: Any) -> None:
    save_checkpoint(run / "last.ckpt", load_checkpoint(run / "last.ckpt") | entries)


def of_a_newer_schema(run: Path) -> None:
    torch.save({"schema": 2}, run / "last.ckpt")


def damaged(run: Path) -> None:
    (run / "last.ckpt").write_bytes((run / "last.ckpt").read_bytes()[:-1000])


def of_another_model(run: Path) -> None:
    model = load_checkpoint(run / "last.ckpt")["model"]
    change_checkpoint(run, model={k: v for k, v in model.items() if "blocks.1" not in k})


def of_another_average(run: Path) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("ema: 0.9", "ema: null"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (of_a_newer_schema, "schema 2, this allmlp reads up to 1; update allmlp"),
        (damaged, "last.ckpt is no intact checkpoint .* use another one"),
        (of_another_model, "last.ckpt does not fit this model, in .* places .*: - "),
        (of_another_average, "last.ckpt has an average of the weights; set train.ema as it was"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_and_left(
    run: Path,
    files: Callable[[Path], Any],
    spoil: Callable[[Path], None],
    message: str,
) -> None:
    spoil(run)
    before = files(run)
    with pytest.raises(AllmlpError, match=message):
        train(resume=run, progress=False)
    assert files(run) == before


def test_the_command_line_says_so_in_one_line(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(run)
    with pytest.raises(SystemExit) as e:
        cli(["train", "--resume", str(run)])
    assert e.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "last.ckpt is no intact checkpoint" in line


def test_changed_data_are_refused(
    zygote: Any,
    noisy: Config,
    photos: Path,
    after_step_3: dict[str, Any],
    files: Callable[[Path], Any],
    tmp_path: Path,
) -> None:
    data, run = shutil.copytree(photos, tmp_path / "data"), tmp_path / "run"
    config = copy.deepcopy(noisy) | {"data": {"source": str(data)}}
    config["train"] |= {"batch_size": 16}
    assert zygote.ask(config=config, run=str(run), fault=after_step_3) == 9
    before = files(run)
    for picture in (data / "class1").glob("?.png"):
        picture.rename(data / "class2" / picture.name)
    with pytest.raises(AllmlpError, match="training part has changed .* restore the data"):
        train(resume=run, progress=False)
    assert files(run) == before


class Fail:
    """Raises an error of the operating system instead of doing something."""

    def __init__(self, code: int):
        self.code = code

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_what_cannot_be_written_costs_nothing_that_was_saved(
    zygote: Any,
    unbroken: Path,
    assert_same_run: Callable[[Path, Path], None],
    run: Path,
    files: Callable[[Path], Any],
    monkeypatch: pytest.MonkeyPatch,
    code: int,
) -> None:
    before = files(run)
    fail, open_path = Fail(code), Path.open

    def opened(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        return open_path(self, mode, *args, **kwargs) if mode in {"r", "rb"} else fail()

    with monkeypatch.context() as broken:
        if code == errno.ENOSPC:  # a line or two still fit, a checkpoint does not
            broken.setattr(os, "fsync", fail)
        else:
            broken.setattr(Path, "open", opened)
        with pytest.raises(OSError, match=os.strerror(code)):
            train(resume=run, progress=False)
    kept = files(run)
    assert {name for name in kept if kept[name] != before[name]} <= {"metrics.jsonl", "metrics.csv"}
    assert set(kept) == set(before)
    assert zygote.ask(resume=str(run)) == 0
    assert_same_run(run, unbroken)


def test_a_finished_run_is_left_as_it_is(
    zygote: Any, finished: Run, files: Callable[[Path], Any], tmp_path: Path
) -> None:
    run = Path(shutil.copytree(finished.path, tmp_path / "run"))
    before = files(run)
    assert zygote.ask(arguments=["train", "--resume", str(run), "--no-report"]) == 0
    assert train(resume=run, progress=False).scores() == finished.scores()
    assert files(run) == before


def test_a_finished_run_says_so(finished: Run, capsys: pytest.CaptureFixture[str]) -> None:
    train(resume=finished.path)
    assert "is finished; nothing to do" in capsys.readouterr().err


def test_a_run_keeps_its_own_configuration(
    zygote: Any, run: Path, files: Callable[[Path], Any]
) -> None:
    before = files(run)
    with pytest.raises(AllmlpError, match="keeps its own configuration .* without other settings"):
        train(resume=run, lr=0.5)
    assert zygote.ask(arguments=["train", "--resume", str(run), "--lr", "0.5"]) == 1
    assert files(run) == before


def test_what_is_no_run_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(AllmlpError, match="is no run: it has no config.yaml"):
        train(resume=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_resumption_shows_no_configuration(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as e:
        cli(["train", "--resume", str(run), "--lr", "0.1"])
    assert e.value.code == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "keeps its own configuration" in shown.err


def test_a_trained_run_is_not_begun_again(
    finished: Run, files: Callable[[Path], Any], tmp_path: Path
) -> None:
    """Its last checkpoint is large, and somebody has made room."""
    run = Path(shutil.copytree(finished.path, tmp_path / "run"))
    (run / "last.ckpt").unlink()
    before = files(run)
    with pytest.raises(AllmlpError, match="and last.ckpt is gone, from which it would go on; put"):
        train(resume=run, progress=False)
    assert files(run) == before


class Broken:
    """A logger that cannot write."""

    def log(self, record: Any) -> None:
        raise OSError("no room")

    def rewind(self, step: int) -> None: ...

    def close(self) -> None: ...


def test_a_run_that_was_there_before_stays(finished: Run, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(finished.path / "config.yaml", run)
    with pytest.raises(OSError, match="no room"):
        train(resume=run, progress=False, loggers=[Broken()])
    assert (run / "config.yaml").is_file()


def test_another_validation_part_is_refused(
    zygote: Any, small: Config, pictures: Callable[..., dict[str, bytes]], tmp_path: Path
) -> None:
    def place(files: dict[str, bytes]) -> None:
        for name, content in files.items():
            (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / name).write_bytes(content)

    place(pictures("train/a", "train/b", "val/a", "val/b", "test/a", "test/b"))
    small["data"] = {"source": str(tmp_path / "data")}
    small["train"] |= {"checkpoint_steps": 1, "batch_size": 4}
    fault = {"file": "last.ckpt", "stage": "rename", "moment": "after", "occurrence": 1}
    assert zygote.ask(config=small, run=str(tmp_path / "run"), fault=fault) == 9
    place(pictures("val/a", count=9))
    with pytest.raises(AllmlpError, match="the validation part has changed since .* restore"):
        train(resume=tmp_path / "run", progress=False)
