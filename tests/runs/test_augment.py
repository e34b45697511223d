from pathlib import Path
from typing import Any

import pytest
import torch

from allmlp.data import (
    Augment,
    AutoAugment,
    Erasing,
    ImageSet,
    ImageStream,
    Mix,
    Preprocess,
    RandAugment,
    ResizedCrop,
    TrivialAugment,
    Warp,
    load_source,
    shuffled_order,
)
from allmlp.errors import AllmlpError
from allmlp.runs.augment import build_augment, epoch_order
from allmlp.runs.config import AugmentConfig, Config
from allmlp.runs.config_tree import build_config
from allmlp.runs.images import prepare_training
from allmlp.runs.train import train


def augment(**settings: Any) -> AugmentConfig:
    return build_config({"augment": settings}).augment


def test_by_default_only_the_warp_is_on() -> None:
    warp = Warp(shift=1.0, rotate=10.0, scale=0.1)
    assert build_augment(Config().augment) == Augment(warp=warp)
    assert build_augment(augment(shift=0, rotate=0, scale=0)) == Augment()


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"crop_scale": [0.08, 1]}, {"crop": ResizedCrop()}),
        (
            {"crop_scale": [0.75, 1], "crop_ratio": [1, 1]},
            {"crop": ResizedCrop(scale=(0.75, 1.0), ratio=(1.0, 1.0))},
        ),
        ({"policy": "randaugment"}, {"policy": RandAugment()}),
        (
            {"policy": "randaugment", "space": "timm", "magnitude_std": 0.5, "layers": 3},
            {"policy": RandAugment(space="timm", deviation=0.5, layers=3)},
        ),
        ({"policy": "trivialaugment"}, {"policy": TrivialAugment()}),
        ({"policy": "autoaugment"}, {"policy": AutoAugment()}),
        ({"pad": 4, "flip": 0.5}, {"pad": 4, "flip": 0.5}),
        ({"erase": 0.25, "erase_fill": "mean"}, {"erase": Erasing(rate=0.25, fill="mean")}),
        (
            {"mixup": 0.8, "cutmix": 1, "mix_rate": 0.5, "mix_switch": 0.3},
            {"mix": Mix(mixup=0.8, cutmix=1.0, rate=0.5, switch=0.3)},
        ),
    ],
)
def test_each_setting_switches_its_part_on(settings: dict[str, Any], part: dict[str, Any]) -> None:
    still = {"shift": 0, "rotate": 0, "scale": 0}
    assert build_augment(augment(**still, **settings)) == Augment(**part)


def test_orders() -> None:
    labels = torch.tensor([0] * 30 + [1] * 6)
    assert torch.equal(epoch_order(augment(), labels, 3, 4), shuffled_order(36, 3, 4))
    repeated = epoch_order(augment(repeats=3), labels, 3, 4)
    assert len((repeated % 36).unique()) == 12
    balanced = epoch_order(augment(balanced=True), labels, 3, 4)
    assert torch.bincount(labels[balanced % 36]).tolist() == [18, 18]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop_scale": [0.5]}, r"augment.crop_scale must be \[smallest, largest\] or null"),
        ({"crop_scale": ["a", 1]}, r"augment.crop_scale must be \[smallest, largest\] or null"),
        ({"crop_scale": [1, 0.5]}, "a random-resized-crop needs shares 0 < smallest <= largest"),
        ({"policy": "randaug"}, "augment.policy must be one of randaugment, trivial"),
        ({"repeats": 0}, "augment needs an integer repeats of at least 1, got 0"),
        ({"mixup": -1}, "mixup needs an α of 0"),
    ],
)
def test_wrong_settings_are_answered(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(AllmlpError, match=message):
        build_augment(augment(**settings))


def test_a_run_with_nearly_everything(small: dict[str, Any], tmp_path: Path) -> None:
    small["train"]["epochs"] = 1
    small["augment"] = {
        "crop_scale": [0.7, 1.0],
        "policy": "trivialaugment",
        "pad": 1,
        "flip": 0.1,
        "erase": 0.2,
        "repeats": 2,
        "balanced": True,
    }

    def metrics(name: str, workers: int) -> list[str]:
        settings = {**small, "data": {"workers": workers}}
        run = train(settings, run=str(tmp_path / name), progress=False)
        lines = (run.path / "metrics.jsonl").read_text().splitlines()
        return [line.split('"images_per_second"')[0] for line in lines]

    # the number of workers changes nothing
    assert metrics("none", 0) == metrics("two", 2)


def test_files_that_are_cropped_are_not_kept_at_a_smaller_size(place: Any, pictures: Any) -> None:
    splits = load_source(place(pictures("cat", "dog", count=10)))
    read = Preprocess(img_size=(8, 8), in_chans=3, mean=(0.5,) * 3, std=(0.5,) * 3)
    cropped = prepare_training(splits, read, Config().data, crops=True)
    assert isinstance(cropped.train, ImageStream)
    assert isinstance(cropped.val, ImageSet)
    assert isinstance(prepare_training(splits, read, Config().data).train, ImageSet)
