"""What the loop and `fit` cost a step of a tiny MLP, against a loop written by hand.

python benchmarks/loop_overhead.py   # writes benchmarks/results/loop_overhead.json
"""

import json
import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from allmlp import fit
from allmlp.bench import describe_machine, take_turns
from allmlp.data import epoch_generator
from allmlp.training import Classification, Loop
from allmlp.training.progress import Silent, choose_display

RESULT = Path(__file__).parent / "results" / "loop_overhead.json"
ROUNDS, EPOCHS, STEPS, BATCH = 60, 4, 50, 64  # steps of an epoch
X = torch.randn(STEPS * BATCH, 64)
Y = torch.randint(0, 10, (STEPS * BATCH,))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def by_hand() -> None:
    model = mlp().train()
    optimizer = AdamW(model.parameters(), lr=1e-3)
    scheduler = LambdaLR(optimizer, lambda _: 1.0)
    for _ in range(EPOCHS):
        total = torch.zeros(())
        for rows in torch.randperm(len(X)).split(BATCH):
            loss = F.cross_entropy(model(X[rows]), Y[rows])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
            total += loss.detach()
        total.item()


def by_loop(progress: bool) -> Callable[[], None]:
    def run() -> None:
        model = mlp()
        optimizer = AdamW(model.parameters(), lr=1e-3)
        loop = Loop(model, Classification(), optimizer, LambdaLR(optimizer, lambda _: 1.0))
        display = choose_display(EPOCHS, EPOCHS * STEPS) if progress else Silent()
        with closing(display):
            for epoch in range(EPOCHS):
                order = torch.randperm(len(X), generator=epoch_generator(0, epoch, "order"))
                # as `fit` and the data sets in memory take them
                batches = (
                    (X.index_select(0, rows), Y.index_select(0, rows))
                    for rows in order.split(BATCH)
                )
                for report in loop.train_epoch(batches):
                    if report:
                        display.step(report)

    return run


def by_fit(progress: bool) -> Callable[[], None]:
    def run() -> None:
        fit(mlp(), X, Y, epochs=EPOCHS, batch_size=BATCH, progress=progress)

    return run


def main() -> None:
    torch.set_num_threads(1)
    # rich draws its bar as on a terminal, and nobody sees it
    os.environ["FORCE_COLOR"] = "1"
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    contestants: dict[str, Callable[[], None]] = {
        "by hand": by_hand,
        "Loop": by_loop(progress=False),
        "Loop, bar": by_loop(progress=True),
        "fit": by_fit(progress=False),
        "fit, bar": by_fit(progress=True),
    }
    times = take_turns(contestants, rounds=ROUNDS)
    bare, steps = times["by hand"], EPOCHS * STEPS
    rows = {
        name: {
            "us_per_step_min": round(1e6 * t.min / steps, 1),
            "us_per_step_median": round(1e6 * t.median / steps, 1),
            "ratio_min": round(t.min / bare.min, 3),
            "ratio_median": round(t.median / bare.median, 3),
        }
        for name, t in times.items()
    }
    result = {
        "machine": describe_machine(),
        "what": f"MLP 64-64-10, batch {BATCH}, AdamW, {steps} steps a run, set-up included",
        "rounds": ROUNDS,
        "results": rows,
    }
    print(json.dumps(result, indent=2))
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
