"""A plain MLP of three layers on MNIST, and what each regulariser does to it.

    python benchmarks/mlp_mnist.py ../shared/data/mnist-png/mnist_png.zip
    python benchmarks/mlp_mnist.py ../shared/data/mnist-png/mnist_png.zip --seeds 1 --rows 4

784-512-512-10, no augmentation, no pixel knows its neighbours. Every row is the first one with one
thing changed. Optimizer, schedule and epochs are equal for all and usual values that were not tuned
for any; the net of the last epoch is scored on the 10,000 test images, which choose nothing. A run
that is in the results already is kept: a stopped benchmark goes on where it was.
"""

import argparse
import json
import statistics
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

import allmlp
from allmlp import MLP
from allmlp.bench import describe_machine
from allmlp.data import Preprocess, load_source
from allmlp.runs.config import DataConfig
from allmlp.runs.images import prepare_images

RESULTS = Path(__file__).parent / "results" / "mlp_mnist.json"
WIDTHS = (512, 512)
TRAINING: dict[str, Any] = {
    "epochs": 20,
    "batch_size": 256,
    "lr": 1e-3,
    "schedule": "cosine",
    "warmup": 235,
    "weight_decay": 0.01,
    "precision": "bf16",
}
# changes of the net, changes of the training
ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "batch norm, dropout 0.5 before the head": ({"norm": "batch", "head_dropout_rate": 0.5}, {}),
    "dropout 0.5": ({"dropout_rate": 0.5}, {}),
    "dropout 0.2 of inputs": ({"input_dropout_rate": 0.2}, {}),
    "dropout 0.2 of inputs, 0.5 of units": ({"input_dropout_rate": 0.2, "dropout_rate": 0.5}, {}),
    "batch norm": ({"norm": "batch"}, {}),
    "layer norm": ({"norm": "layer"}, {}),
    "weight decay 0.3": ({}, {"weight_decay": 0.3}),
    "label smoothing 0.1": ({}, {"label_smoothing": 0.1}),
    "average of weights, decay 0.999": ({}, {"ema": 0.999}),
    "spectral norm": ({"weight_norm": "spectral"}, {}),
    "weight norm": ({"weight_norm": "weight"}, {}),
    "SwiGLU": ({"activation": "silu", "glu": True}, {}),
    "residual, layer norm, GELU": (
        {"block": "residual", "norm": "layer", "activation": "gelu", "expansion": 1.0},
        {},
    ),
    "batch norm behind dropout 0.5": ({"norm": "batch", "dropout_rate": 0.5}, {}),
}


def decode(source: str) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Standardised pixels and labels of all 60,000 training and all 10,000 test images."""
    splits = load_source(source)
    bare = Preprocess(img_size=(28, 28), in_chans=1, mean=(0.0,), std=(1.0,))
    found = {}
    for name, parts in (("train", (splits.train, splits.val)), ("test", (splits.test,))):
        sets = [prepare_images(part, bare, DataConfig(source=source)) for part in parts]
        pixels = torch.cat([s.images for s in sets]).flatten(1).float() / 255
        found[name] = pixels, torch.cat([s.labels for s in sets])
    mean, std = found["train"][0].mean(), found["train"][0].std()
    return {name: ((x - mean) / std, y) for name, (x, y) in found.items()}


def run(
    changes: tuple[dict[str, Any], dict[str, Any]],
    data: dict[str, tuple[torch.Tensor, torch.Tensor]],
    seed: int,
) -> dict[str, Any]:
    """One training and its scores."""
    options, training = changes
    training = {**TRAINING, **training}
    smoothing = training.pop("label_smoothing", 0.0)
    if smoothing:
        training["loss"] = partial(F.cross_entropy, label_smoothing=smoothing)
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the row that does what is warned of
        net = MLP(784, 10, WIDTHS, **options)
    started = time.perf_counter()
    allmlp.fit(net, *data["train"], seed=seed, log_every=10_000, **training)
    seconds = time.perf_counter() - started
    net.eval()
    scores = {}
    with torch.no_grad():
        for name, (x, y) in data.items():
            scores[name] = round(float((net(x).argmax(1) == y).double().mean()), 5)
    return {
        "seed": seed,
        "parameters": net.config.count_parameters(),
        **scores,
        "seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=len(ROWS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    known: dict[str, Any] = {"settings": {"widths": WIDTHS, **TRAINING}, "rows": {}}
    if arguments.out.exists():
        known = json.loads(arguments.out.read_text())
    data = decode(arguments.data)
    for seed in range(arguments.seeds):
        for name in list(ROWS)[: arguments.rows]:
            row = known["rows"].setdefault(name, {"runs": []})
            if any(found["seed"] == seed for found in row["runs"]):
                continue
            known["machine"] = describe_machine()
            row["runs"].append(run(ROWS[name], data, seed))
            row["test_mean"] = round(statistics.mean(r["test"] for r in row["runs"]), 5)
            arguments.out.write_text(json.dumps(known, indent=1) + "\n")
            print(f"{name}, seed {seed}: {row['runs'][-1]}", flush=True)


if __name__ == "__main__":
    main()
