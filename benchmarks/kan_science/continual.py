"""Does a KAN forget what it saw first? Five Gaussians, one after the other.

    python benchmarks/kan_science/continual.py

The toy of the KAN paper (arXiv:2404.19756, §3.4): exp(-300 (x - c)^2) at five centres; in every
phase 100 points around one peak alone. [1, 1] on 200 intervals of [-1, 1], float64, without a base
function, since a base reaches everywhere; grids stay where they are. Levenberg-Marquardt leaves
weights alone that the phase's points do not reach. After every phase the error is taken over all
peaks seen so far. Beside it the same with the default base (silu), which forgets.
"""

import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from allmlp import KAN
from allmlp.bench import describe_machine
from allmlp.files import write_text
from allmlp.training import fit_kan

RESULT = Path(__file__).parents[1] / "results" / "kan_continual.json"
PEAKS = 5


def law(x: Tensor) -> Tensor:
    centres = torch.linspace(-0.8, 0.8, PEAKS, dtype=x.dtype)
    return torch.exp(-300 * (x - centres) ** 2).sum(1, keepdim=True)


def measure(base: str | None) -> dict[str, Any]:
    torch.manual_seed(0)
    model = KAN([1, 1], grid=200, base=base).double()
    with torch.no_grad():  # nothing is known where nothing was seen
        model.layers[0].numeric.spline_weight.zero_()
    started, errors = time.process_time(), []
    edges = torch.linspace(-1, 1, PEAKS + 1, dtype=torch.float64)
    for phase in range(PEAKS):
        x = torch.linspace(edges[phase], edges[phase + 1], 100, dtype=torch.float64)[:, None]
        model = fit_kan(model, x, law(x), steps=20, updates=1, follow="none").model
        seen = torch.linspace(-1, edges[phase + 1], 1000, dtype=torch.float64)[:, None]
        with torch.no_grad():
            errors.append(float((model(seen) - law(seen)).square().mean().sqrt()))
    seconds = round(time.process_time() - started, 1)
    return {"base": base, "rmse_after_phase": errors, "cpu_seconds": seconds}


def main() -> None:
    rows = [measure(None), measure("silu")]
    record = {"machine": describe_machine(), "rows": rows}
    write_text(RESULT, json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
