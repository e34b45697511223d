"""How fast a width-2 network memorises, and how long it takes to prove it.

    OMP_NUM_THREADS=1 python benchmarks/theory_memorize.py [--json FILE]

Builds the network for 10^5 and 10^6 random points (d = 20, 10 random labels), then runs every layer
for all 10^5 points (for 300 of the 10^6) and compares labels with `==`.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from allmlp.theory import memorize, published_depth


def timed(function: Callable[[], object], repeats: int) -> dict[str, float]:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return {"min": round(min(seconds), 3), "median": round(statistics.median(seconds), 3)}


def measure(num_points: int, checked: int) -> dict[str, object]:
    rng = np.random.default_rng(num_points)
    X, y = rng.standard_normal((num_points, 20)), rng.integers(0, 10, num_points)
    build = timed(lambda: memorize(X, y, method="staircase"), repeats=5)
    net = memorize(X, y, method="staircase")
    rows = rng.choice(num_points, checked, replace=False)
    start = time.perf_counter()
    wrong = int((net(X[rows]) != y[rows]).sum())
    seconds = round(time.perf_counter() - start, 2)
    return {
        "points": num_points,
        "depth": net.depth,
        "published_depth": published_depth(num_points, 10),
        "parameters": net.parameters,
        "margin": net.certificate()["margin"].attained,
        "build_seconds": build,
        "labels_checked": checked,
        "labels_wrong": wrong,
        "check_seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the result there as well")
    path = parser.parse_args().json
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, shared",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "load_average_before": os.getloadavg(),
        "runs": [measure(100_000, 100_000), measure(1_000_000, 300)],
        "load_average_after": os.getloadavg(),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if path is not None:
        path.write_text(text + "\n")


if __name__ == "__main__":
    main()
