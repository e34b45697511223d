"""Fine-tuning at a larger size against training there from scratch, for the same number of steps.

    python benchmarks/size_transfer.py

A Mixer learns the digits at 8x8 pixels, then moves to 16x16 by `block` or `interpolate` and trains
for a few epochs; another starts there from scratch with the same schedule.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import allmlp
from allmlp.bench import describe_machine
from allmlp.runs.run import Run

RESULT = Path(__file__).parent / "results" / "size_transfer.json"


def train(folder: str, name: str, seed: int, **sections: Any) -> Run:
    """One run with fp32 products."""
    tree = {"run": {"precision": "fp32"}, **sections}
    return allmlp.train(tree, seed=seed, run=f"{folder}/{name}-{seed}", progress=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    machine = describe_machine()
    tuning = {"epochs": arguments.epochs, "warmup": 1.0, "lr": 2e-3}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            small = train(folder, "small", seed, train={"epochs": 40})
            row: dict[str, Any] = {"seed": seed, "at 8x8": small.scores()["accuracy"]}
            for method in ("block", "interpolate", None):
                model = {"pretrained": str(small.path), "resize": method} if method else {}
                tuned = train(
                    folder,
                    str(method),
                    seed,
                    model=model,
                    data={"img_size": 16},
                    train=tuning,
                )
                row[f"16x16, {method or 'from scratch'}"] = tuned.scores()["accuracy"]
            rows.append(row)
            print(json.dumps(row), flush=True)
    means = {
        key: round(statistics.mean(row[key] for row in rows), 4) for key in rows[0] if key != "seed"
    }
    result = {"machine": machine, "tuning": tuning, "mean_test_accuracy": means, "rows": rows}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(means))


if __name__ == "__main__":
    main()
