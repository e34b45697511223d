"""GR-KAN's rational functions in machine code, beside torch's formula and the GELU they replace.

    python benchmarks/rational_speed.py

A step is forward and backward with the gradients of the input and of all coefficients (six above,
shared; four below, for each of eight groups; `sum_abs`), float32. Times are [fastest, median] of
the rounds, in milliseconds; contestants take turns. `formula` is ours without machine code,
`autograd` leaves the formula's derivatives to torch. `held` is what autograd keeps between forward
and backward, `peak` how much the resident memory of a fresh process grows in a step, in MB; input
and cotangent are counted in neither. Memory that the result has already is kept, and times with
another number of threads: remove the file to start anew.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from kan_memory import held, resident
from torch import Tensor, nn

from allmlp.bench import describe_machine, take_turns
from allmlp.layers import Rational
from allmlp.ops import rational

RESULT = Path(__file__).parent / "results" / "rational_speed.json"
# batch and tokens, channels: an MLP's layer, the hidden layer of KAT-T on 224 x 224 pixels
CELLS = [((1024,), 256), ((8, 197), 768)]
CONTESTANTS = ("allmlp", "formula", "autograd", "gelu")


class Autograd(Rational):
    """The formula, its derivatives left to torch."""

    def forward(self, x: Tensor) -> Tensor:
        return rational.rational_function(
            x, self.numerator, self.denominator, form=self.denominator_form
        )


def contestant(name: str, width: int) -> tuple[nn.Module, Callable[[Callable[[], object]], None]]:
    """The module, and how its calls are run."""
    code = mock.patch.object(rational, "kernels", return_value=None)
    context = code if name == "formula" else nullcontext()

    def run(call: Callable[[], object]) -> None:
        with context:
            call()

    if name == "gelu":
        return nn.GELU(), run
    return (Autograd if name == "autograd" else Rational)(width), run


def step(model: nn.Module, x: Tensor, cotangent: Tensor) -> None:
    model.zero_grad()
    x.grad = None
    model(x).backward(cotangent)


def peak(name: str, cell: int) -> float:
    shape, width = CELLS[cell]
    model, run = contestant(name, width)
    # what libraries take at their first call, and compiled code
    small = torch.randn(2, width, requires_grad=True)
    run(partial(step, model, small, torch.ones_like(small)))
    x = torch.randn(*shape, width, requires_grad=True)
    cotangent = torch.ones_like(x)
    before = resident()
    run(partial(step, model, x, cotangent))
    return round(resident() - before, 1)


def peak_of_process(name: str, cell: int) -> float:
    command = [sys.executable, __file__, "--threads", "1", "--peak", name, str(cell)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(cell: int, peaks: dict[str, float], rounds: int) -> dict[str, Any]:
    shape, width = CELLS[cell]
    torch.manual_seed(0)
    x = torch.randn(*shape, width, requires_grad=True)
    cotangent = torch.randn_like(x)
    row: dict[str, Any] = {
        "shape": [*shape, width],
        "threads": torch.get_num_threads(),
        "load_1min": describe_machine()["load_1min"],
        "rounds": rounds,
        "held_MB": {},
        "peak_MB": peaks,
    }
    forwards, steps = {}, {}
    for name in CONTESTANTS:
        model, run = contestant(name, width)
        row["held_MB"][name] = round(held(model, model, x), 2)
        forwards[name] = partial(run, partial(torch.no_grad()(model), x))
        steps[name] = partial(run, partial(step, model, x, cotangent))
    for what, calls in (("forward", forwards), ("step", steps)):
        times = take_turns(calls, rounds=rounds)
        row[f"{what}_ms"] = {
            name: [round(1e3 * t, 3) for t in (v.min, v.median)] for name, v in times.items()
        }
        row[f"{what}_by_allmlp"] = {
            name: [
                round(v.min / times["allmlp"].min, 2),
                round(v.median / times["allmlp"].median, 2),
            ]
            for name, v in times.items()
        }
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--peak", nargs=2, help="one contestant, one cell: used by this script")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.peak:
        print(peak(arguments.peak[0], int(arguments.peak[1])))
        return
    rows: list[dict[str, Any]] = []
    if arguments.out.exists():
        rows = json.loads(arguments.out.read_text())["rows"]
    peaks = [
        next((row["peak_MB"] for row in rows if row["shape"] == [*shape, width]), None)
        for shape, width in CELLS
    ]
    # first of all: a process begins with the largest memory that its parent ever had
    for cell, found in enumerate(peaks):
        peaks[cell] = found or {name: peak_of_process(name, cell) for name in CONTESTANTS}
    rows = [row for row in rows if row["threads"] != arguments.threads]
    for cell, found in enumerate(peaks):
        rows.append(measure(cell, found, arguments.rounds))
        print(json.dumps(rows[-1]))
    result = {"machine": describe_machine(), "rows": rows}
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
