"""Train a bilinear MLP, and read from its weights alone what it looks for.

python examples/40_bilinear_digits.py                   # scikit-learn's 8x8 digits, seconds
python examples/40_bilinear_digits.py mnist_png.zip --size 28 --epochs 20
python examples/40_bilinear_digits.py --picture features.png
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

import allmlp
from allmlp.data import Preprocess, load_source
from allmlp.interpret import draw_images
from allmlp.interpret.bilinear import effective_rank, eigenfeatures, explain, truncate
from allmlp.runs.config import DataConfig
from allmlp.runs.images import prepare_images


def read(source: str, size: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Flat pixels in [0, 1], and labels."""
    splits = load_source(source)
    preprocess = Preprocess(img_size=(size, size), in_chans=1, mean=(0.0,), std=(1.0,))
    parts = {"train": splits.train, "test": splits.test}
    found = {
        name: prepare_images(part, preprocess, DataConfig(source=source, workers=1))
        for name, part in parts.items()
    }
    return {name: (i.images.flatten(1).float() / 255, i.labels) for name, i in found.items()}


@torch.no_grad()
def accuracy(model: torch.nn.Module, x: Tensor, labels: Tensor) -> float:
    """Share of right answers."""
    return (model(x).argmax(1) == labels).float().mean().item()


def main() -> None:
    """Train, decompose, truncate, explain."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", default="digits")
    parser.add_argument("--size", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    parts = read(arguments.data, arguments.size)

    torch.manual_seed(0)
    model = allmlp.BilinearMLP(arguments.size**2, 10, hidden=128, input_noise=0.3)
    recipe = {"lr": 3e-3, "weight_decay": 1.0, "batch_size": 128, "schedule": "cosine"}
    allmlp.fit(model, *parts["train"], epochs=arguments.epochs, **recipe)
    model.eval()
    x, labels = parts["test"]
    print(f"test accuracy {accuracy(model, x, labels):.1%}")

    features = eigenfeatures(model)  # exact: the contributions add up to the logits
    error = (features.logits(x) - model(x)).abs().max().item()
    print(f"largest difference to the forward pass {error:.1e}")  # of its float32
    print(f"effective rank of the classes {effective_rank(features.values).mean():.1f}")
    for k in (1, 2, 5, 10, 20):
        small = truncate(model, k)  # a smaller module, k neurons a class
        print(f"{k:>3} features a class: {accuracy(small, x, labels):.1%}")

    found = explain(model, x[0])
    answer = int(found.logits.argmax())
    supports, opposes = found.speaks(answer, 3)
    print(f"first test image, a {labels[0]}, answered {answer}:")
    for feature in supports + opposes:
        print(
            f"  feature {feature:>2} of class {answer}: {found.contributions[answer, feature]:+.2f}"
        )

    if arguments.picture:
        shape = (arguments.size, arguments.size)
        top = (features.values > 0).double().argmax(1)  # strongest positive feature
        images = features.directions[torch.arange(10), top].unflatten(1, shape)
        draw_images(images, [f"class {c}" for c in range(10)]).savefig(arguments.picture)


if __name__ == "__main__":
    main()
