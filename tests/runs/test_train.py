import csv
import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.runs import fitting, saving
from allmlp.runs.config import TrainConfig
from allmlp.runs.config_tree import build_config, read_yaml, to_yaml
from allmlp.runs.mistakes import read_mistakes
from allmlp.runs.run import Run, load_run
from allmlp.runs.train import train
from allmlp.training import load_checkpoint, progress

Small = dict[str, Any]


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_the_directory_holds_what_the_design_names(finished: Run) -> None:
    names = {str(p.relative_to(finished.path)) for p in finished.path.rglob("*") if p.is_file()}
    samples = {f"eval/samples/{digit}.png" for digit in range(10)}
    mistakes = {m.file for m in read_mistakes(finished.path / "eval")}
    assert names == samples | {f"eval/{file}" for file in mistakes} | {
        "config.yaml",
        "metrics.jsonl",
        "metrics.csv",
        "last.ckpt",
        "best.ckpt",
        "model.safetensors",
        "model.json",
        "eval/scores.json",
        "eval/predictions.npz",
        "eval/confusion.csv",
        "eval/mistakes.json",
        "eval/augmented.json",
        *(f"eval/augmented/{number:02d}.png" for number in range(16)),
        "sessions.json",
        "eval/speed.json",
    }


def test_metrics_lines(finished: Run) -> None:
    records = lines(finished.path)
    training = [r for r in records if "train/loss" in r]
    validation = [r for r in records if "val/loss" in r]
    # 1,257 images in batches of 256: five steps an epoch, reported at 2, 4, 5 and 6, 8, 10
    assert [r["step"] for r in training] == [2, 4, 5, 6, 8, 10]
    assert [(r["step"], r["epoch"]) for r in validation] == [(5, 1), (10, 2)]
    assert set(training[0]) == {
        "step",
        "epoch",
        "train/loss",
        "train/accuracy",
        "lr",
        "images_per_second",
    }
    assert set(validation[0]) == {"step", "epoch", "val/loss", "val/accuracy"}


def test_the_table_holds_the_same(finished: Run) -> None:
    with (finished.path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    records = lines(finished.path)
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        assert {k: float(v) for k, v in row.items() if v} == pytest.approx(record)
    assert list(rows[0])[:4] == ["step", "epoch", "train/loss", "train/accuracy"]


def test_the_resolved_config_replays_the_run(finished: Run, tmp_path: Path) -> None:
    again = train(finished.path / "config.yaml", run=str(tmp_path / "again"), progress=False)

    def losses(run: Run) -> list[float]:
        return [r["train/loss"] for r in lines(run.path) if "train/loss" in r]

    assert losses(again) == losses(finished)
    torch.testing.assert_close(again.model.state_dict(), finished.model.state_dict())


@pytest.mark.parametrize(("epochs", "warmup"), [(1, 0.2), (10, 2.0), (25, 5.0), (300, 5.0)])
def test_the_warm_up_is_a_fifth_of_short_trainings(epochs: int, warmup: float) -> None:
    assert TrainConfig(epochs=epochs).warmup_epochs == pytest.approx(warmup)
    assert TrainConfig(epochs=epochs, warmup=0.0).warmup_epochs == 0


def test_another_seed_is_another_run(small: Small, finished: Run, tmp_path: Path) -> None:
    other = train(small, seed=1, run=str(tmp_path / "other"), progress=False)
    assert lines(other.path)[0]["train/loss"] != lines(finished.path)[0]["train/loss"]


def test_best_is_the_last_epoch_within_one_standard_error(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # on 180 images near 90 % the standard error is 2.2 points
    scores = iter([0.5, 0.90, 0.885, 0.87, 0.87])
    monkeypatch.setattr(fitting, "evaluate", lambda *_: {"accuracy": next(scores)})
    run = train(small, epochs=5, run=str(tmp_path / "run"), progress=False)
    assert load_checkpoint(run.path / "best.ckpt")["epoch"] == 3
    assert load_checkpoint(run.path / "last.ckpt")["epoch"] == 5


def test_the_kept_model_is_the_best_checkpoint(finished: Run) -> None:
    checkpoint = load_checkpoint(finished.path / "best.ckpt")
    torch.testing.assert_close(checkpoint["model"], dict(finished.model.state_dict()))
    assert load_checkpoint(finished.path / "last.ckpt")["epoch"] == 2


def test_the_callers_random_state_is_left_alone(small: Small, tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(small, run=str(tmp_path / "run"), progress=False)
    assert torch.equal(torch.rand(3), expected)


def test_runs_are_numbered(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        run = train(small, epochs=1, progress=False)
        assert run.path == Path(f"runs/digits-mixer_digits-{number}")


def test_an_existing_folder_is_refused_and_left_alone(small: Small, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(AllmlpError, match="exists; choose another with --run or delete it"):
        train(small, run=str(tmp_path), progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("data", "source", "digit", "unknown data source 'digit'; did you mean digits"),
        ("model", "name", "mixer_digit", "unknown model 'mixer_digit'"),
        ("model", "overrides", {"dept": 3}, "unknown MixerConfig field 'dept'"),
        ("model", "overrides", {"depth": 0}, "integer depth of at least 1"),
        ("model", "overrides", {"num_classes": 3}, "num_classes follows from the data"),
        ("data", "img_size", 9, "divisible by patch_size=2, got 9x9"),
        ("train", "epochs", 0, "integer epochs of at least 1"),
        ("train", "batch_size", 0, "integer batch_size of at least 1"),
        ("train", "lr", 0.0, "train.lr must be above 0"),
        ("train", "lr", float("nan"), "train.lr must be above 0"),
        ("train", "clip", -1.0, "train.clip must be above 0"),
        ("train", "warmup", 5.0, "must end before the training does"),
        ("train", "weight_decay", -1.0, "train.weight_decay must not be negative"),
        ("train", "label_smoothing", 1.0, "label_smoothing in"),
        ("augment", "shift", -1.0, "a shift of 0 or more, got -1.0"),
        ("run", "device", "gpu", "device 'gpu' cannot be used"),
    ],
)
def test_what_is_wrong_is_found_before_a_folder_is_made(
    small: Small, tmp_path: Path, section: str, key: str, value: object, message: str
) -> None:
    small.setdefault(section, {})[key] = value
    with pytest.raises(AllmlpError, match=message):
        train(small, run=str(tmp_path / "run"), progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_before_its_first_model_leaves_nothing(
    small: Small, tmp_path: Path
) -> None:
    small["train"]["lr"] = 1e30
    small["train"]["clip"] = None
    with pytest.raises(AllmlpError, match=r"the loss is (nan|inf) at step"):
        train(small, run=str(tmp_path / "run"), progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_later_leaves_the_model_so_far(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = saving.save_checkpoint, []

    def full(path: Path, state: dict[str, Any]) -> None:
        calls.append(path)
        if len(calls) > 1:  # that of the first epoch
            raise OSError(errno.ENOSPC, "No space left on device")
        save(path, state)

    monkeypatch.setattr(saving, "save_checkpoint", full)
    with pytest.raises(OSError, match="No space left"):
        train(small, run=str(tmp_path / "run"), progress=False)
    assert load_checkpoint(tmp_path / "run" / "last.ckpt")["epoch"] == 1
    assert load_run(tmp_path / "run").predict(np.zeros((1, 1, 8, 8), np.uint8)).labels


def test_an_interrupt_keeps_the_model_so_far_and_says_where(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: object, epoch: int, val: object, best: bool) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(progress.Silent, "epoch", interrupt)
    with pytest.raises(KeyboardInterrupt, match="go on .* allmlp train --resume .*run"):
        train(small, run=str(tmp_path / "run"), progress=False)
    assert load_run(tmp_path / "run").config.train.epochs == 2
    with pytest.raises(AllmlpError, match="no scores.json; make it by `allmlp eval`"):
        load_run(tmp_path / "run").scores()


def test_images_are_scaled_to_the_models_size(small: Small, tmp_path: Path) -> None:
    small["data"] = {"img_size": [12, 10]}
    run = train(small, epochs=1, run=str(tmp_path / "run"), progress=False)
    assert run.model.config.img_size == run.preprocess.img_size == (12, 10)
    assert run.scores()["count"] == 360


def test_plain_lines_tell_epoch_metrics_and_time_left(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(small, run=str(tmp_path / "run"))
    shown = capsys.readouterr()
    assert shown.out == ""
    first, last = shown.err.splitlines()
    for piece in ("epoch 1/2", "train loss", "train accuracy", "examples/s", "ETA", "val accuracy"):
        assert piece in first
    assert last.startswith("epoch 2/2")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_trains_on_cuda_and_predicts_on_the_cpu(
    small: Small, tmp_path: Path, precision: str
) -> None:
    small["run"] = {"device": "cuda", "precision": precision}
    run = train(small, run=str(tmp_path / "run"), progress=False)
    images = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)
    on_card = run.predict(images).probabilities
    on_cpu = load_run(run.path, device="cpu").predict(images).probabilities
    tolerance = 1e-4 if precision == "fp32" else 2e-2  # bf16 keeps 8 bits
    torch.testing.assert_close(on_card, on_cpu, rtol=tolerance, atol=tolerance)


def test_defaults_are_the_digits_recipe() -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "digits.yaml"
    assert to_yaml(build_config(read_yaml(recipe))) == to_yaml(build_config({}))
