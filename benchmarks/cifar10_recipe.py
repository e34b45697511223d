"""Our CIFAR-10 recipe and the public one of the same network, for equally many epochs.

    python benchmarks/cifar10_recipe.py ../shared/data/cifar10-jpg/cifar10_jpg.zip
    python benchmarks/cifar10_recipe.py CIFAR10 --recipes cifar10_gpu cifar10_mixer_nano \
        --epochs 300 --out benchmarks/results/cifar10_recipe_gpu.json

Recipes are files of `recipes/`, three seeds each, by turns. With `--epochs` other than a recipe's
own its warm-up is scaled with them. A row that the result holds already is kept, and a run that was
interrupted goes on (`--runs`), so that the same command may be given again and again. `seconds` are
those of training steps alone.
"""

import argparse
import json
import os
import statistics
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch

import allmlp
from allmlp.bench import describe_machine
from allmlp.runs.config import Config
from allmlp.runs.config_tree import build_config, read_yaml, set_path

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "cifar10_recipe.json"


def settings(recipe: str, epochs: int, data: str, seed: int, folder: Path) -> Config:
    """A recipe for so many epochs."""
    tree = read_yaml(ROOT / "recipes" / f"{recipe}.yaml")
    own = build_config(tree).train
    set_path(tree, "run.dir", str(folder))
    set_path(tree, "data.source", data)
    set_path(tree, "run.seed", seed)
    set_path(tree, "train.epochs", epochs)
    set_path(tree, "train.warmup", own.warmup * epochs / own.epochs)
    return build_config(tree)


def train_row(config: Config) -> dict[str, Any]:
    """One run, from where it was left, and its curves."""
    run = allmlp.train(config, resume="auto")
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").open(encoding="utf-8")]
    reports = [line for line in lines if "images_per_second" in line]
    evaluations = [line for line in lines if "val/accuracy" in line]
    seconds, before = 0.0, 0
    for report in reports:
        images = (report["step"] - before) * config.train.batch_size
        seconds, before = seconds + images / report["images_per_second"], report["step"]
    scores = run.scores()
    return {
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "steps": before,
        "test_accuracy": scores["accuracy"],
        "test_images": scores["count"],
        "seconds": round(seconds, 1),
        "images_per_second": round(statistics.median(r["images_per_second"] for r in reports)),
        "val_accuracy_by_epoch": [round(line["val/accuracy"], 4) for line in evaluations],
    }


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Validation accuracy by epoch, every seed of every recipe."""
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    names = list(dict.fromkeys(row["recipe"] for row in rows))
    for row in rows:
        curve = row["val_accuracy_by_epoch"]
        label = row["recipe"] if row["seed"] == 0 else None
        color = f"C{names.index(row['recipe'])}"
        epochs = range(1, len(curve) + 1)
        axes.plot(epochs, [100 * v for v in curve], color=color, label=label, marker=".", lw=1)
    axes.set(xlabel="epochs", ylabel="validation accuracy in %")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--recipes", nargs="+", default=["cifar10_cpu", "cifar10_mixer_nano"])
    parser.add_argument("--epochs", type=int, default=20, help="of every recipe")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/cifar10_recipe"))
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    result: dict[str, Any] = {"rows": []}
    if given.out.is_file():
        result = json.loads(given.out.read_text())
    for seed in range(given.seeds):
        for recipe in given.recipes:
            key = {"recipe": recipe, "seed": seed, "epochs": given.epochs}
            if any(key.items() <= row.items() for row in result["rows"]):
                continue
            folder = given.runs / f"{recipe}-{given.epochs}-{seed}"
            row = {**key, **train_row(settings(recipe, given.epochs, given.data, seed, folder))}
            minutes = row["seconds"] / 60
            print(
                f"{recipe}, seed {seed}: {row['test_accuracy']:.2%} on the test part; "
                f"{minutes:.1f} minutes, 30 would be {given.epochs * 30 / minutes:.0f} epochs",
                flush=True,
            )
            rows = [*result["rows"], row]
            result = {
                "machine": describe_machine("cuda" if torch.cuda.is_available() else "cpu"),
                "data": os.path.basename(given.data),
                "summary": summary(rows),
                "rows": rows,
            }
            given.out.write_text(json.dumps(result, indent=1) + "\n")
            draw(rows, given.out.with_suffix(".svg"))
    print(json.dumps(result.get("summary", {}), indent=1))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean, worst and best of the seeds of each recipe."""
    accuracies: dict[str, list[float]] = {}
    for row in rows:
        name = f"{row['recipe']}, {row['epochs']} epochs"
        accuracies.setdefault(name, []).append(row["test_accuracy"])
    return {
        name: {
            "seeds": len(values),
            "mean_test_accuracy": round(statistics.mean(values), 4),
            "worst": min(values),
            "best": max(values),
        }
        for name, values in accuracies.items()
    }


if __name__ == "__main__":
    main()
