import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from allmlp.training import Classification, Loop, Trace, Watcher

BATCH = torch.randn(4, 3), torch.tensor([0, 1, 0, 1])


def train(trace: Trace | None, steps: int) -> list[float]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 2))
    optimizer = SGD(model.parameters(), lr=0.1)
    scheduler = LambdaLR(optimizer, lambda _: 1.0)
    watchers = [] if trace is None else [trace]
    loop = Loop(model, Classification(), optimizer, scheduler, log_every=1, watchers=watchers)
    return [r.metrics["loss"] for r in loop.train_epoch([BATCH] * steps) if r]


@pytest.mark.parametrize("steps", [8, 12])  # ended by leaving the context, and by itself
def test_steps_six_to_ten_are_traced_and_change_nothing(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "trace.json"
    with Trace(path) as trace:
        assert isinstance(trace, Watcher)
        losses = train(trace, steps)
        assert path.is_file() == (steps > 10)
    assert losses == train(None, steps)
    events = json.loads(path.read_text())["traceEvents"]
    backward = [e for e in events if e.get("name", "").startswith("Optimizer.step")]
    assert len(backward) == min(5, steps - 5)
    assert list(tmp_path.iterdir()) == [path]


def test_a_training_of_few_steps_leaves_no_trace(tmp_path: Path) -> None:
    said = pytest.warns(UserWarning, match=r"no trace was written to .*there were 5")
    with said, Trace(tmp_path / "trace.json") as trace:
        train(trace, 5)
    assert list(tmp_path.iterdir()) == []
