"""Bilinear against ReLU networks of equal parameters, and bilinear against GELU Mixers.

    python benchmarks/bilinear_table.py digits
    python benchmarks/bilinear_table.py mnist ../shared/data/mnist-png/mnist_png.zip
    python benchmarks/bilinear_table.py cifar10 ../shared/data/cifar10-jpg/cifar10_jpg.zip
    python benchmarks/bilinear_table.py mixer ../shared/data/cifar10-jpg/cifar10_jpg.zip --epochs 5

Rows are written as they are measured, and a second call measures what is missing. The first three:
one hidden layer on flat pixels in [0, 1], the same recipe and noise for both; the learning rate is
the best of three by the validation part, for each model. `mixer`: `mixer_nano` with a bilinear
channel MLP of 2/3 the hidden width, its GELU twin, the same loop; then every block's channel MLP is
decomposed, and its eigenfeatures compared with its forward pass on the block's own inputs.
"""

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import allmlp
from allmlp.bench import describe_machine, take_turns
from allmlp.data import Preprocess, load_source
from allmlp.files import write_text
from allmlp.interpret.bilinear import effective_rank, eigenfeatures, hosvd
from allmlp.layers import GaussianNoise
from allmlp.runs.config import DataConfig
from allmlp.runs.images import prepare_images

RESULTS = Path(__file__).parent / "results"
LEARNING_RATES = (1e-3, 3e-3, 1e-2)
SETTINGS: dict[str, dict[str, Any]] = {
    "digits": {"img_size": 8, "in_chans": 1, "hidden": 128, "batch_size": 128, "epochs": 60},
    "mnist": {"img_size": 28, "in_chans": 1, "hidden": 256, "batch_size": 512, "epochs": 10},
    "cifar10": {"img_size": 32, "in_chans": 3, "hidden": 256, "batch_size": 512, "epochs": 20},
}
RECIPE = {"weight_decay": 1.0, "schedule": "cosine", "precision": "bf16"}
NOISE = {"digits": 0.3, "mnist": 0.5, "cifar10": 0.1}
MIXERS = {
    "GELU": {},
    "bilinear": {"mlp": "bilinear"},
}
MIXER_RECIPE: dict[str, Any] = {
    "train": {"batch_size": 128, "lr": 2e-3, "warmup": 0.5},
    "augment": {"shift": 3.0, "rotate": 0.0, "scale": 0.1},
}


def read(source: str, settings: dict[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
    """Flat pixels in [0, 1] and labels of the three parts."""
    size, splits = settings["img_size"], load_source(source)
    preprocess = Preprocess(
        img_size=(size, size),
        in_chans=settings["in_chans"],
        mean=(0.0,) * settings["in_chans"],
        std=(1.0,) * settings["in_chans"],
    )
    config = DataConfig(source=source, img_size=size, workers=1)
    parts = {"train": splits.train, "val": splits.val, "test": splits.test}
    images = {name: prepare_images(part, preprocess, config) for name, part in parts.items()}
    return {name: (i.images.flatten(1).float() / 255, i.labels) for name, i in images.items()}


def build(kind: str, inputs: int, hidden: int, noise: float) -> nn.Module:
    if kind == "bilinear":
        return allmlp.BilinearMLP(inputs, 10, hidden=hidden, bias=True, input_noise=noise)
    # as many weights with biases: 2 h (i + 1) + 10 h of the bilinear one
    wide = round((2 * hidden * (inputs + 1) + 10 * hidden - 10) / (inputs + 11))
    return nn.Sequential(
        GaussianNoise(noise), nn.Linear(inputs, wide), nn.ReLU(), nn.Linear(wide, 10)
    )


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, labels: Tensor) -> float:
    return round((model(x).argmax(1) == labels).float().mean().item(), 4)


def measure_flat(
    kind: str, lr: float, seed: int, settings: dict[str, Any], noise: float, parts: Any
) -> dict[str, Any]:
    torch.manual_seed(seed)
    inputs = parts["train"][0].shape[1]
    model = build(kind, inputs, settings["hidden"], noise)
    started = time.process_time()
    allmlp.fit(
        model,
        *parts["train"],
        lr=lr,
        epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        seed=seed,
        **RECIPE,
    )
    seconds = time.process_time() - started
    model.eval()
    return {
        "model": kind,
        "seed": seed,
        "lr": lr,
        "parameters": sum(p.numel() for p in model.parameters()),
        "val_accuracy": accuracy(model, *parts["val"]),
        "test_accuracy": accuracy(model, *parts["test"]),
        "cpu_seconds": round(seconds, 1),
    }


def overrides(kind: str) -> dict[str, Any]:
    chosen = dict(MIXERS[kind])
    if kind == "bilinear":
        hidden = allmlp.model_info("mixer_nano").config.channel_hidden
        chosen["channel_hidden"] = round(2 * hidden / 3)
    return chosen


def measure_mixer(kind: str, seed: int, epochs: int, source: str) -> dict[str, Any]:
    config = {
        "model": {"overrides": overrides(kind)},
        "train": {**MIXER_RECIPE["train"], "epochs": epochs},
        "augment": MIXER_RECIPE["augment"],
    }
    with tempfile.TemporaryDirectory() as folder:
        run = allmlp.train(
            config, data=source, model="mixer_nano", seed=seed, run=f"{folder}/run", progress=False
        )
        row = {
            "model": kind,
            "seed": seed,
            "parameters": sum(p.numel() for p in run.model.parameters()),
            "test_accuracy": round(run.scores()["accuracy"], 4),
        }
        if kind == "bilinear":
            row["blocks"] = decompose_blocks(run.model.cpu().eval())
    return row


@torch.no_grad()
def decompose_blocks(model: nn.Module) -> list[dict[str, Any]]:
    """Every channel MLP against its eigenfeatures, in float64, on what the block feeds it."""
    model = model.double()
    seen: list[Tensor] = []
    mlps = [block.channel_mlp for block in model.blocks]
    hooks = [mlp.register_forward_pre_hook(lambda _m, given: seen.append(given[0])) for mlp in mlps]
    shape = (model.config.in_chans, *model.config.img_size)
    model(torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)).double())
    for hook in hooks:
        hook.remove()
    found = []
    for mlp, tokens in zip(mlps, seen, strict=True):
        started = time.perf_counter()
        features = eigenfeatures(mlp)
        seconds = time.perf_counter() - started
        truth, error = mlp(tokens), 0.0
        for token, expected in zip(
            tokens.flatten(0, 1)[::8], truth.flatten(0, 1)[::8], strict=True
        ):
            error = max(error, (features.logits(token) - expected).abs().max().item())
        values = hosvd(mlp, k=0).values
        found.append(
            {
                "largest_error": float(f"{error:.1e}"),
                "relative_to": round(truth.abs().max().item(), 3),
                "effective_rank_of_a_channel": round(
                    effective_rank(features.values).mean().item(), 1
                ),
                "effective_rank_of_shared_forms": round(effective_rank(values).item(), 1),
                "seconds": round(seconds, 2),
            }
        )
    return found


def mixer_speed() -> dict[str, Any]:
    """Inference in fp32, batch 16, and training steps in bf16, batch 128: both twins by turns."""
    images, labels = torch.randn(128, 3, 32, 32), torch.randint(10, (128,))
    models = {k: allmlp.create_model("mixer_nano", **overrides(k)).eval() for k in MIXERS}

    def call(model: nn.Module) -> None:
        with torch.inference_mode():
            model(images[:16])

    def train(model: nn.Module) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        model.zero_grad()

    found: dict[str, Any] = {}
    for what, run, rounds in (("inference", call, 20), ("training step", train, 6)):
        times = take_turns({k: partial(run, model) for k, model in models.items()}, rounds=rounds)
        found[what] = {
            "seconds": {k: {"min": t.min, "median": t.median} for k, t in times.items()},
            "bilinear_over_gelu": round(times["bilinear"].median / times["GELU"].median, 3),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=[*SETTINGS, "mixer"])
    parser.add_argument("data", nargs="?", default="digits")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="other than the settings say")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    name = arguments.name
    out = arguments.out or RESULTS / f"bilinear_{name}_table.json"
    if name == "mixer":
        settings = {"epochs": arguments.epochs or 5, **MIXER_RECIPE}
    else:
        settings = {**SETTINGS[name], "input_noise": NOISE[name], **RECIPE}
        settings["epochs"] = arguments.epochs or settings["epochs"]
    result: dict[str, Any] = {"settings": settings, "rows": []}
    if out.exists():
        found = json.loads(out.read_text())
        if found["settings"] == settings:
            result = found
    rows = result["rows"]

    def keep(row: dict[str, Any]) -> None:
        rows.append(row)
        print(json.dumps(row), flush=True)
        save()

    def save() -> None:
        head = {"machine": describe_machine(), "data": Path(arguments.data).name}
        write_text(out, json.dumps({**head, **result}, indent=1) + "\n")

    def known(**wanted: Any) -> list[dict[str, Any]]:
        return [row for row in rows if all(row[k] == v for k, v in wanted.items())]

    if name == "mixer":
        if "speed" not in result:
            result["speed"] = mixer_speed()
            save()
        for seed in range(arguments.seeds):
            for kind in MIXERS:
                if not known(model=kind, seed=seed):
                    keep(measure_mixer(kind, seed, settings["epochs"], arguments.data))
        return
    parts = read(arguments.data, settings)
    for kind in ("bilinear", "relu"):
        for lr in LEARNING_RATES:
            if not known(model=kind, seed=0, lr=lr):
                keep(measure_flat(kind, lr, 0, settings, NOISE[name], parts))
        best = max(known(model=kind, seed=0), key=lambda row: row["val_accuracy"])["lr"]
        for seed in range(1, arguments.seeds):
            if not known(model=kind, seed=seed, lr=best):
                keep(measure_flat(kind, best, seed, settings, NOISE[name], parts))


if __name__ == "__main__":
    main()
