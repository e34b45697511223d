"""KAN layers on a card against the matrix products that they cannot do without, and peers.

    python benchmarks/kan_gpu_speed.py --tune --peer efficient-kan=PATH --peer fast-kan=PATH

Contestants are those of `kan_speed.py`: `floor` is three products per layer on a basis that exists
already, `allmlp` ours by the kernels of `ops.spline_triton`, `torch` ours without them. float32 is
exact, tf32 is `torch.set_float32_matmul_precision("high")`, bfloat16 is autocast. Times are
[fastest, median] of the rounds, in milliseconds; contestants take turns; quote ratios. `held` is
what autograd keeps between forward and backward, `peak` what a step needs beyond what is there
before it, in MB.

`--tune` looks for the fastest tiles first: from those of `ops.fused.BLOCKS` on, every size is
halved and doubled as long as something becomes faster by a percent, for the layer [1024, 1024] at
batch 8192 and grid 5. The record and the output hold them in the form of that table, into which
they are copied by hand. Every candidate is compiled, some seconds each.

Cells that the result has already for this card are kept: remove the file to start anew.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from kan_memory import held
from kan_speed import Contestant, peer_model, products
from torch import Tensor, nn

from allmlp.bench import Timing, describe_machine, take_turns
from allmlp.layers import KANLinear
from allmlp.ops import fused

RESULTS = Path(__file__).parent / "results"
CELLS = [
    (widths, 8192, grid, precision)
    for widths in ([1024, 1024], [784, 512, 10])
    for grid in (5, 20)
    for precision in ("bfloat16", "tf32", "float32")
]
MADE = {"bfloat16": "half", "tf32": "tf32", "float32": "float32"}
DTYPES = {"bfloat16": torch.bfloat16, "tf32": torch.float32, "float32": torch.float32}
BETTER = 0.99


def network(model: nn.Module, x: Tensor, precision: str) -> Contestant:
    def run(x: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bfloat16"):
            return model(x)

    def forward() -> None:
        with torch.no_grad():
            run(x)

    cotangent = torch.randn_like(run(x))

    def step() -> None:
        model.zero_grad()
        x.grad = None
        run(x).backward(cotangent)

    return forward, step, round(held(model, run, x), 2)


def without_kernels(contestant: Contestant) -> Contestant:
    module: Any = fused

    def wrap(call: Callable[[], object]) -> Callable[[], None]:
        def wrapped() -> None:
            before, module.kernels = module.kernels, lambda: None
            try:
                call()
            finally:
                module.kernels = before

        return wrapped

    forward, step, kept = contestant
    return wrap(forward), wrap(step), kept


def peak(step: Callable[[], object]) -> float:
    step()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return round((torch.cuda.max_memory_allocated() - before) / 1e6, 1)


def measure(
    cell: tuple[list[int], int, int, str], peers: dict[str, str], rounds: int
) -> dict[str, Any]:
    widths, batch, grid, precision = cell
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.manual_seed(0)
    pairs = list(pairwise(widths))
    with torch.device("cuda"):
        x = (torch.rand(batch, widths[0]) * 2 - 1).requires_grad_()
        ours = nn.Sequential(*(KANLinear(i, o, grid=grid, k=3) for i, o in pairs))
        linear = nn.Sequential(*(nn.Linear(i, o) for i, o in pairs))
        contestants = {
            "floor": products(widths, batch, grid + 4, DTYPES[precision]),
            "linear": network(linear, x, precision),
            "allmlp": network(ours, x, precision),
        }
        contestants["torch"] = without_kernels(contestants["allmlp"])
        for name, path in peers.items():
            model = peer_model(name, path, widths, grid).cuda()
            contestants[name] = network(model, x, precision)
    row: dict[str, Any] = {
        "widths": widths,
        "batch": batch,
        "grid": grid,
        "precision": precision,
        "rounds": rounds,
        "held_MB": {name: contestant[2] for name, contestant in contestants.items()},
        "peak_MB": {name: peak(contestant[1]) for name, contestant in contestants.items()},
    }
    for position, what in enumerate(("forward", "step")):
        calls = {name: contestant[position] for name, contestant in contestants.items()}
        times = take_turns(calls, rounds=rounds, warmup=5, device="cuda")
        row[f"{what}_ms"] = {name: _both(timing, 1e-3) for name, timing in times.items()}
        row[f"{what}_by_floor"] = {
            name: [
                round(timing.min / times["floor"].min, 3),
                round(timing.median / times["floor"].median, 3),
            ]
            for name, timing in times.items()
        }
    return row


def _both(timing: Timing, unit: float) -> list[float]:
    return [round(timing.min / unit, 4), round(timing.median / unit, 4)]


def neighbours(blocks: fused.Blocks) -> Iterator[fused.Blocks]:
    for name in blocks._fields:
        value = getattr(blocks, name)
        sizes = [value - 1, value + 1] if name == "stages" else [value // 2, value * 2]
        least = 16 if name in ("samples", "outputs") else 1
        yield from (blocks._replace(**{name: size}) for size in sizes if size >= least)


def fits(wanted: str, blocks: fused.Blocks) -> bool:
    # a product takes at least 16 along each axis; larger tiles only cost minutes to compile
    columns = blocks.functions * blocks.inputs
    tile = {
        "y": blocks.samples * blocks.outputs,
        "w": blocks.outputs * columns,
        "s": blocks.samples * columns,
    }[wanted]
    return columns >= 16 and tile <= 2**15 and blocks.warps <= 16


def tune(wanted: str, precision: str, rounds: int) -> tuple[fused.Blocks, dict[str, Any]]:
    """The fastest tiles near those of the table; what was tried, in microseconds [min, median]."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.manual_seed(0)
    key, dtype = (wanted, MADE[precision]), DTYPES[precision]
    with torch.device("cuda"):
        layer = KANLinear(1024, 1024, grid=5, k=3)
        x = torch.rand(8192, 1024) * 2 - 1
        y, w = torch.randn(8192, 1024).to(dtype), layer.spline_weight.detach().to(dtype)
    slots, out = {
        "y": ((None, None, w), torch.empty_like(y)),
        "w": ((None, y, None), torch.empty_like(w)),
        "s": ((None, y, w), torch.empty_like(x)),
    }[wanted]
    expansion, knots = layer.basis.expansion, layer.basis.knots

    def seconds(blocks: fused.Blocks) -> Timing | None:
        fused.BLOCKS[key] = blocks

        def call() -> None:
            fused.fused_product(expansion, int(wanted == "s"), x, *slots, knots, out)

        try:
            return take_turns({"": call}, rounds=rounds, device="cuda")[""]
        except Exception as failure:  # more shared memory or registers than there are
            print(f"  {blocks}: {type(failure).__name__}")
            return None

    best = fused.BLOCKS[key]
    tried: dict[str, Any] = {}
    fastest = seconds(best)
    if fastest is None:
        raise SystemExit(f"the tiles in ops.fused.BLOCKS[{key}] do not work on this card")
    tried[str(best)] = _both(fastest, 1e-6)
    improved = True
    while improved:
        improved = False
        for blocks in neighbours(best):
            if str(blocks) in tried or not fits(wanted, blocks):
                continue
            timing = seconds(blocks)
            tried[str(blocks)] = None if timing is None else _both(timing, 1e-6)
            if timing is not None and timing.median < BETTER * fastest.median:
                best, fastest, improved = blocks, timing, True
    fused.BLOCKS[key] = best
    return best, tried


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tune", action="store_true", help="look for the fastest tiles first")
    parser.add_argument("--peer", action="append", default=[], help="NAME=PATH")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--cells", type=int, nargs="*", default=range(len(CELLS)))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit(
            "kan_gpu_speed.py measures kernels on a card, but torch sees no CUDA device here; run "
            "it on a machine that has one (on a processor: benchmarks/kan_speed.py)"
        )
    if fused.INTERPRETED or fused.kernels() is None:
        raise SystemExit(
            "kan_gpu_speed.py needs Triton, compiled, but it cannot be imported or is switched "
            "off; pip install triton, unset TRITON_INTERPRET and ALLMLP_TRITON"
        )
    peers = {name: path for name, _, path in (peer.partition("=") for peer in arguments.peer)}
    machine = describe_machine("cuda")
    card = re.sub(r"\W+", "_", machine["device"].lower())
    out = arguments.out or RESULTS / f"kan_gpu_speed_{card}.json"
    result: dict[str, Any] = {"machine": machine, "peers": sorted(peers), "blocks": {}, "rows": []}
    if out.exists():
        before = json.loads(out.read_text())
        result.update(rows=before["rows"], blocks=before["blocks"])
        result["peers"] = sorted({*peers, *before["peers"]})

    def keep() -> None:
        out.parent.mkdir(exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n")

    if arguments.tune:
        for wanted in "yws":
            for precision, made in MADE.items():
                best, tried = tune(wanted, precision, arguments.rounds)
                print(f'    ("{wanted}", "{made}"): {best},', flush=True)
                result["blocks"][f"{wanted} {made}"] = {"best": best._asdict(), "tried_us": tried}
                keep()
    for cell in (CELLS[number] for number in arguments.cells):
        names = ("widths", "batch", "grid", "precision")
        if any([row[name] for name in names] == list(cell) for row in result["rows"]):
            continue
        row = measure(cell, peers, arguments.rounds)
        row["blocks"] = {
            " ".join(key): list(blocks)
            for key, blocks in fused.BLOCKS.items()
            if key[1] == MADE[cell[3]]
        }
        print(json.dumps({key: row[key] for key in (*names, "forward_by_floor", "step_by_floor")}))
        result["rows"].append(row)
        keep()


if __name__ == "__main__":
    main()
