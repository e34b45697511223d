"""Memory of a KAN training step: allmlp against efficient-kan, and against the bare products.

    git clone https://github.com/Blealtan/efficient-kan && git -C efficient-kan checkout 7b6ce1c
    python benchmarks/kan_memory.py efficient-kan

`held` is what autograd keeps between forward and backward (saved-tensor hooks; parameters and the
input not counted). `peak` is how much the resident memory of a fresh process grows in its first
step, forward and backward with the gradient of the input: activations, gradients of the parameters
and the input, and whatever passes by. G = 5, k = 3, float32.

`products` is the floor in time, not in memory: Y = Φ Wᵀ, dW = dYᵀ Φ, dΦ = dY W on a Φ that exists
already and is not counted.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from allmlp.bench import describe_machine
from allmlp.layers import KANLinear

RESULT = Path(__file__).parent / "results" / "kan_memory.json"
CONTESTANTS = ("allmlp", "efficient-kan", "products")
CELLS = [([784, 64, 10], 256), ([1024, 1024], 256), ([1024, 1024], 4096)]
MB = 1e6


class Products(nn.Module):
    """What no KAN layer can do without, on a basis that costs nothing."""

    def __init__(self, widths: list[int], batch: int):
        super().__init__()
        self.sizes = list(pairwise(widths))
        self.weights = nn.ParameterList(torch.randn(o, 9 * i) for i, o in self.sizes)
        self.bases = [torch.randn(batch, 9 * i, requires_grad=True) for i, _ in self.sizes]

    def forward(self, x: Tensor) -> Tensor:
        outputs = [b @ w.T for b, w in zip(self.bases, self.weights, strict=True)]
        return torch.cat(outputs, dim=1)


def build(contestant: str, widths: list[int], batch: int, peer: str) -> nn.Module:
    if contestant == "products":
        return Products(widths, batch)
    if contestant == "efficient-kan":
        sys.path.insert(0, str(Path(peer) / "src"))
        from efficient_kan import KAN

        return KAN(widths, grid_size=5, spline_order=3)
    return nn.Sequential(*(KANLinear(i, o, grid=5, k=3) for i, o in pairwise(widths)))


def resident() -> float:
    """The largest resident memory of this process so far, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB


def held(model: nn.Module, forward: Callable[[Tensor], Tensor], x: Tensor) -> float:
    known = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers(), x]}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        _output = forward(x)
    return sum(kept.values()) / MB


def measure(contestant: str, widths: list[int], batch: int, peer: str) -> dict[str, Any]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    # the libraries behind a product take memory of their own at its first call
    small = torch.ones(64, 64, requires_grad=True)
    (small @ small).sum().backward()
    model = build(contestant, widths, batch, peer)
    x = (torch.rand(batch, widths[0]) * 2 - 1).requires_grad_()
    before = resident()
    y = model(x)
    y.backward(torch.ones_like(y))
    peak = resident() - before
    model.zero_grad()
    return {"held_MB": round(held(model, model, x), 2), "peak_MB": round(peak, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", help="folder of efficient-kan")
    parser.add_argument("--only", nargs=2, help="one contestant, one cell: used by this script")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    if arguments.only:
        widths, batch = CELLS[int(arguments.only[1])]
        print(json.dumps(measure(arguments.only[0], widths, batch, arguments.peer)))
        return
    rows = []
    for cell, (widths, batch) in enumerate(CELLS):
        row: dict[str, Any] = {"widths": widths, "batch": batch}
        for contestant in CONTESTANTS:
            command = [sys.executable, __file__, arguments.peer, "--only", contestant, str(cell)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            row[contestant] = json.loads(output)
        ours, theirs = row["allmlp"], row["efficient-kan"]
        row["efficient-kan/allmlp"] = {
            key: round(theirs[key] / ours[key], 1) for key in ours if ours[key]
        }
        rows.append(row)
        print(json.dumps(row))
    result = {"machine": describe_machine(), "efficient-kan": "7b6ce1c", "rows": rows}
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
