"""How fast a width-2 network memorises, and how long it takes to prove it.

    OMP_NUM_THREADS=1 python benchmarks/theory_memorize.py [--json FILE]

Builds the network for 10^5 and 10^6 random points (d = 20, 10 random labels), then runs every layer
for all 10^5 points (for 300 of the 10^6) and compares labels with `==`.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from allmlp.bench import describe_machine, take_turns
from allmlp.theory import memorize, published_depth


def measure(num_points: int, checked: int) -> dict[str, object]:
    rng = np.random.default_rng(num_points)
    X, y = rng.standard_normal((num_points, 20)), rng.integers(0, 10, num_points)
    build = take_turns({"build": lambda: memorize(X, y, method="staircase")}, rounds=5)["build"]
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
        "build_seconds": {"min": round(build.min, 3), "median": round(build.median, 3)},
        "labels_checked": checked,
        "labels_wrong": wrong,
        "check_seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the result there as well")
    path = parser.parse_args().json
    result = {
        "machine": describe_machine(),
        "runs": [measure(100_000, 100_000), measure(1_000_000, 300)],
    }
    text = json.dumps(result, indent=1)
    print(text)
    if path is not None:
        path.write_text(text + "\n")


if __name__ == "__main__":
    main()
