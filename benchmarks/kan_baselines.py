"""Test accuracy of KANs beside MLPs and Mixers of equal width and of equal parameters.

    python benchmarks/kan_baselines.py digits
    python benchmarks/kan_baselines.py mnist ../shared/data/mnist-png/mnist_png.zip

KANs and Mixers through `allmlp train`; MLPs through the same loop, optimizer, schedule and images,
keeping the last epoch. Settings are equal for all but for the learning rate, which on digits is
chosen for each model by the validation part (seed 0). Nothing is fitted to the test part.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

import allmlp
from allmlp.bench import describe_machine
from allmlp.data import Preprocess, iterate_batches, load_source
from allmlp.runs.augment import build_augment
from allmlp.runs.config import AugmentConfig, DataConfig, TrainConfig
from allmlp.runs.images import prepare_images, prepare_training
from allmlp.training import Classification, Loop, decay_groups, evaluate, warmup_cosine

RESULTS = Path(__file__).parent / "results"

SETTINGS: dict[str, dict[str, Any]] = {
    "digits": {
        "img_size": 8,
        "train": {"epochs": 30, "batch_size": 64, "warmup": 3.0},
        "augment": {"shift": 1.0, "rotate": 10.0, "scale": 0.1},
        "mixer": {},
        "learning_rates": (1e-3, 3e-3, 1e-2),
        "seeds": 3,
    },
    "mnist": {
        "img_size": 28,
        "train": {"epochs": 3, "batch_size": 128, "warmup": 0.5},
        "augment": {"shift": 2.0, "rotate": 10.0, "scale": 0.1},
        "mixer": {"patch_size": 7},
        "learning_rates": (3e-3,),
        "seeds": 1,
    },
}


def mlp_of(pixels: int, width: int, classes: int) -> nn.Module:
    """One hidden layer, as the KAN has."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, width), nn.GELU(), nn.Linear(width, classes)
    )


def contestants(settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What is trained: models by name and overrides, MLPs by width."""
    pixels, classes = settings["img_size"] ** 2, 10
    kan = allmlp.create_model("kan", img_size=settings["img_size"])
    parameters = sum(p.numel() for p in kan.parameters())
    mixer = {**settings["mixer"], "channel_hidden": 32}
    # nine times the weights of a linear map: eight times the hidden width has about as many
    wide = {**settings["mixer"], "channel_hidden": 256}
    return {
        "KAN": {"model": "kan", "overrides": {}},
        "MLP, equal width": {"width": 64},
        "MLP, equal parameters": {"width": round((parameters - classes) / (pixels + classes + 1))},
        "KAN-Mixer": {"model": "mixer_digits", "overrides": {**mixer, "mlp": "kan"}},
        "Mixer, equal width": {"model": "mixer_digits", "overrides": mixer},
        "Mixer, equal parameters": {"model": "mixer_digits", "overrides": wide},
    }


def train_named(
    what: dict[str, Any], source: str, settings: dict[str, Any], lr: float, seed: int
) -> dict[str, Any]:
    """Through `allmlp train`."""
    config = {
        "data": {"img_size": settings["img_size"]},
        "model": {"name": what["model"], "overrides": what["overrides"]},
        "train": {**settings["train"], "lr": lr},
        "augment": settings["augment"],
    }
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run = allmlp.train(config, data=source, seed=seed, run=f"{folder}/run", progress=False)
        seconds = time.perf_counter() - started
        lines = [json.loads(line) for line in (run.path / "metrics.jsonl").open()]
        return {
            "parameters": sum(p.numel() for p in run.model.parameters()),
            "val_accuracy": max(line["val/accuracy"] for line in lines if "val/accuracy" in line),
            "test_accuracy": run.scores()["accuracy"],
            "seconds": round(seconds, 1),
        }


def train_mlp(
    what: dict[str, Any], source: str, settings: dict[str, Any], lr: float, seed: int
) -> dict[str, Any]:
    """Through the loop by hand: what `runs.train` does, for a module the zoo has no name for."""
    started = time.perf_counter()
    size, given = settings["img_size"], settings["train"]
    train = replace(TrainConfig(), **given, lr=lr)
    data = DataConfig(source=source, img_size=size)
    splits = load_source(source)
    preprocess = Preprocess(img_size=(size, size), in_chans=1, mean=(0.0,), std=(1.0,))
    images = prepare_training(splits, preprocess, data)
    mean, std = images.train.channel_statistics()
    preprocess = replace(preprocess, mean=mean, std=std)

    torch.manual_seed(seed)
    model = mlp_of(size * size, what["width"], len(splits.train.classes))
    steps = ceil(len(images.train) / train.batch_size)
    optimizer = AdamW(decay_groups(model, train.weight_decay), lr=train.lr)
    scheduler = LambdaLR(
        optimizer,
        lambda step: warmup_cosine(
            step, warmup_steps=round(train.warmup_epochs * steps), total_steps=steps * train.epochs
        ),
    )
    task = Classification(train.label_smoothing)
    loop = Loop(model, task, optimizer, scheduler, clip=train.clip)
    augment = build_augment(AugmentConfig(**settings["augment"]))
    for epoch in range(train.epochs):
        batches = iterate_batches(
            images.train, preprocess, train.batch_size, shuffle=(seed, epoch), augment=augment
        )
        for _ in loop.train_epoch(batches):
            pass
    scores = {}
    test = prepare_images(splits.test, preprocess, data)
    for name, part in (("val", images.val), ("test", test)):
        found = evaluate(model, task, iterate_batches(part, preprocess, train.batch_size))
        scores[f"{name}_accuracy"] = found["accuracy"]
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        **scores,
        "seconds": round(time.perf_counter() - started, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=SETTINGS)
    parser.add_argument("data", nargs="?", default="digits")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    settings = SETTINGS[arguments.name]
    machine = describe_machine()
    rows = []
    for name, what in contestants(settings).items():
        train = train_mlp if "width" in what else train_named
        tried = {
            lr: train(what, arguments.data, settings, lr, seed=0)
            for lr in settings["learning_rates"]
        }
        lr = max(tried, key=lambda lr: tried[lr]["val_accuracy"])
        runs = [tried[lr]] + [
            train(what, arguments.data, settings, lr, seed) for seed in range(1, settings["seeds"])
        ]
        rows.append(
            {
                "name": name,
                **what,
                "parameters": runs[0]["parameters"],
                "lr": lr,
                "test_accuracy": round(statistics.mean(r["test_accuracy"] for r in runs), 5),
                "by_seed": [round(r["test_accuracy"], 5) for r in runs],
                "val_accuracy_by_lr": {
                    str(lr): round(r["val_accuracy"], 5) for lr, r in tried.items()
                },
                "seconds": runs[0]["seconds"],
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    result = {
        "machine": machine,
        "data": Path(arguments.data).name,
        "settings": settings,
        "rows": rows,
    }
    out = arguments.out or RESULTS / f"kan_{arguments.name}.json"
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
