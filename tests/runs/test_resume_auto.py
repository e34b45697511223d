"""`resume="auto"` goes on with a run of the same configuration, and begins where there is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allmlp.errors import AllmlpError
from allmlp.runs.train import train

Config = dict[str, Any]


def test_auto_starts_then_finds_and_refuses_another(
    small: Config, files: Callable[[Path], Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    first = train(small, run=str(run), resume="auto", progress=False)
    before = files(run)
    assert train(small, run=str(run), resume="auto", progress=False).scores() == first.scores()
    with pytest.raises(AllmlpError, match=r"another configuration \(run.seed, train.lr\)"):
        train(small, run=str(run), resume="auto", seed=1, lr=0.5, progress=False)
    assert files(run) == before


def test_auto_without_a_folder_takes_the_newest_of_the_same_configuration(
    small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small["train"] |= {"epochs": 1}

    def path(seed: int, **options: Any) -> str:
        return train(small, seed=seed, progress=False, **options).path.name

    assert [path(0), path(0), path(1)] == [f"digits-mixer_digits-{n}" for n in (1, 2, 3)]
    old = tmp_path / "runs" / "digits-mixer_digits-9"
    old.mkdir()
    (old / "config.yaml").write_text("train: {of_another_version: 1}\n")
    assert path(0, resume="auto") == "digits-mixer_digits-2"
    assert path(2, resume="auto") == "digits-mixer_digits-4"


def test_auto_goes_on_in_a_folder_without_a_file_and_in_no_other(
    small: Config, tmp_path: Path
) -> None:
    killed, foreign = tmp_path / "killed", tmp_path / "foreign"
    killed.mkdir()
    (killed / ".config.yaml.123.tmp").write_text("half")
    run = train(small, run=str(killed), resume="auto", epochs=1, progress=False)
    assert run.scores()
    assert not list(killed.glob(".*"))
    foreign.mkdir()
    (foreign / "letter.txt").write_text("mine")
    with pytest.raises(AllmlpError, match="exists and is no run; choose another folder"):
        train(small, run=str(foreign), resume="auto", progress=False)
    assert [p.name for p in foreign.iterdir()] == ["letter.txt"]
