"""Test accuracy of `allmlp train` as it comes, over five seeds.

python benchmarks/digits.py
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import allmlp
from allmlp.bench import describe_machine

RESULT = Path(__file__).parent / "results" / "digits.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    machine = describe_machine()
    rows = []
    for seed in range(arguments.seeds):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            run = allmlp.train(seed=seed, run=f"{folder}/run", progress=False)
            seconds = round(time.perf_counter() - started, 1)
            scores = run.scores()
        rows.append({"seed": seed, "test_accuracy": scores["accuracy"], "seconds": seconds})
        print(json.dumps(rows[-1]), flush=True)
    accuracies = [row["test_accuracy"] for row in rows]
    result = {
        "machine": machine,
        "command": "allmlp train --seed SEED",
        "mean_test_accuracy": round(statistics.mean(accuracies), 5),
        "worst_test_accuracy": round(min(accuracies), 5),
        "median_seconds": statistics.median(row["seconds"] for row in rows),
        "rows": rows,
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "rows"}))


if __name__ == "__main__":
    main()
