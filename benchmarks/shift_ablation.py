"""What mixing places is worth: a small CycleMLP with one thing changed, on small images.

    python benchmarks/shift_ablation.py CIFAR10 --epochs 5 --seeds 3                # the record
    python benchmarks/shift_ablation.py digits --epochs 2 --seeds 1 --images 512    # a smoke run

`cyclic`, `random` and `dilated` read three places in a branch, `none` (stepsize 1) reads one: equal
parameters. `convolution` has a dense 1 × 3 and a 3 × 1 convolution in the two branches, three times
their weights; its channel MLPs are narrower by as much, so that its parameters agree to 1 %. Two
stages, widths 64 and 128, three blocks each, images of 32 pixels, moved by up to 4 pixels and,
unless the data are digits, mirrored. Runs that the result file holds with the same settings are
kept: stop and start as you like.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import allmlp
from allmlp.bench import describe_machine
from allmlp.data import BrokenImages, ImageSet, Preprocess, load_source, prepare
from allmlp.layers import Mlp
from allmlp.layers.mix_block import MixBlock
from allmlp.models.cyclemlp import CycleMLP, CycleMLPConfig

RESULT = Path(__file__).parent / "results" / "shift_ablation.json"
WIDTHS, DEPTHS, SIDE = (64, 128), (3, 3), 32
CHANGES: dict[str, dict[str, Any]] = {
    "cyclic": {},
    "random": {"pattern": "random"},
    "dilated": {"pattern": "dilated"},
    "none": {"stepsize": 1},
    "convolution": {},
}


class Convolution(nn.Module):
    """A dense convolution where a CycleFC was."""

    def __init__(self, width: int, kernel: tuple[int, int]):
        super().__init__()
        self.conv = nn.Conv2d(width, width, kernel, padding=(kernel[0] // 2, kernel[1] // 2))
        # the std of a CycleFC, over three times the inputs
        nn.init.trunc_normal_(self.conv.weight, std=0.02 / 3**0.5)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def build(variant: str, channels: int, classes: int) -> CycleMLP:
    """The net of a variant; its random state is the caller's."""
    config = CycleMLPConfig(
        img_size=(SIDE, SIDE),
        in_chans=channels,
        widths=WIDTHS,
        depths=DEPTHS,
        mlp_ratios=(4, 4),
        num_classes=classes,
        **CHANGES[variant],
    )
    model = CycleMLP(config)
    if variant == "convolution":
        for block in model.modules():
            if isinstance(block, MixBlock):
                width = block.channel_norm.weight.shape[0]
                block.mix.along_w = Convolution(width, (1, 3))
                block.mix.along_h = Convolution(width, (3, 1))
                # 4 d² more in the branches, 2 d times fewer hidden units
                block.channel_mlp = Mlp(width, 2 * width)
                # no place is folded: a hook keeps the branches apart
                block.mix.proj.register_forward_hook(lambda module, inputs, output: None)
    return model


class Moved:
    """Batches of training images in a new order and place every time they are asked for."""

    def __init__(self, images: ImageSet, batch: int, mean: Tensor, std: Tensor, mirror: bool):
        self.images, self.batch, self.mean, self.std, self.mirror = images, batch, mean, std, mirror
        self.generator = torch.Generator()

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        draw = self.generator
        for chosen in torch.randperm(len(self.images), generator=draw).split(self.batch):
            padded = F.pad((self.images.images[chosen].float() - self.mean) / self.std, (4,) * 4)
            y, x = torch.randint(0, 9, (2,), generator=draw).tolist()
            pixels = padded[:, :, y : y + SIDE, x : x + SIDE]
            if self.mirror:
                turned = torch.rand(len(chosen), 1, 1, 1, generator=draw) < 0.5
                pixels = torch.where(turned, pixels.flip(3), pixels)
            yield pixels, self.images.labels[chosen]


def in_memory(images: Any, channels: int) -> ImageSet:
    preprocess = Preprocess(
        img_size=(SIDE, SIDE), in_chans=channels, mean=(0.0,) * channels, std=(1.0,) * channels
    )
    found = prepare(images, preprocess, broken=BrokenImages(len(images), 0.0), cache_gib=4.0)
    assert isinstance(found, ImageSet)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="as `allmlp train` takes it")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, help="of the training part; all by default")
    parser.add_argument("--variants", nargs="+", choices=CHANGES, default=list(CHANGES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    splits = load_source(arguments.data)
    channels = splits.train.in_chans if isinstance(splits.train, ImageSet) else 3
    train, test = in_memory(splits.train, channels), in_memory(splits.test, channels)
    if arguments.images:
        train = train.take(torch.arange(min(arguments.images, len(train))))
    pixels = train.images.float()
    mean, std = (m[:, None, None] for m in (pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))))
    settings = {
        "data": Path(arguments.data).name,
        "training_images": len(train),
        "epochs": arguments.epochs,
        "batch": 128,
        "lr": 2e-3,
        "weight_decay": 0.05,
        "precision": "bf16",
        "widths": WIDTHS,
        "depths": DEPTHS,
    }
    rows: list[dict[str, Any]] = []
    if arguments.out.is_file():
        stored = json.loads(arguments.out.read_text())
        if stored["settings"] == json.loads(json.dumps(settings)):
            rows = stored["rows"]
    judged = ((test.images.float() - mean) / std, test.labels)
    for seed in range(arguments.seeds):
        for variant in arguments.variants:
            if any((row["variant"], row["seed"]) == (variant, seed) for row in rows):
                continue
            torch.manual_seed(seed)
            model = build(variant, channels, len(train.classes))
            moved = Moved(train, 128, mean, std, mirror=arguments.data != "digits")
            moved.generator.manual_seed(seed)
            started = time.perf_counter()
            history = allmlp.fit(
                model,
                moved,
                validation=judged,
                epochs=arguments.epochs,
                lr=settings["lr"],
                weight_decay=settings["weight_decay"],
                schedule="cosine",
                warmup=len(moved),
                clip=1.0,
                precision="bf16",
                seed=seed,
            )
            row = {
                "variant": variant,
                "seed": seed,
                "parameters": sum(p.numel() for p in model.parameters()),
                "test_accuracy": round(history["val/accuracy"][-1], 4),
                "train_loss": round(history["train/loss"][-1], 4),
                "seconds": round(time.perf_counter() - started, 1),
            }
            rows.append(row)
            print(json.dumps(row), flush=True)
            means = {
                name: round(statistics.mean(found), 4)
                for name in CHANGES
                if (found := [r["test_accuracy"] for r in rows if r["variant"] == name])
            }
            result = {
                "machine": describe_machine(),
                "settings": settings,
                "mean_test_accuracy": means,
                "rows": rows,
            }
            arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
