"""Which learning rate is best at which width, under muP and under the standard parametrisation.

    python benchmarks/mup_transfer.py
    python benchmarks/mup_transfer.py --widths 64 256

Three hidden ReLU layers and Adam on a fixed random teacher (32 inputs, one output of unit
variance), 120 steps of 128 examples; the loss is the mean over the last 20 steps and over seeds.
muP: base width 64, head at zero. Standard: weights of variance 2 / fan_in, head of 1 / fan_in, one
learning rate for all. Results that are there already are kept.
"""

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from allmlp import MLP
from allmlp.bench import describe_machine
from allmlp.training import coord_check, mup_groups

RESULTS = Path(__file__).parent / "results" / "mup_transfer.json"
BASE, STEPS, TAIL, BATCH = 64, 120, 20, 128
EXPONENTS = range(-11, -3)


def teacher() -> tuple[Tensor, Tensor]:
    """8,192 examples of a tanh net with weights of twice torch's deviation."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)
    )
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
        x = torch.randn(8192, 32)
        y = net(x)
    return x, (y - y.mean()) / y.std()


def make(kind: str, width: int, lr: float) -> tuple[nn.Module, Optimizer]:
    """A student and its optimizer."""
    if kind == "standard":
        net = MLP(32, 1, (width,) * 3)
        return net, Adam(net.parameters(), lr=lr)
    net = MLP(32, 1, (width,) * 3, init="mup")
    with torch.device("meta"):
        base = MLP(32, 1, (BASE,) * 3, init="mup")
    return net, Adam(mup_groups([{"params": list(net.parameters())}], net, base, lr))


def final_loss(kind: str, width: int, lr: float, seed: int, data: tuple[Tensor, Tensor]) -> float:
    """Mean over the last steps; infinite if it diverges."""
    torch.manual_seed(seed)
    x, y = data
    net, optimizer = make(kind, width, lr)
    draws = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(STEPS):
        rows = torch.randint(0, len(x), (BATCH,), generator=draws)
        loss = (net(x[rows]) - y[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    mean = statistics.mean(losses[-TAIL:])
    return mean if math.isfinite(mean) else math.inf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    known: dict[str, Any] = {"losses": {}, "best_log2_lr": {}, "coord_check": {}}
    if arguments.out.exists():
        known = json.loads(arguments.out.read_text())
    known["machine"] = describe_machine()
    data = teacher()
    for width in arguments.widths:
        for kind in ("mup", "standard"):
            losses = known["losses"].setdefault(f"{kind}, width {width}", {})
            for exponent in EXPONENTS:
                runs = losses.setdefault(str(exponent), [])
                for seed in range(len(runs), arguments.seeds):
                    runs.append(round(final_loss(kind, width, 2.0**exponent, seed, data), 4))
            means = {e: statistics.mean(runs) for e, runs in losses.items()}
            best = min(means, key=lambda e: means[e])
            known["best_log2_lr"][f"{kind}, width {width}"] = int(best)
            print(f"{kind}, width {width}: best 2^{best}, loss {means[best]:.3f}", flush=True)
            arguments.out.write_text(json.dumps(known, indent=1) + "\n")
    for kind in ("mup", "standard"):
        check = coord_check(
            lambda width, kind=kind: make(kind, width, 2.0**-7),
            arguments.widths,
            data[0][:256],
            data[1][:256],
        )
        known["coord_check"][kind] = {"changes": check.changes, "slopes": check.slopes}
        print(f"{kind}\n{check}", flush=True)
    arguments.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
