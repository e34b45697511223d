"""How fast are all activation regions of a network on a square counted, and with how much memory?

    OMP_NUM_THREADS=2 python benchmarks/theory_regions.py [--peer] [--json FILE]

Networks (2, n, n, n) with He's weights and biases N(0, 0.3²), on [-1, 1]². Each count runs in a
process of its own, so that its peak memory, imports included, is its own. Counts are checked:
areas, distinct patterns and, up to 200,000 regions, the formula of Euler. `--peer` adds relucent
(PyPI), in the same run on networks that it can finish, with all cores and without its verification.
It searches the whole plane, so we count on a box of ±1e4 there.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from allmlp.bench import describe_machine

WIDTHS = (32, 64, 128, 192, 256, 384, 512, 600)
PEER_WIDTHS = ((8, 8), (16, 16), (32, 32))


def measure(widths: tuple[int, ...]) -> dict[str, object]:
    from allmlp.theory import PlaneRegions, count_regions, random_relu_net
    from allmlp.theory.region_graph import all_distinct

    net = random_relu_net((2, *widths), bias_std=0.3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, busy = time.perf_counter(), time.process_time()
    regions = count_regions(net)
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert isinstance(regions, PlaneRegions)
    checks = {
        "area_missing": abs(1 - float(regions.areas.sum()) / 4),
        "distinct_patterns": all_distinct(regions.patterns),
        "smallest_area": float(regions.areas.min()),
    }
    if regions.count <= 200_000:
        checks["euler_characteristic"] = regions.euler_characteristic
    return {
        "widths": [2, *widths],
        "regions": regions.count,
        "seconds": round(seconds, 3),
        "processor_seconds": round(busy, 3),
        "regions_per_second": round(regions.count / seconds),
        "peak_gib": round(peak / 2**20, 3),
        "peak_gib_before": round(before / 2**20, 3),
        "signs_taken_in_integers": regions.cells.exact_signs,
        "checks": checks,
    }


def measure_peer(widths: tuple[int, ...]) -> dict[str, object]:
    """The breadth-first search of relucent beside ours, on the same weights."""
    import relucent
    import torch
    from torch import nn

    from allmlp.theory import count_regions, random_relu_net

    net = random_relu_net((2, *widths), bias_std=0.3)
    modules: list[nn.Module] = []
    for weight, bias in zip(net.weights, net.biases, strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(bias))
        modules += [linear, nn.ReLU()]
    model = nn.Sequential(*modules[:-1])
    started = time.perf_counter()
    found = relucent.Complex(model)
    found.bfs(nworkers=len(os.sched_getaffinity(0)), verify=False, verbose=0)
    theirs = time.perf_counter() - started
    started = time.perf_counter()
    ours = count_regions(net, (-1e4, 1e4)).count
    seconds = time.perf_counter() - started
    return {
        "widths": [2, *widths],
        "relucent": {"version": relucent.__version__, "regions": len(found), "seconds": theirs},
        "allmlp": {"box": [-1e4, 1e4], "regions": ours, "seconds": seconds},
    }


def in_own_process(kind: str, widths: tuple[int, ...]) -> dict[str, object]:
    command = [sys.executable, __file__, "--one", kind, ",".join(map(str, widths))]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        return {"widths": [2, *widths], "failed": ended.stderr.strip().splitlines()[-1:]}
    result: dict[str, object] = json.loads(ended.stdout.splitlines()[-1])
    print(json.dumps(result), flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the result there as well")
    parser.add_argument("--peer", action="store_true", help="run relucent, too")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        kind, sizes = arguments.one
        widths = tuple(int(n) for n in sizes.split(","))
        print(json.dumps(measure(widths) if kind == "ours" else measure_peer(widths)))
        return
    result = {
        "machine": describe_machine(),
        "cores_allowed": len(os.sched_getaffinity(0)),
        "growth": [in_own_process("ours", (n,) * 3) for n in WIDTHS],
        "peer": [in_own_process("peer", widths) for widths in PEER_WIDTHS * arguments.peer],
    }
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
