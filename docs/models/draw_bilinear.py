"""Draw the pictures of docs/models/bilinear.md, from networks that bilinear_mnist.py kept.

python benchmarks/bilinear_mnist.py MNIST.zip --weights WEIGHTS
python docs/models/draw_bilinear.py WEIGHTS
"""

import argparse
import json
from pathlib import Path

import matplotlib as mpl
import torch

mpl.use("svg")
import matplotlib.pyplot as plt

from allmlp.interpret import draw_images
from allmlp.interpret.bilinear import eigenfeatures
from allmlp.zoo import load_model

OUT = Path(__file__).parent / "pictures"
RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "bilinear_mnist.json"
INK, ACCENT, SECOND, PALE = "#222222", "#1b7f79", "#d95f02", "#95a5a6"


def draw_features(weights: Path) -> None:
    """The strongest positive eigenvector of every digit, with the recipe and without."""
    rows = []
    for name in ("recipe0", "plain0"):
        features = eigenfeatures(load_model(weights / name))
        top = (features.values > 0).double().argmax(1)
        rows.append(features.directions[torch.arange(10), top])
    titles = [f"{digit}" for digit in range(10)] + [""] * 10
    figure = draw_images(torch.cat(rows).unflatten(1, (28, 28)), titles, columns=10)
    figure.savefig(OUT / "bilinear_features.png", dpi=70)


def draw_curves() -> None:
    """Accuracy by rank, and under masks of growing strength."""
    rows = [r for r in json.loads(RESULT.read_text())["rows"] if r["model"] == "bilinear"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for row in rows:
        curve = row["accuracy_by_rank"]
        left.plot([int(k) for k in curve], list(curve.values()), color=ACCENT, linewidth=1.2)
        left.axhline(row["test_accuracy"], color=PALE, linewidth=0.8)
    left.set_xlabel("eigenfeatures kept for each class")
    left.set_ylabel("test accuracy")
    for row in rows:
        masks = row["masks"]
        right.plot(masks["strengths"], masks["mask_accuracy"], color=SECOND, linewidth=1.2)
        right.plot(masks["strengths"], masks["permuted_accuracy"], color=PALE, linewidth=1.2)
    right.set_xlabel("strength of the mask (its norm)")
    right.set_ylabel("accuracy on the other digits")
    right.text(3.0, 0.25, "mask for 3", color=SECOND)
    right.text(4.5, 0.9, "pixels permuted", color=INK)
    for axes in (left, right):
        axes.set_ylim(0, 1.02)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(OUT / "bilinear_curves.svg", metadata={"Date": None})


def main() -> None:
    """Both pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", type=Path)
    draw_features(parser.parse_args().weights)
    draw_curves()


if __name__ == "__main__":
    main()
