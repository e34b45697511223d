"""Every isotropic family and what its parts are worth, on CIFAR-10 at equal cost and equal epochs.

    python benchmarks/small_data.py ../shared/data/cifar10-jpg/cifar10_jpg.zip
    python benchmarks/small_data.py CIFAR10.zip --only mixer convmixer --epochs 1 --images 5000

About ten million multiply-accumulates an image each, 32 pixels, patches of 4 (64 tokens), the same
optimizer, no augmentation. `shuffled` rows see images whose 64 patches are permuted, all by the
same permutation: a Mixer must not care, a ConvMixer must. `mlp` is the plain MLP of the same cost.
The test part is looked at once, after the last epoch. A row that the file has already, measured
with the same settings, is kept: the run can be stopped and started again.
"""

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

import allmlp
from allmlp.bench import describe_machine
from allmlp.data import BrokenImages, ImageSet, Preprocess, load_source, prepare
from allmlp.zoo.macs import count_macs

RESULTS = Path(__file__).parent / "results"
PATCH = 4
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
COMMON = {"img_size": 32, "num_classes": 10}


@dataclass(frozen=True)
class Row:
    """A network, and what is done to its images."""

    name: str
    overrides: dict[str, Any] = field(default_factory=dict)
    shuffled: bool = False

    def build(self) -> nn.Module:
        sizes: dict[str, Any] = {**COMMON, **self.overrides}
        return allmlp.create_model(self.name, **sizes)


MIXER = {"patch_size": PATCH, "width": 64, "depth": 4, "token_hidden": 32, "channel_hidden": 256}
RESMLP = {"patch_size": PATCH, "width": 64, "depth": 4, "channel_hidden": 256}
GMLP = {"patch_size": PATCH, "width": 64, "depth": 3, "hidden": 384}
CONVMIXER = {"patch_size": PATCH, "width": 128, "depth": 8, "kernel_size": 5}
B_MLP = {"width": 512, "depth": 4}
PLAIN = {"width": 1024, "depth": 7, "block": "standard"}
GATED = {"channel_hidden": 171}  # three matrices of two thirds of the width

ROWS = {
    "mixer": Row("mixer_nano", MIXER),
    "resmlp": Row("resmlp_s12", RESMLP),
    "gmlp": Row("gmlp_ti16", GMLP),
    "convmixer": Row("convmixer_256_8", CONVMIXER),
    "scaling_mlp": Row("scaling_mlp_b6_w512", B_MLP),
    "mlp": Row("scaling_mlp_s6_w2048", PLAIN),
    "mixer, no norm": Row("mixer_nano", {**MIXER, "norm": "none"}),
    "mixer, affine for norm": Row("mixer_nano", {**MIXER, "norm": "affine"}),
    "mixer, no residual": Row("mixer_nano", {**MIXER, "residual": "none"}),
    "mixer, bilinear": Row("mixer_nano", {**MIXER, **GATED, "mlp": "bilinear"}),
    "mixer, swiglu": Row("mixer_nano", {**MIXER, **GATED, "mlp": "swiglu"}),
    "mixer, conv stem": Row("mixer_nano", {**MIXER, "stem": "conv"}),
    "mixer, shuffled": Row("mixer_nano", MIXER, shuffled=True),
    "convmixer, shuffled": Row("convmixer_256_8", CONVMIXER, shuffled=True),
    "mlp, shuffled": Row("scaling_mlp_s6_w2048", PLAIN, shuffled=True),
}


def read(source: str, part: str, count: int | None) -> ImageSet:
    """One part, decoded; the first `count` of a fixed shuffle of it."""
    images = load_source(source).part(part)
    preprocess = Preprocess(img_size=(32, 32), in_chans=3, mean=CIFAR_MEAN, std=CIFAR_STD)
    if count is not None and count < len(images):
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        images = images.take(order[:count])
    broken = BrokenImages(len(images), 0.0)
    found = prepare(images, preprocess, broken=broken, cache_gib=2.0)
    assert isinstance(found, ImageSet)  # 32 pixels fit into memory
    return found


def normalised(images: ImageSet, shuffled: bool) -> Tensor:
    """Floats; with the patches of all images permuted alike, if wanted."""
    preprocess = Preprocess(img_size=(32, 32), in_chans=3, mean=CIFAR_MEAN, std=CIFAR_STD)
    pixels = preprocess.normalize(images.images)
    if not shuffled:
        return pixels
    patches = rearrange(pixels, "b c (y p) (x q) -> b (y x) c p q", p=PATCH, q=PATCH)
    order = torch.randperm(patches.shape[1], generator=torch.Generator().manual_seed(1))
    side = 32 // PATCH
    return rearrange(patches[:, order], "b (y x) c p q -> b c (y p) (x q)", y=side)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    right = 0
    with torch.inference_mode():
        for part, of in zip(images.split(500), labels.split(500), strict=True):
            right += int((model(part).argmax(1) == of).sum())
    return right / len(labels)


def measure(row: Row, train: ImageSet, test: ImageSet, settings: dict[str, Any]) -> dict[str, Any]:
    """Train one network and judge it once."""
    torch.manual_seed(settings["seed"])
    with torch.device("meta"):
        macs = count_macs(row.build(), (3, 32, 32))
    model = row.build()
    started = time.perf_counter()
    history = allmlp.fit(
        model,
        normalised(train, row.shuffled),
        train.labels,
        epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        lr=settings["lr"],
        weight_decay=settings["weight_decay"],
        schedule="cosine",
        warmup=settings["warmup"],
        clip=1.0,
        precision="bf16",
        seed=settings["seed"],
        log_every=100,
    )
    seconds = time.perf_counter() - started
    images = len(train) * settings["epochs"]
    right = accuracy(model.eval(), normalised(test, row.shuffled), test.labels)
    return {
        "network": row.name,
        "overrides": row.overrides,
        "shuffled": row.shuffled,
        "parameters": sum(p.numel() for p in model.parameters()),
        "macs": macs,
        "test_accuracy": round(right, 4),
        "last_loss": round(history["train/loss"][-1], 4),
        "images_per_second": round(images / seconds),
        "seconds": round(seconds, 1),
        "settings": settings,
        "machine": describe_machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="CIFAR-10 in any form that allmlp reads")
    parser.add_argument("--only", choices=ROWS, nargs="+", default=list(ROWS))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--images", type=int, help="of the training part; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "small_data.json")
    arguments = parser.parse_args()

    stored = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    train = read(arguments.data, "train", arguments.images)
    test = read(arguments.data, "test", None)
    steps = -(-len(train) // 128)
    settings = {
        "epochs": arguments.epochs,
        "images": len(train),
        "batch_size": 128,
        "lr": 2e-3,
        "weight_decay": 0.05,
        "warmup": steps // 2,
        "seed": arguments.seed,
    }
    for name in arguments.only:
        if stored.get(name, {}).get("settings") == settings:
            continue
        stored[name] = measure(ROWS[name], train, test, settings)
        told = ("test_accuracy", "macs", "parameters", "images_per_second", "seconds")
        print(name, {key: stored[name][key] for key in told}, flush=True)
        ordered = {row: stored[row] for row in ROWS if row in stored}
        arguments.out.write_text(json.dumps(ordered, indent=1) + "\n")


if __name__ == "__main__":
    main()
