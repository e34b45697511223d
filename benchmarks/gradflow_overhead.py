"""What GradFlow costs a training step: measured steps, steps between, and no GradFlow at all.

python benchmarks/gradflow_overhead.py   # writes benchmarks/results/gradflow_overhead.json
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from allmlp.bench import describe_machine, take_turns
from allmlp.training import GradFlow
from allmlp.zoo import create_model

RESULT = Path(__file__).parent / "results" / "gradflow_overhead.json"
ROUNDS = 15


def stepper(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    steps: int,
    flow: GradFlow | None,
    first: int,
) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def run() -> None:
        for step in range(first, first + steps):
            if flow is not None:
                flow.begin(step)
            F.cross_entropy(model(x), y).backward()
            if flow is not None:
                flow.after_backward()
            optimizer.step()
            if flow is not None:
                flow.after_step()
            optimizer.zero_grad()
        if flow is not None:
            flow.drain()

    return run


def main() -> None:
    result: dict[str, object] = {"machine": describe_machine(), "rounds": ROUNDS}
    cases: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
        "MLP 64-64-10, batch 64": (
            lambda: nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)), (64, 64), 50,
        ),
        "mixer_digits, batch 64": (lambda: create_model("mixer_digits"), (64, 1, 8, 8), 3),
        "mixer_nano, batch 32": (lambda: create_model("mixer_nano"), (32, 3, 32, 32), 1),
    }  # fmt: skip
    for name, (make, shape, steps) in cases.items():
        x, y = torch.randn(shape), torch.randint(0, 10, shape[:1])
        models = [make() for _ in range(3)]
        flows = [None, GradFlow(models[1], every=10**9), GradFlow(models[2])]
        # steps 1, 2, ... of a GradFlow that measures step 0 only are the steps between
        contestants = {
            label: stepper(model, x, y, steps, flow, first=1)
            for label, model, flow in zip(
                ("without", "between", "measured"), models, flows, strict=True
            )
        }
        times = take_turns(contestants, rounds=ROUNDS)
        rows = {
            label: {
                "ms_min": round(1e3 * t.min / steps, 4),
                "ms_median": round(1e3 * t.median / steps, 4),
                "ratio_min": round(t.min / times["without"].min, 3),
            }
            for label, t in times.items()
        }
        result[name] = rows
        print(name, json.dumps(rows, indent=2))
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
