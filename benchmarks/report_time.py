"""How long the page of a run takes, and how large it is.

python benchmarks/report_time.py   # writes benchmarks/results/report_time.json
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from allmlp import train
from allmlp.bench import describe_machine, take_turns
from allmlp.report import write_report

RESULT = Path(__file__).parent / "results" / "report_time.json"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        config = {"train": {"warmup": 1, "gradflow": 20}}
        run = train(config, epochs=arguments.epochs, run=f"{folder}/run", progress=False)
        # another process's share of the core is not ours: both clocks are kept
        started = time.process_time()
        size = write_report(run.path).stat().st_size
        first = time.process_time() - started
        times = take_turns({"report": lambda: write_report(run.path)}, rounds=arguments.rounds)
    result = {
        "machine": describe_machine(),
        "what": f"digits, {arguments.epochs} epochs, gradient flow recorded",
        "bytes": size,
        "cpu_seconds_first": round(first, 3),
        "seconds_min": round(times["report"].min, 3),
        "seconds_median": round(times["report"].median, 3),
    }
    print(json.dumps(result, indent=2))
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
