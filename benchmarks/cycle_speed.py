"""A CycleMLP block against the linear layers in it, and CycleFC against the same as a gather.

    python benchmarks/cycle_speed.py
    OMP_NUM_THREADS=1 python benchmarks/cycle_speed.py --cpu-time   # on a machine that is shared
    python benchmarks/cycle_speed.py --device cuda --batches 1 128   # deform_conv2d as well

The floor of a block of stage s is its linear layers run alone by `torch.nn.functional.linear`, on
inputs of their shapes: three branches, gate, projection, MLP. Norms, GELU, shifts, means, weighing
and residual sums are what a block has beyond them. A block can be faster than its floor, where it
multiplies matrices first. CycleFC as torchvision's `deform_conv2d`, as the authors compute it, is
measured where torchvision's operators are there. All contestants are compared before the clock
starts.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from allmlp.bench import Timing, describe_machine, take_turns
from allmlp.layers.cycle import CycleFC
from allmlp.layers.mix_block import MixBlock
from allmlp.zoo import create_model

RESULTS = Path(__file__).parent / "results"
NAME = "cyclemlp_b2"
Turns = Callable[[dict[str, Callable[[], object]]], dict[str, Timing]]


def linears(block: MixBlock, x: Tensor) -> Callable[[], object]:
    """The products of a block, each by itself."""
    b, h, w, d = x.shape
    mix, mlp = block.mix, block.channel_mlp
    tokens, hidden = x.view(b, h * w, d), torch.randn(b, h * w, mlp.fc1.out_features).to(x)
    mean, narrow = tokens[:, 0], torch.randn(b, mix.fc1.out_features).to(x)

    def run() -> None:
        for layer, given in (
            (mix.along_w, tokens),
            (mix.along_h, tokens),
            (mix.channel, tokens),
            (mix.fc1, mean),
            (mix.fc2, narrow),
            (mix.proj, tokens),
            (mlp.fc1, tokens),
            (mlp.fc2, hidden),
        ):
            F.linear(given, layer.weight, layer.bias)

    return run


def by_gather(layer: CycleFC, x: Tensor) -> Callable[[], Tensor]:
    """CycleFC with an index for every number of the map, zeros around it."""
    _, h, w, d = x.shape
    rows, columns = torch.tensor(layer.pattern.offsets, device=x.device).T
    reach = int(max(rows.abs().max(), columns.abs().max()))
    y = torch.arange(h, device=x.device)[:, None, None] + rows + reach
    z = torch.arange(w, device=x.device)[None, :, None] + columns + reach
    places = (y * (w + 2 * reach) + z).view(1, h * w, d).expand(x.shape[0], -1, -1)

    def run() -> Tensor:
        padded = F.pad(x, (0, 0, reach, reach, reach, reach)).flatten(1, 2)
        read = padded.gather(1, places).view(x.shape)
        return F.linear(read, layer.weight, layer.bias)

    return run


def by_deformable(layer: CycleFC, x: Tensor) -> Callable[[], Tensor] | None:
    """CycleFC as the authors compute it; None without torchvision's operators."""
    try:
        from torchvision.ops import deform_conv2d
    except (ImportError, RuntimeError):
        return None
    b, h, w, d = x.shape
    offset = torch.tensor(layer.pattern.offsets, dtype=x.dtype, device=x.device)
    offset = offset.view(1, 2 * d, 1, 1)
    image, weight = x.permute(0, 3, 1, 2).contiguous(), layer.weight[:, :, None, None]

    def run() -> Tensor:
        return deform_conv2d(image, offset.expand(b, -1, h, w), weight, layer.bias)

    return run


def stirred(block: nn.Module) -> None:
    """Weights as after training: no layer, and no gate, without an effect."""
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.1)


def measure(stage: int, batch: int, device: str, turns: Turns) -> dict[str, Any]:
    model: Any = create_model(NAME)
    block: Any = model.stages[stage].blocks[0].eval().to(device)
    stirred(block)
    side, width = 56 >> stage, model.config.widths[stage]
    x = torch.randn(batch, side, side, width, device=device)
    times = turns({"block": lambda: block(x), "linears": linears(block, x)})
    for axis in ("along_w", "along_h"):
        layer = getattr(block.mix, axis)
        # by themselves: whoever followed the block would find its weights out of the cache
        contestants = {axis: partial(layer, x), f"{axis}, gather": by_gather(layer, x)}
        torch.testing.assert_close(contestants[f"{axis}, gather"](), layer(x), rtol=1e-3, atol=1e-4)
        if deformable := by_deformable(layer, x):
            theirs = deformable().permute(0, 2, 3, 1)
            torch.testing.assert_close(theirs, layer(x), rtol=1e-3, atol=1e-4)
            contestants[f"{axis}, deform_conv2d"] = deformable
        times |= turns(contestants)
    row: dict[str, Any] = {
        "stage": stage + 1,
        "map": f"{side}x{side}x{width}",
        "batch": batch,
        "ms": {
            name: [round(1e3 * t.min, 3), round(1e3 * t.median, 3)] for name, t in times.items()
        },
    }

    def ratio(one: str, other: str) -> list[float]:
        a, b = times[one], times[other]
        return [round(a.min / b.min, 3), round(a.median / b.median, 3)]

    row["block/linears"] = ratio("block", "linears")
    for name in times:
        axis, comma, other = name.partition(", ")
        if comma:
            row[f"{axis}/{other}"] = ratio(axis, name)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--cpu-time", action="store_true", help="processor time of this thread")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    device, rounds = arguments.device, arguments.rounds
    clock = time.thread_time if arguments.cpu_time else time.perf_counter
    turns = partial(take_turns, rounds=rounds, device=device, clock=clock)
    machine = {**describe_machine(device), "rounds": rounds, "clock": clock.__name__, "model": NAME}
    print(json.dumps(machine), flush=True)
    rows = []
    for batch in arguments.batches:
        for stage in range(4):
            with torch.inference_mode():
                row = measure(stage, batch, device, turns)
            rows.append(row)
            print(json.dumps(row), flush=True)
    out = arguments.out or RESULTS / f"cycle_speed_{device.partition(':')[0]}.json"
    out.parent.mkdir(exist_ok=True, parents=True)
    result = {"machine": machine, "milliseconds": "[min, median]", "rows": rows}
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
