"""Settings of a run that say what is minimised."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from allmlp.data import ImageSet, Preprocess
from allmlp.errors import AllmlpError
from allmlp.runs.config_tree import build_config
from allmlp.runs.objective import Teacher, build_task, check_objective
from allmlp.runs.run import Run
from allmlp.runs.train import train
from allmlp.training import Classification, Distillation, SigmoidClassification

CPU = torch.device("cpu")


def settings(**fields: Any) -> Any:
    return build_config({"train": fields}).train


def images(*labels: int) -> ImageSet:
    pixels = torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8)
    return ImageSet(pixels, torch.tensor(labels), ("cat", "dog", "owl"))


def digits(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=generator)


def plain(preprocess: Preprocess) -> Preprocess:
    return replace(preprocess, mean=(0.25,), std=(0.5,))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss": "mse"}, "train.loss must be one of cross_entropy, bce, got 'mse'"),
        ({"loss": "bce", "class_weights": "balanced"}, "leave them unset with train.loss bce"),
        ({"class_weights": {"cat": -1}}, "train.class_weights.cat must be a finite number of at"),
        (
            {"class_weights": {"cat": float("inf")}},
            "must be a finite number of at least 0, got inf",
        ),
        ({"class_weights": "even"}, "train.class_weights must be one of balanced or a mapping"),
        ({"teacher_weight": 1.5}, r"Distillation needs weight in \[0, 1\], got 1.5"),
        ({"teacher_temperature": 0.0}, "Distillation needs temperature above 0"),
        ({"teacher": "nowhere"}, "nowhere is no run"),
        ({"label_smoothing": 1.0}, r"train needs label_smoothing in \[0, 1\)"),
    ],
)
def test_what_makes_no_sense_is_said_at_once(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(AllmlpError, match=message):
        check_objective(settings(**fields))


def test_class_weights_by_name_and_balanced(finished: Run) -> None:
    data, preprocess = images(0, 0, 0, 1, 1, 2), finished.preprocess

    def weights(given: Any) -> Tensor:
        task = build_task(settings(class_weights=given), data, preprocess, CPU)
        assert isinstance(task, Classification)
        assert task.class_weights is not None
        return task.class_weights

    assert torch.equal(weights({"owl": 3, "cat": 0.5}), torch.tensor([0.5, 1.0, 3.0]))
    balanced = weights("balanced")
    counts = torch.bincount(data.labels)
    torch.testing.assert_close(balanced * counts, torch.full((3,), 2.0))  # each class the same
    assert balanced[data.labels].mean() == pytest.approx(1.0)
    some = images(0, 0, 1)  # no owl: the others weigh 1 on average all the same
    task = build_task(settings(class_weights="balanced"), some, preprocess, CPU)
    assert isinstance(task, Classification)
    assert task.class_weights is not None
    assert task.class_weights[some.labels].mean() == pytest.approx(1.0)
    with pytest.raises(AllmlpError, match="unknown class in train.class_weights 'caat'; did you"):
        weights({"caat": 2.0})


def test_binary_cross_entropy_alone_and_with_a_teacher(finished: Run) -> None:
    data = ImageSet(digits(4), torch.arange(4), finished.classes)
    fields = {"loss": "bce", "label_smoothing": 0.2}
    task = build_task(settings(**fields), data, finished.preprocess, CPU)
    assert isinstance(task, SigmoidClassification)
    assert task.label_smoothing == 0.2
    fields |= {"teacher": str(finished.path), "teacher_temperature": 2.0, "teacher_weight": 0.3}
    taught = build_task(settings(**fields), data, finished.preprocess, CPU)
    assert isinstance(taught, Distillation)
    assert isinstance(taught.task, SigmoidClassification)
    assert (taught.weight, taught.temperature) == (0.3, 2.0)


def test_a_teacher_answers_as_its_run_does(finished: Run) -> None:
    pixels, preprocess = digits(7), plain(finished.preprocess)
    expected = finished.predict(pixels).probabilities
    mean, std = preprocess.mean[0], preprocess.std[0]
    batch = (pixels.float() / 255 - mean) / std
    backwards = tuple(reversed(finished.classes))
    for classes, wanted in ((finished.classes, expected), (backwards, expected.flip(1))):
        with torch.no_grad():
            answers = Teacher(finished, preprocess, classes)(batch).softmax(1)
        torch.testing.assert_close(answers, wanted, rtol=1e-4, atol=1e-6)  # a few roundings


def test_a_teacher_of_other_images_or_classes_is_refused(finished: Run) -> None:
    preprocess = plain(finished.preprocess)
    with pytest.raises(AllmlpError, match="takes 8x8x1 images, the model 16x16x1; set data.img"):
        Teacher(finished, replace(preprocess, img_size=(16, 16)), finished.classes)
    with pytest.raises(AllmlpError, match="does not know ten; take one"):
        Teacher(finished, preprocess, ("1", "ten"))


def test_a_run_learns_from_a_teacher_under_mixup(
    small: dict[str, Any], finished: Run, tmp_path: Path
) -> None:
    small["train"] |= {"teacher": str(finished.path), "teacher_temperature": 3.0}
    small["train"] |= {"teacher_weight": 1.0, "epochs": 8, "lr": 0.02}
    small["augment"] = {"mixup": 0.5}
    run = train(small, run=str(tmp_path / "run"), progress=False)
    pixels = digits(200)
    agreement = [
        ours == theirs
        for ours, theirs in zip(
            run.predict(pixels).labels, finished.predict(pixels).labels, strict=True
        )
    ]
    # on noise, where no label could have told it: chance is at most the teacher's favourite class
    assert sum(agreement) / len(agreement) > 0.5


def test_a_teacher_that_changed_is_refused(
    zygote: Any, small: dict[str, Any], finished: Run, tmp_path: Path
) -> None:
    teacher, run = tmp_path / "teacher", tmp_path / "run"
    shutil.copytree(finished.path, teacher)
    small["train"] |= {"teacher": str(teacher), "checkpoint_steps": 3}
    fault = {"file": "last.ckpt", "stage": "rename", "moment": "after", "occurrence": 1}
    assert zygote.ask(config=small, run=str(run), fault=fault) == 9
    shutil.copy(teacher / "model.safetensors", tmp_path / "kept")
    content = bytearray((teacher / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (teacher / "model.safetensors").write_bytes(bytes(content))
    with pytest.raises(AllmlpError, match="the teacher has changed since .* restore it"):
        train(resume=run, progress=False)
    shutil.copy(tmp_path / "kept", teacher / "model.safetensors")
    assert train(resume=run, progress=False).scores()["count"] == 360
