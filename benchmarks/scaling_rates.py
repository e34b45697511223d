"""Peak learning rates of a sweep's families: the base width, and how the rule carries it.

    python benchmarks/scaling_rates.py digits
    python benchmarks/scaling_rates.py mnist mnist.npz --epochs 5 --samples 3000

Every family is trained at the base width and at the preset's smallest one, under the sweep's own
settings, with rates a factor of two apart. The validation part judges; the test part is not looked
at. Each row is written as soon as it is measured; a second call measures what is missing.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from allmlp.bench import describe_machine
from allmlp.files import write_text
from allmlp.jsonl import read_lines
from allmlp.runs.train import train
from allmlp.scaling import Settings, Trial
from allmlp.scaling.families import BASE_WIDTH, FAMILIES
from allmlp.scaling.presets import PRESETS

RESULT = Path(__file__).parent / "results" / "scaling_rates.json"
RATES = tuple(1e-3 * 2.0**k for k in range(6))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("preset", choices=sorted(PRESETS))
    parser.add_argument("source", nargs="?")
    parser.add_argument("--samples", type=int, default=640)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    preset = PRESETS[args.preset]
    given = {"source": args.source, "epochs": args.epochs}
    settings = replace(preset.settings, **{k: v for k, v in given.items() if v is not None})
    result = json.loads(RESULT.read_text()) if RESULT.is_file() else {"runs": []}
    done = {(r["data"], r["family"], r["width"], r["lr"], r["seed"]) for r in result["runs"]}
    for family in preset.families:
        # the rule is steepest between the base and a third of it, and flat below
        for width in (min(preset.widths), BASE_WIDTH):
            for seed in range(args.seeds):
                trial = Trial(family, width, min(preset.depths), args.samples, seed)
                for lr in RATES:
                    if (args.preset, family, width, lr, seed) in done:
                        continue
                    row = {
                        "data": args.preset,
                        **trial.__dict__,
                        "epochs": settings.epochs,
                        "lr": lr,
                        "val_loss": measure(trial, settings, lr),
                    }
                    print(row, flush=True)
                    result["runs"].append(row)
                    write(result)
    write(result)


def measure(trial: Trial, settings: Settings, lr: float) -> float:
    """Lowest validation loss of any epoch."""
    with tempfile.TemporaryDirectory() as folder:
        config = settings.config(trial, f"{folder}/run")
        config["train"]["lr"] = lr
        run = train(config, progress=False)
        records = read_lines(run.directory.metrics)
    return round(min(r["val/loss"] for r in records if "val/loss" in r), 5)


def write(result: dict[str, Any]) -> None:
    """The runs, and what follows from them."""
    runs = result["runs"]
    table = {}
    for data, family, width in sorted({(r["data"], r["family"], r["width"]) for r in runs}):
        own = [r for r in runs if (r["data"], r["family"], r["width"]) == (data, family, width)]
        means = {
            lr: float(np.exp(np.mean([np.log(r["val_loss"]) for r in own if r["lr"] == lr])))
            for lr in sorted({r["lr"] for r in own})
        }
        best = min(means, key=lambda lr: means[lr])
        rule = FAMILIES[family].learning_rate(width)
        at = float(
            np.exp(np.interp(np.log(rule), np.log(list(means)), np.log(list(means.values()))))
        )
        table[f"{data}, {family}, width {width}"] = {
            "best_lr": best,
            "best_loss": round(means[best], 4),
            "rule_lr": round(rule, 5),
            # between the measured rates, on a line in logarithms
            "loss_at_rule_over_best": round(at / means[best], 3),
        }
    ordered = {
        "machine": describe_machine(),
        "what": "geometric mean over seeds of the lowest validation loss, for each peak rate",
        "table": table,
        "runs": runs,
    }
    write_text(RESULT, json.dumps(ordered, indent=1) + "\n")


if __name__ == "__main__":
    main()
