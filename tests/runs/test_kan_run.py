"""A KAN through the command line: trained, stored, loaded."""

from pathlib import Path

import pytest

from allmlp.cli import main
from allmlp.models.image_kan import ImageKAN
from allmlp.runs.run import load_run


def test_train_a_kan_on_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--model.overrides.widths", "[16]", "--model.overrides.grid", "3"]
    options = ["--model.overrides.options.outside", "clamp", "--data.img_size", "8"]
    short = ["--epochs", "8", "--train.warmup", "1", "--run", str(tmp_path / "run"), "--no-report"]
    main(["train", "digits", "--model", "kan", *sizes, *options, *short])
    capsys.readouterr()
    run = load_run(tmp_path / "run")
    model = run.model
    assert isinstance(model, ImageKAN)
    assert (model.config.widths, model.config.grid) == ((16,), 3)
    assert model.body.layers[0].numeric.basis.outside == "clamp"
    assert run.scores()["accuracy"] > 0.85


def test_a_wrong_size_is_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "digits", "--model", "kan", "--model.overrides.width", "[16]"])
    assert "did you mean widths" in capsys.readouterr().err
