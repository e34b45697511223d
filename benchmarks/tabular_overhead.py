"""What an epoch of `TabularRegressor` costs, against the same epoch written by hand.

python benchmarks/tabular_overhead.py   # writes benchmarks/results/tabular_overhead.json
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim import AdamW

from allmlp.bench import describe_machine, take_turns
from allmlp.data import to_table
from allmlp.estimators import TabularRegressor

RESULT = Path(__file__).parent / "results" / "tabular_overhead.json"
ROWS, COLUMNS, BATCH, ROUNDS = 8192, 9, 256, 5


def main() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS, COLUMNS))
    y = x[:, 0] * x[:, 1] + np.sin(x[:, 2])
    # no validation: the loop by hand has none either
    model = TabularRegressor(
        model="mlp",
        max_epochs=1,
        random_state=0,
        warm_start=True,
        batch_size=BATCH,
        validation_fraction=0.0,
    ).fit(x, y)
    rows = torch.from_numpy(model.encoder_.encode(to_table(x)))
    targets = torch.from_numpy(((y - y.mean()) / y.std()).astype(np.float32))[:, None]
    module = model.module_
    decayed = [p for p in module.parameters() if p.ndim > 1]
    spared = [p for p in module.parameters() if p.ndim < 2]
    groups = [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]
    optimizer = AdamW(groups, lr=1e-3, weight_decay=3e-4, fused=True)

    def by_hand() -> None:
        module.train()
        for batch in torch.randperm(ROWS).split(BATCH):
            loss = F.mse_loss(module(rows[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()

    def whole() -> None:
        model.fit(x, y)  # checks and encoding of the table included

    times = take_turns({"by hand": by_hand, "estimator": whole}, rounds=ROUNDS)
    found = {name: {"min": t.min, "median": t.median} for name, t in times.items()}
    ratios = {
        k: getattr(times["estimator"], k) / getattr(times["by hand"], k) for k in ("min", "median")
    }
    settings = {"rows": ROWS, "columns": COLUMNS, "batch": BATCH, "rounds": ROUNDS}
    record = {"machine": describe_machine(), **settings, "seconds": found, "ratio": ratios}
    RESULT.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
