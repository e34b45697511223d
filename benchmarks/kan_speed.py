"""A KAN layer against the matrix products that it cannot do without, a linear layer, and peers.

    pip install pykan
    python benchmarks/kan_speed.py --peer pykan --peer efficient-kan=PATH --peer fast-kan=PATH

`floor` is Y = Φ Wᵀ, and for a step dW = dYᵀ Φ and dΦ = dY W, on a Φ of G + k + 1 columns per input
(the base branch included) that exists already. `linear` is nn.Linear of the same widths. `torch` is
ours without compiled kernels, `dense` ours without the shorter way of fine grids, where it differs.
A step is forward and backward with the gradient of the input; times are [fastest, median] of the
rounds, in milliseconds. Contestants take turns; quote ratios. A peer takes turns with the floor
alone: after gigabytes of pykan's tensors nobody finds caches and memory as they were. `held` is
what autograd keeps between forward and backward, in MB (parameters and input not counted). k = 3,
inputs in [-1, 1].

Cells that the result has already, with the same number of threads and all the peers asked for, are
kept: remove the file to start anew. pykan stands aside where its tensors of batch x inputs x
outputs would take gigabytes.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from kan_memory import held
from torch import Tensor, nn

from allmlp.bench import describe_machine, take_turns
from allmlp.layers import KANLinear
from allmlp.ops import tiles

RESULT = Path(__file__).parent / "results" / "kan_speed.json"
# widths, batch, grid, precision
CELLS = [
    ([784, 64, 10], 256, 5, "float32"),
    ([784, 64, 10], 1024, 5, "float32"),
    ([256, 256], 1024, 5, "float32"),
    ([256, 256], 1024, 5, "bfloat16"),
    ([256, 256], 1024, 20, "float32"),
    ([64, 64], 1024, 20, "float32"),
    ([64, 64], 1024, 50, "float32"),
    ([64, 64], 1024, 200, "float32"),
    ([1024, 1024], 1024, 5, "float32"),
]
Contestant = tuple[Callable[[], object], Callable[[], object], float]  # forward, step, held


def products(widths: list[int], batch: int, columns: int, dtype: torch.dtype) -> Contestant:
    sizes = list(pairwise(widths))
    weights = [torch.randn(o, columns * i).to(dtype) for i, o in sizes]
    bases = [torch.randn(batch, columns * i).to(dtype) for i, _ in sizes]
    slopes = [torch.randn(batch, o).to(dtype) for _, o in sizes]
    triples = list(zip(bases, weights, slopes, strict=True))

    def forward() -> None:
        for basis, weight, _ in triples:
            basis @ weight.T

    def step() -> None:
        forward()
        for basis, weight, slope in triples:
            _products = slope.T @ basis, slope @ weight

    return forward, step, 0.0


def network(model: nn.Module, x: Tensor, dtype: torch.dtype) -> Contestant:
    def run(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
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


def switched(contestant: Contestant, name: str, value: object) -> Contestant:
    """The same with another value of `ops.tiles.name`, while it runs."""

    def wrap(call: Callable[[], object]) -> Callable[[], None]:
        def wrapped() -> None:
            before = getattr(tiles, name)
            setattr(tiles, name, value)
            try:
                call()
            finally:
                setattr(tiles, name, before)

        return wrapped

    forward, step, kept = contestant
    return wrap(forward), wrap(step), kept


def peer_model(name: str, path: str, widths: list[int], grid: int) -> nn.Module:
    if path:
        sys.path.insert(0, str(Path(path) / "src" if (Path(path) / "src").is_dir() else Path(path)))
    if name == "pykan":
        model = importlib.import_module("kan").MultKAN(
            list(widths), grid=grid, k=3, symbolic_enabled=False, save_act=False, auto_save=False
        )
        return model.speed()
    if name == "efficient-kan":
        return importlib.import_module("efficient_kan").KAN(widths, grid_size=grid, spline_order=3)
    if name == "fast-kan":
        return importlib.import_module("fastkan").FastKAN(widths, num_grids=grid + 3)
    raise SystemExit(f"unknown peer {name}: pykan, efficient-kan or fast-kan")


def measure(
    cell: tuple[list[int], int, int, str], peers: dict[str, str], rounds: int
) -> dict[str, Any]:
    widths, batch, grid, precision = cell
    dtype = getattr(torch, precision)
    torch.manual_seed(0)
    x = (torch.rand(batch, widths[0]) * 2 - 1).requires_grad_()
    pairs = list(pairwise(widths))
    ours = nn.Sequential(*(KANLinear(i, o, grid=grid, k=3) for i, o in pairs))
    contestants = {
        "floor": products(widths, batch, grid + 4, dtype),
        "linear": network(nn.Sequential(*(nn.Linear(i, o) for i, o in pairs)), x, dtype),
        "allmlp": network(ours, x, dtype),
    }
    contestants["torch"] = switched(contestants["allmlp"], "kernels", lambda: None)
    if any(
        tiles.prefers_local(m.basis.expansion, x, None, m.spline_weight.to(dtype), m.basis.size)
        for m in ours
    ):
        contestants["dense"] = switched(contestants["allmlp"], "LEAST_SAMPLES", batch + 1)
    for name, path in peers.items():
        if max(i * o for i, o in pairs) * batch > 2**27 and name == "pykan":
            continue  # several tensors of batch x inputs x outputs: some GB
        contestants[name] = network(peer_model(name, path, widths, grid), x, dtype)
    row: dict[str, Any] = {
        "widths": widths,
        "batch": batch,
        "grid": grid,
        "precision": precision,
        "threads": torch.get_num_threads(),
        "load_1min": describe_machine()["load_1min"],
        "rounds": rounds,
        "peers": sorted(peers),
        "held_MB": {name: contestant[2] for name, contestant in contestants.items()},
    }
    for position, what in enumerate(("forward_ms", "step_ms")):
        calls = {name: contestant[position] for name, contestant in contestants.items()}
        row[what], row[what.replace("ms", "by_floor")] = {}, {}
        for names in (calls.keys() - peers, *({"floor", name} for name in calls.keys() & peers)):
            group = {name: calls[name] for name in calls if name in names}
            times = take_turns(group, rounds=rounds)
            floor = times["floor"]
            for name in group.keys() - row[what].keys():
                fastest, median = times[name].min, times[name].median
                ratios = fastest / floor.min, median / floor.median
                row[what][name] = [round(1e3 * fastest, 3), round(1e3 * median, 3)]
                row[what.replace("ms", "by_floor")][name] = [round(ratio, 3) for ratio in ratios]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", action="append", default=[], help="NAME or NAME=PATH")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cells", type=int, nargs="*", default=range(len(CELLS)))
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    peers = {name: path for name, _, path in (peer.partition("=") for peer in arguments.peer)}
    result: dict[str, Any] = {"machine": describe_machine(), "peers": sorted(peers), "rows": []}
    if arguments.out.exists():
        before = json.loads(arguments.out.read_text())
        result["rows"] = before["rows"]
        result["peers"] = sorted({*peers, *before["peers"]})
    for cell in (CELLS[number] for number in arguments.cells):
        names = ("widths", "batch", "grid", "precision", "threads")
        key = [*cell, arguments.threads]
        same = [row for row in result["rows"] if [row[name] for name in names] == key]
        if any(set(peers) <= set(row.get("peers", ())) for row in same):
            continue
        result["rows"] = [row for row in result["rows"] if row not in same]
        row = measure(cell, peers, arguments.rounds)
        print(json.dumps({key: row[key] for key in (*names, "forward_by_floor", "step_by_floor")}))
        result["rows"].append(row)
        arguments.out.parent.mkdir(exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
