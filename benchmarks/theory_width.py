"""One wide hidden layer against the same function as a narrow deep network: the price in time.

    OMP_NUM_THREADS=1 python benchmarks/theory_width.py [--json FILE]

Both are torch modules in float64 that compute the same function on a box; 1,024 points a call.
"""

import argparse
import json
import os
import platform
import random
import statistics
import time
from fractions import Fraction
from pathlib import Path

import torch

from allmlp.theory import ExactNet, shallow_to_narrow


def measure(dim: int, units: int) -> dict[str, object]:
    rng = random.Random(units)

    def weight() -> Fraction:
        return Fraction(rng.randrange(-20, 21), 16)

    wide = ExactNet(
        [
            (
                [[weight() for _ in range(dim)] for _ in range(units)],
                [weight() for _ in range(units)],
            ),
            ([[weight() for _ in range(units)]], [0]),
        ]
    )
    narrow = shallow_to_narrow(wide, radius=1)
    x = (
        torch.rand(1024, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2
        - 1
    )
    modules = {"wide": wide.to_torch(), "narrow": narrow.to_torch()}
    seconds: dict[str, list[float]] = {name: [] for name in modules}
    with torch.no_grad():
        difference = float((modules["wide"](x) - modules["narrow"](x)).abs().max())
        for _ in range(20):
            for name, module in modules.items():  # interleaved, so that load falls on both
                start = time.perf_counter()
                module(x)
                seconds[name].append(time.perf_counter() - start)
    return {
        "dim": dim,
        "units": units,
        "wide": {"width": wide.width, "depth": wide.depth, "parameters": wide.parameters},
        "narrow": {"width": narrow.width, "depth": narrow.depth, "parameters": narrow.parameters},
        "largest_difference": difference,
        "milliseconds": {
            name: {
                "min": round(1e3 * min(times), 3),
                "median": round(1e3 * statistics.median(times), 3),
            }
            for name, times in seconds.items()
        },
        "slowdown_of_minima": round(min(seconds["narrow"]) / min(seconds["wide"]), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the result there as well")
    path = parser.parse_args().json
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, shared",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "load_average_before": os.getloadavg(),
        "runs": [measure(dim, units) for dim, units in ((2, 32), (2, 256), (8, 256))],
        "load_average_after": os.getloadavg(),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if path is not None:
        path.write_text(text + "\n")


if __name__ == "__main__":
    main()
