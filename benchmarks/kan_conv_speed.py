"""A KAN convolution whose expansion is made image by image, beside one that holds all of it.

    python benchmarks/kan_conv_speed.py

A step is forward and backward with the gradient of the input, float32, G = 5, k = 3, 3 x 3 pixels.
`whole` is the same layer by plain operations on the expansion of the whole batch; `floor` the three
convolutions of a step on an expansion of m + 1 = 9 images per image that exists already; `conv` is
nn.Conv2d. Times are [fastest, median] of the rounds, in milliseconds; contestants take turns.
`held` is what autograd keeps between forward and backward, in MB, input and parameters not counted.
"""

import argparse
import json
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from kan_memory import held
from torch import Tensor, nn

from allmlp.bench import describe_machine, take_turns
from allmlp.layers import KANConv2d
from allmlp.ops import basis_convolution

RESULT = Path(__file__).parent / "results" / "kan_conv_speed.json"
# batch, channels in, out, pixels
CELLS = [(32, 16, 32, 32), (32, 64, 64, 16)]


def step(model: nn.Module, x: Tensor, cotangent: Tensor) -> None:
    model.zero_grad()
    x.grad = None
    model(x).backward(cotangent)


def within(context: Any, call: Callable[[], object]) -> None:
    with context:
        call()


def measure(cell: tuple[int, int, int, int], rounds: int) -> dict[str, Any]:
    batch, channels, out, pixels = cell
    torch.manual_seed(0)
    x = (2 * torch.rand(batch, channels, pixels, pixels) - 1).requires_grad_()
    kan = KANConv2d(channels, out, 3, padding=1)
    cotangent = torch.randn_like(kan(x))
    wide = torch.rand(batch, 9 * channels, pixels, pixels).to(memory_format=torch.channels_last)
    floor = nn.Conv2d(9 * channels, out, 3, padding=1, bias=False)
    plain = mock.patch.object(basis_convolution, "plain_needed", return_value=True)
    nothing = nullcontext()
    models: dict[str, tuple[nn.Module, Tensor, Any]] = {
        "allmlp": (kan, x, nothing),
        "whole": (kan, x, plain),
        "floor": (floor, wide.requires_grad_(), nothing),
        "conv": (nn.Conv2d(channels, out, 3, padding=1), x, nothing),
    }
    row: dict[str, Any] = {
        "batch": batch,
        "channels": [channels, out],
        "pixels": pixels,
        "threads": torch.get_num_threads(),
        "load_1min": describe_machine()["load_1min"],
        "rounds": rounds,
        "held_MB": {},
    }
    calls: dict[str, dict[str, Callable[[], None]]] = {"forward": {}, "step": {}}
    for name, (model, images, context) in models.items():
        with context:
            row["held_MB"][name] = round(held(model, model, images), 2)
        calls["forward"][name] = partial(within, context, partial(torch.no_grad()(model), images))
        calls["step"][name] = partial(within, context, partial(step, model, images, cotangent))
    for what in calls:
        times = take_turns(calls[what], rounds=rounds)
        row[f"{what}_ms"] = {
            name: [round(1e3 * t, 3) for t in (v.min, v.median)] for name, v in times.items()
        }
        row[f"{what}_by_floor"] = {
            name: [round(v.min / times["floor"].min, 3), round(v.median / times["floor"].median, 3)]
            for name, v in times.items()
        }
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows: list[dict[str, Any]] = []
    if arguments.out.exists():  # rows of other numbers of threads stay
        rows = json.loads(arguments.out.read_text())["rows"]
        rows = [row for row in rows if row["threads"] != arguments.threads]
    for cell in CELLS:
        rows.append(measure(cell, arguments.rounds))
        print(json.dumps(rows[-1]))
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(
        json.dumps({"machine": describe_machine(), "rows": rows}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
