"""A run on shards, killed within an epoch, goes on in the middle of the stream."""

import copy
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allmlp.data import BrokenImages, load_source, write_shards
from allmlp.errors import AllmlpError
from allmlp.runs.train import train
from allmlp.training import load_checkpoint

Config = dict[str, Any]


@pytest.fixture(scope="module")
def shards(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs in uneven tars, seven images and fewer."""
    folder = tmp_path_factory.mktemp("shards") / "out"
    write_shards(load_source(str(photos)), folder, max_images=7, broken=BrokenImages(120, 0.0))
    return folder


@pytest.fixture(scope="module")
def streamed(noisy: Config, shards: Path) -> Config:
    """Everything that may vary an image is on, and nothing is kept in memory."""
    config = copy.deepcopy(noisy)
    config["data"] = {"source": str(shards), "cache_gib": 0.0}
    config["train"] |= {"batch_size": 16, "keep_every": None, "accumulate": 1}
    config["augment"] = {
        "crop_scale": [0.3, 1.0],
        "policy": "randaugment",
        "flip": 0.5,
        "erase": 0.25,
        "mixup": 0.2,
        "cutmix": 1.0,
        "repeats": 2,
        "balanced": True,
    }
    return config


@pytest.fixture(scope="module")
def streamed_unbroken(
    zygote: Any, streamed: Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("streamed") / "run"
    assert zygote.ask(config=streamed, run=str(path)) == 0
    return path


@pytest.mark.parametrize("workers", [0, 2])
def test_shards_are_resumed_within_an_epoch(
    zygote: Any,
    streamed: Config,
    streamed_unbroken: Path,
    after_step_3: dict[str, Any],
    assert_same_run: Callable[[Path, Path], None],
    tmp_path: Path,
    workers: int,
) -> None:
    config, run = copy.deepcopy(streamed), tmp_path / "run"
    config["data"]["workers"] = workers
    # after steps 3 and 9 of six an epoch
    for occurrence, start in ((1, {"config": config, "run": str(run)}), (3, {"resume": str(run)})):
        fault = after_step_3 | {"occurrence": occurrence}
        assert zygote.ask(**start, fault=fault) == 9, "the fault never happened"
    assert load_checkpoint(run / "last.ckpt")["step"] == 9
    assert zygote.ask(resume=str(run)) == 0
    assert_same_run(run, streamed_unbroken)


def test_shards_that_changed_are_refused(
    zygote: Any, streamed: Config, shards: Path, after_step_3: dict[str, Any], tmp_path: Path
) -> None:
    data, run = shutil.copytree(shards, tmp_path / "data"), tmp_path / "run"
    config = copy.deepcopy(streamed)
    config["data"]["source"] = str(data)
    assert zygote.ask(config=config, run=str(run), fault=after_step_3) == 9
    (data / "train-000003.tar").unlink()
    with pytest.raises(AllmlpError, match="training part has changed .* restore the data"):
        train(resume=run, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_shards_killed_ten_times(
    zygote: Any,
    streamed: Config,
    streamed_unbroken: Path,
    assert_same_run: Callable[[Path, Path], None],
    tmp_path: Path,
    workers: int,
) -> None:
    config = copy.deepcopy(streamed)
    config["data"]["workers"] = workers
    moments, hits, longest = random.Random(workers), 0, 0.3 + workers
    while hits < 10:
        run = tmp_path / str(hits)
        struck = zygote.kill_until_done(run, config, moments, longest, most=10 - hits)
        assert_same_run(run, streamed_unbroken)
        if struck == 0:  # the processes are faster here
            longest /= 2
        hits += struck
        shutil.rmtree(run)
