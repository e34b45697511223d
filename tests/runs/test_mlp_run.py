"""An MLP through the command line and through fit: trained, stored, loaded."""

from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits

import allmlp
from allmlp.cli import main
from allmlp.models.image_mlp import ImageMLP
from allmlp.runs.run import load_run


def test_train_an_mlp_on_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--model.overrides.widths", "[48, 48]", "--model.overrides.block", "residual"]
    options = ["--model.overrides.norm", "rms", "--model.overrides.glu", "true"]
    short = ["--epochs", "8", "--train.warmup", "1", "--run", str(tmp_path / "run"), "--no-report"]
    main(["train", "digits", "--model", "mlp", "--data.img_size", "8", *sizes, *options, *short])
    capsys.readouterr()
    run = load_run(tmp_path / "run")
    assert isinstance(run.model, ImageMLP)
    assert (run.model.config.widths, run.model.config.glu) == ((48, 48), True)
    assert run.scores()["accuracy"] > 0.9


def test_a_wrong_option_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "digits", "--model", "mlp", "--model.overrides.width", "[16]"])
    assert "did you mean widths" in capsys.readouterr().err


def test_fit_on_numpy_digits() -> None:
    X, y = load_digits(return_X_y=True)
    net = allmlp.MLP(64, 10, (64, 64), norm="batch", head_dropout_rate=0.2)
    # 1,409 = 22 batches of 64 and one example
    history = allmlp.fit(
        net, X[:1409] / 16, y[:1409], epochs=8, batch_size=64, lr=3e-3,
        validation=(X[1409:] / 16, y[1409:]),
    )  # fmt: skip
    assert history["val/accuracy"][-1] > 0.9


def test_fit_on_a_numpy_table() -> None:
    X, y = load_diabetes(return_X_y=True)
    X, y = X / X.std(0), ((y - y.mean()) / y.std())[:, None]
    net = allmlp.MLP(10, 1, (32, 32), activation="selu", dropout_rate=0.05)
    allmlp.fit(net, X[:350], y[:350], epochs=60, batch_size=32, weight_decay=0.1)
    with torch.no_grad():
        predicted = net.eval()(torch.from_numpy(X[350:]).float()).numpy()
    # linear regression reaches about 0.5 of the variance; the mean alone 0
    assert 1 - ((predicted - y[350:]) ** 2).mean() / y[350:].var() > 0.3
