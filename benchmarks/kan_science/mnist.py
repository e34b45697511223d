"""A KAN beside MLPs on MNIST: at equal parameters, equal FLOPs, equal time; epochs to an accuracy.

    python benchmarks/kan_science/mnist.py ../shared/data/mnist-png/mnist_png.zip --epochs 10

The KAN is [784, WIDTH, 10] on five intervals, cubic; an MLP has one hidden layer of GELUs and a
width such that it has as many parameters, or as many FLOPs an image. FLOPs are those of an
implementation that computes an input's basis once for all its edges: 2 (G + k) + 2 an edge, 25 an
input for the basis, 5 for SiLU; a GELU is counted as 8. "Time" is the MLP of equal FLOPs with as
many epochs as take the KAN's processor time, measured beforehand by turns.

All are trained alike: AdamW, batches of 128, float32, pixels from -1 to 1, no augmentation. 6,000
of the 60,000 images (seed 0) choose the learning rate (of RATES) and the epoch; the 10,000 test
images choose nothing. `epochs_to` counts epochs until the 6,000 are classified so well, at the
chosen rate; null is never. Rows (model, seed) are written as they come; a second call measures what
is missing.
"""

import argparse
import itertools
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from allmlp import KAN, fit
from allmlp.bench import Record, take_turns
from allmlp.data import Preprocess, load_source
from allmlp.runs.config import DataConfig
from allmlp.runs.images import prepare_images

RESULT = Path(__file__).parents[1] / "results" / "kan_mnist_compared.json"
WIDTH, GRID, DEGREE = 64, 5, 3
PIXELS, CLASSES = 784, 10
RATES = (1e-3, 3e-3)
LEVELS = (0.95, 0.96, 0.97, 0.975, 0.98)
MODELS = ("kan", "mlp, equal parameters", "mlp, equal FLOPs", "mlp, equal time")
Part = tuple[Tensor, Tensor]


def flops(model: nn.Module) -> int:
    """Of one image, forward."""
    if isinstance(model, KAN):
        edges = PIXELS * WIDTH + WIDTH * CLASSES
        return edges * (2 * (GRID + DEGREE) + 2) + (25 + 5) * (PIXELS + WIDTH)
    hidden = model[0].out_features  # type: ignore[index]
    return int(2 * hidden * (PIXELS + CLASSES) + 8 * hidden)


def make(name: str) -> nn.Module:
    kan = KAN([PIXELS, WIDTH, CLASSES], grid=GRID, k=DEGREE)
    if name == "kan":
        return kan
    if name == "mlp, equal parameters":
        hidden = round((kan.count_parameters() - CLASSES) / (PIXELS + CLASSES + 1))
    else:
        hidden = round(flops(kan) / (2 * (PIXELS + CLASSES) + 8))
    return nn.Sequential(nn.Linear(PIXELS, hidden), nn.GELU(), nn.Linear(hidden, CLASSES))


def decode(source: str) -> dict[str, Part]:
    splits = load_source(source)
    bare = Preprocess(img_size=(28, 28), in_chans=1, mean=(0.0,), std=(1.0,))
    found = {}
    for name, parts in (("train", (splits.train, splits.val)), ("test", (splits.test,))):
        sets = [prepare_images(part, bare, DataConfig(source=source)) for part in parts]
        pixels = torch.cat([s.images for s in sets]).flatten(1).float() / 127.5 - 1
        found[name] = pixels, torch.cat([s.labels for s in sets])
    x, y = found["train"]
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    held = order[: len(x) // 10]
    rest = order[len(x) // 10 :]
    return {"train": (x[rest], y[rest]), "val": (x[held], y[held]), "test": found["test"]}


def ratio_of_epochs(data: dict[str, Part]) -> float:
    """Epochs of the MLP of equal FLOPs that take the time of one of the KAN."""
    x, y = (t[:6400] for t in data["train"])
    models = {name: make(name) for name in (MODELS[0], MODELS[2])}

    def epoch(model: nn.Module) -> None:
        fit(model, x, y, epochs=1, batch_size=128)

    times = take_turns(
        {name: lambda m=model: epoch(m) for name, model in models.items()},
        rounds=3,
        warmup=1,
        clock=time.process_time,
    )
    return times[MODELS[0]].min / times[MODELS[2]].min


def measure(name: str, seed: int, epochs: int, data: dict[str, Part]) -> dict[str, Any]:
    count = epochs
    if name == "mlp, equal time":
        count = max(1, round(epochs * ratio_of_epochs(data)))
    found = []
    for lr in RATES:
        torch.manual_seed(seed)
        model = make(name)
        started = time.process_time()
        history = fit(
            model,
            *data["train"],
            epochs=count,
            batch_size=128,
            lr=lr,
            validation=data["val"],
            metric="accuracy",
            keep_best=True,
            seed=seed,
        )
        seconds = time.process_time() - started
        with torch.no_grad():
            hits = (model(data["test"][0]).argmax(1) == data["test"][1]).double().mean()
        curve = [r["val/accuracy"] for r in history.records if "val/accuracy" in r]
        found.append((max(curve), lr, float(hits), curve, seconds))
    _, lr, accuracy, curve, seconds = max(found, key=lambda one: one[0])
    reached = {
        str(level): next((n for n, value in enumerate(curve, 1) if value >= level), None)
        for level in LEVELS
    }
    return {
        "model": name,
        "seed": seed,
        "test_accuracy": accuracy,
        "lr": lr,
        "epochs": count,
        "epochs_to": reached,
        "val_accuracy": [round(value, 4) for value in curve],
        "parameters": sum(p.numel() for p in model.parameters()),
        "flops": flops(model),
        "cpu_seconds": round(seconds, 1),
    }


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    table = []
    for name in MODELS:
        own = [row for row in rows if row["model"] == name]
        if own:
            accuracies = [row["test_accuracy"] for row in own]
            table.append(
                {
                    "model": name,
                    "seeds": len(own),
                    "test_accuracy": statistics.mean(accuracies),
                    "test_accuracy_of_seeds": accuracies,
                    "epochs_to": own[0]["epochs_to"],
                    "parameters": own[0]["parameters"],
                    "flops": own[0]["flops"],
                    "cpu_seconds": statistics.median(row["cpu_seconds"] for row in own),
                }
            )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="zip of the images, PART/CLASS/IMAGE")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", type=int, help="of the training, to try the script out")
    parser.add_argument("--result", type=Path, default=RESULT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = {"epochs": args.epochs, "images": args.images, "rates": RATES}
    record = Record(args.result, ("seed", "model"), settings, summarise)
    data = decode(args.source)
    if args.images is not None:
        x, y = data["train"]
        data["train"] = x[: args.images], y[: args.images]
    for seed, name in record.missing(itertools.product(range(args.seeds), args.models)):
        record.add(measure(name, seed, args.epochs, data))
    record.print_table()


if __name__ == "__main__":
    main()
