"""One wide hidden layer against the same function as a narrow deep network: the price in time.

    OMP_NUM_THREADS=1 python benchmarks/theory_width.py [--json FILE]

Both are torch modules in float64 that compute the same function on a box; 1,024 points a call.
"""

import argparse
import json
import random
from fractions import Fraction
from functools import partial
from pathlib import Path

import torch

from allmlp.bench import describe_machine, take_turns
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
    with torch.no_grad():
        difference = float((modules["wide"](x) - modules["narrow"](x)).abs().max())
        times = take_turns(
            {name: partial(module, x) for name, module in modules.items()}, rounds=20
        )
    return {
        "dim": dim,
        "units": units,
        "wide": {"width": wide.width, "depth": wide.depth, "parameters": wide.parameters},
        "narrow": {"width": narrow.width, "depth": narrow.depth, "parameters": narrow.parameters},
        "largest_difference": difference,
        "milliseconds": {
            name: {"min": round(1e3 * time.min, 3), "median": round(1e3 * time.median, 3)}
            for name, time in times.items()
        },
        "slowdown_of_minima": round(times["narrow"].min / times["wide"].min, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the result there as well")
    path = parser.parse_args().json
    result = {
        "machine": describe_machine(),
        "runs": [measure(dim, units) for dim, units in ((2, 32), (2, 256), (8, 256))],
    }
    text = json.dumps(result, indent=1)
    print(text)
    if path is not None:
        path.write_text(text + "\n")


if __name__ == "__main__":
    main()
