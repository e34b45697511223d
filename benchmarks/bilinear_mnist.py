"""Bilinear MLPs on MNIST: accuracy beside ReLU and a linear model, and what the weights show.

    python benchmarks/bilinear_mnist.py ../shared/data/mnist-png/mnist_png.zip --seeds 3

Each row (model, seed) is written as soon as it is measured; a second call measures what is missing.
All models learn from the 54,000 images of `load_source`'s train part and are scored once on the
10,000 of the test part; nothing is chosen by either. Everything below the accuracies is computed
from weights alone, but for the accuracies of truncated networks and of attacked images.

Smoothness: total variation over norm (`roughness`) of the top positive eigenvector, mean over the
ten classes. Masks: the class is 3, as in the paper; x + s m for the three strongest masks m, scaled
to unit norm, on the test images of other classes; the control permutes each mask's pixels.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import allmlp
from allmlp.bench import describe_machine
from allmlp.data import Preprocess, load_source
from allmlp.files import write_text
from allmlp.interpret.bilinear import (
    adversarial_masks,
    effective_rank,
    eigenfeatures,
    roughness,
)
from allmlp.layers import GaussianNoise
from allmlp.runs.config import DataConfig
from allmlp.runs.images import prepare_images

RESULT = Path(__file__).parent / "results" / "bilinear_mnist.json"
HIDDEN = 256
RECIPE = {"lr": 1e-3, "weight_decay": 1.0, "batch_size": 512, "schedule": "cosine"}
# hidden units that give a ReLU network of one hidden layer as many weights
RELU = round((2 * HIDDEN * 784 + 10 * HIDDEN - 10) / (784 + 10 + 1))
# noise and decay are the recipe's; "plain" has neither
MODELS = ("bilinear", "bilinear, plain", "linear", "linear, plain", "relu", "relu, plain")
RANKS = (*range(11), 12, 14, 16, 18, 20, 25, 30)
STRENGTHS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
TARGET = 3


def build(name: str, noise: float) -> nn.Module:
    if name.startswith("relu"):
        layers = [nn.Linear(784, RELU), nn.ReLU(), nn.Linear(RELU, 10)]
        return nn.Sequential(GaussianNoise(noise), *layers)
    if name.startswith("linear"):
        return nn.Sequential(GaussianNoise(noise), nn.Linear(784, 10))
    return allmlp.BilinearMLP(784, 10, hidden=HIDDEN, input_noise=noise)


def read(source: str) -> dict[str, tuple[Tensor, Tensor]]:
    """Flat pixels in [0, 1] and labels of both parts."""
    splits = load_source(source)
    preprocess = Preprocess(img_size=(28, 28), in_chans=1, mean=(0.0,), std=(1.0,))
    config = DataConfig(source=source, img_size=28, workers=1)
    parts = {"train": splits.train, "test": splits.test}
    images = {name: prepare_images(part, preprocess, config) for name, part in parts.items()}
    return {name: (i.images.flatten(1).float() / 255, i.labels) for name, i in images.items()}


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, labels: Tensor) -> float:
    return (model(x).argmax(1) == labels).float().mean().item()


@torch.no_grad()
def look_inside(model: nn.Module, x: Tensor, labels: Tensor, seed: int) -> dict[str, Any]:
    """Everything that is read off the weights of one bilinear network."""
    started = time.perf_counter()
    features = eigenfeatures(model)
    seconds = time.perf_counter() - started
    contributions = features.contributions(x)
    curve = {
        k: (contributions[..., :k].sum(-1).argmax(1) == labels).float().mean().item() for k in RANKS
    }
    top = (features.values > 0).float().argmax(1)
    vectors = features.directions[torch.arange(10), top].unflatten(1, (28, 28))
    return {
        "decomposition_seconds": round(seconds, 2),
        "effective_rank": round(effective_rank(features.values).mean().item(), 2),
        "roughness_of_top_vectors": round(roughness(vectors).mean().item(), 3),
        "accuracy_by_rank": {str(k): round(value, 4) for k, value in curve.items()},
        "masks": attack(model, x, labels, seed),
    }


def attack(model: nn.Module, x: Tensor, labels: Tensor, seed: int) -> dict[str, Any]:
    masks = adversarial_masks(model, TARGET, 10)[:3].float()
    masks /= masks.norm(dim=1, keepdim=True)
    generator = torch.Generator().manual_seed(seed)
    permuted = torch.stack([m[torch.randperm(784, generator=generator)] for m in masks])
    x, labels = x[labels != TARGET], labels[labels != TARGET]
    found: dict[str, Any] = {"target": TARGET, "strengths": STRENGTHS}
    for name, chosen in (("mask", masks), ("permuted", permuted)):
        answers = torch.stack(
            [torch.stack([model(x + s * m).argmax(1) for m in chosen]) for s in STRENGTHS]
        )
        right, target = (answers == labels).float(), (answers == TARGET).float()
        found[f"{name}_accuracy"] = [round(v, 4) for v in right.mean((1, 2)).tolist()]
        found[f"{name}_answers_target"] = [round(v, 4) for v in target.mean((1, 2)).tolist()]
    return found


def measure(name: str, seed: int, epochs: int, noise: float, parts: Any) -> dict[str, Any]:
    torch.manual_seed(seed)
    plain = name.endswith("plain")
    model = build(name, 0.0 if plain else noise)
    recipe = {**RECIPE, "weight_decay": 0.0} if plain else RECIPE
    started = time.process_time()
    allmlp.fit(model, *parts["train"], epochs=epochs, seed=seed, precision="bf16", **recipe)
    seconds = time.process_time() - started
    model.eval()
    row = {
        "model": name,
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "weight_decay": recipe["weight_decay"],
        "train_accuracy": round(accuracy(model, *parts["train"]), 4),
        "test_accuracy": round(accuracy(model, *parts["test"]), 4),
        "cpu_seconds": round(seconds, 1),
    }
    if isinstance(model, allmlp.BilinearMLP):
        x, labels = parts["test"]
        row |= look_inside(model, x, labels, seed)
        row["_model"] = model
    return row


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    found = {}
    for name in MODELS:
        accuracies = [row["test_accuracy"] for row in rows if row["model"] == name]
        if accuracies:
            found[name] = {
                "mean": round(statistics.mean(accuracies), 4),
                "worst": min(accuracies),
                "seeds": len(accuracies),
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--noise", type=float, default=0.5)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--weights", type=Path, help="folder to keep the bilinear networks in")
    arguments = parser.parse_args()
    settings = {
        "hidden": HIDDEN,
        "relu_hidden": RELU,
        "epochs": arguments.epochs,
        "input_noise": arguments.noise,
        **RECIPE,
        "precision": "bf16",
    }
    rows = []
    if arguments.out.exists():
        known = json.loads(arguments.out.read_text())
        if known["settings"] == settings:
            rows = known["rows"]
    parts = read(arguments.data)
    for name in MODELS:
        for seed in range(arguments.seeds):
            if any(row["model"] == name and row["seed"] == seed for row in rows):
                continue
            row = measure(name, seed, arguments.epochs, arguments.noise, parts)
            model = row.pop("_model", None)
            if model is not None and arguments.weights:
                label = "plain" if name.endswith("plain") else "recipe"
                allmlp.zoo.save_model(model, arguments.weights / f"{label}{seed}")
            rows.append(row)
            print(json.dumps(row), flush=True)
            result = {
                "machine": describe_machine(),
                "data": Path(arguments.data).name,
                "settings": settings,
                "summary": summary(rows),
                "rows": rows,
            }
            write_text(arguments.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
