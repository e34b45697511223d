"""How long does `auto_symbolic` take on three edges with ten functions?

    python benchmarks/kan_science/naming_speed.py

The network is [2, 1, 1] on splines of ten intervals, float64, 1,000 samples, one thread; the ten
functions are those that pykan's notebooks try. pykan 0.2.8 took 74 to 128 s for it on a machine of
this kind. Wall time varies with whoever else uses the
machine; the time of the processor does not.
"""

import json
import math
import statistics
import time
from pathlib import Path

import torch

from allmlp import KAN
from allmlp.bench import describe_machine
from allmlp.files import write_text
from allmlp.interpret.kan import auto_symbolic
from allmlp.training import fit_kan

RESULT = Path(__file__).parents[1] / "results" / "kan_naming_speed.json"
FUNCTIONS = ("x", "x^2", "x^3", "x^4", "exp", "log", "sqrt", "tanh", "sin", "abs")
REPEATS = 5


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1000, 2, dtype=torch.float64, generator=generator) * 2 - 1
    torch.manual_seed(0)
    y = torch.exp(torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2)
    model = KAN([2, 1, 1], grid=3).double()
    model = fit_kan(model, x, y, grids=(3, 10), starts=4, updates=4, follow="all").model
    seconds, worked = [], []
    for _ in range(REPEATS):
        clock, processor = time.perf_counter(), time.process_time()
        found = auto_symbolic(model, x, functions=FUNCTIONS, dry_run=True)
        seconds.append(time.perf_counter() - clock)
        worked.append(time.process_time() - processor)
    record = {
        "machine": describe_machine(),
        "edges": len(found.chosen),
        "functions": FUNCTIONS,
        "chosen": [[c.function, c.r2] for c in found.chosen],
        "seconds": {"min": min(seconds), "median": statistics.median(seconds)},
        "cpu_seconds": {"min": min(worked), "median": statistics.median(worked)},
    }
    write_text(RESULT, json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
