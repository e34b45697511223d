"""Our CIFAR-10 recipe and the public one of the same network, for equally many epochs.

    python benchmarks/cifar10_recipe.py ../shared/data/cifar10-jpg/cifar10_jpg.zip
    python benchmarks/cifar10_recipe.py CIFAR10 --recipes cifar10_convmixer --epochs 26 \
        --out benchmarks/results/cifar10_convmixer.json
    python benchmarks/cifar10_recipe.py CIFAR10 --recipes cifar10_gpu cifar10_mixer_nano \
        --epochs 300 --out benchmarks/results/cifar10_recipe_gpu.json

Recipes are files of `recipes/`, three seeds each, by turns. With `--epochs` other than a recipe's
own its warm-up is scaled with them. Rows (recipe, seed) are written as they come, and a run that
was interrupted goes on (`--runs`); a second call measures what is missing. `seconds` are those of
training steps alone at their median speed, with as many threads as the record's machine says.
"""

import argparse
import itertools
import json
import statistics
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator

import allmlp
from allmlp.bench import Record
from allmlp.runs.config import Config
from allmlp.runs.config_tree import build_config, read_yaml, set_path

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
RESULT = ROOT / "benchmarks" / "results" / "cifar10_recipe.json"


def settings(recipe: str, epochs: int, data: str, seed: int, folder: Path) -> Config:
    """A recipe for so many epochs."""
    tree = read_yaml(ROOT / "recipes" / f"{recipe}.yaml")
    own = build_config(tree).train
    set_path(tree, "run.dir", str(folder))
    set_path(tree, "data.source", data)
    set_path(tree, "run.seed", seed)
    set_path(tree, "train.epochs", epochs)
    set_path(tree, "train.warmup", own.warmup_epochs * epochs / own.epochs)
    return build_config(tree)


def train_row(config: Config) -> dict[str, Any]:
    """One run, from where it was left, and its curves."""
    run = allmlp.train(config, resume="auto")
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").open(encoding="utf-8")]
    reports = [line for line in lines if "images_per_second" in line]
    evaluations = [line for line in lines if "val/accuracy" in line]
    steps, speed = reports[-1]["step"], statistics.median(r["images_per_second"] for r in reports)
    scores = run.scores()
    return {
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "steps": steps,
        "test_accuracy": scores["accuracy"],
        "test_images": scores["count"],
        "seconds": round(steps * config.train.batch_size / speed),
        "images_per_second": round(speed),
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
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the seeds of each recipe."""
    table = []
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        own = [row for row in rows if row["recipe"] == recipe]
        accuracies = [row["test_accuracy"] for row in own]
        table.append(
            {
                "recipe": recipe,
                "seeds": len(own),
                "mean_test_accuracy": round(statistics.mean(accuracies), 4),
                "worst": min(accuracies),
                "best": max(accuracies),
                "median_minutes": round(statistics.median(row["seconds"] for row in own) / 60, 1),
            }
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--recipes", nargs="+", default=["cifar10_cpu", "cifar10_mixer_nano"])
    parser.add_argument("--epochs", type=int, default=6, help="of every recipe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/cifar10_recipe"))
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    shared = {"data": Path(given.data).name, "epochs": given.epochs}
    record = Record(given.out, ("seed", "recipe"), shared, summarise)
    for seed, recipe in record.missing(itertools.product(given.seeds, given.recipes)):
        folder = given.runs / f"{recipe}-{given.epochs}-{seed}"
        row = train_row(settings(recipe, given.epochs, given.data, seed, folder))
        record.add({"recipe": recipe, "seed": seed, **row})
    record.print_table()
    draw(record.rows, PICTURES / f"{given.out.stem}.svg")


if __name__ == "__main__":
    main()
