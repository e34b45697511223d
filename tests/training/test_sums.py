"""Running sums: weights, names that come late, batches that do not count."""

import torch
from torch import Tensor

from allmlp.training.sums import add_sums


def sums(**values: float) -> dict[str, Tensor]:
    return {name: torch.tensor(value) for name, value in values.items()}


def test_weights_batches_and_takes_in_late_names() -> None:
    totals: dict[str, Tensor] = {}
    add_sums(totals, sums(loss=1.0))
    add_sums(totals, sums(loss=2.0, correct=1.0), times=3)
    add_sums(totals, sums(loss=0.5, correct=2.0))
    assert totals == sums(loss=7.5, correct=5.0)


def test_uncounted_batch_makes_every_name_known_and_adds_nothing() -> None:
    nothing = float("nan")
    for weight in ({"counted": False}, {"times": 0}):
        totals = sums(loss=1.0)
        add_sums(totals, sums(loss=nothing, correct=nothing, seen=nothing), **weight)
        assert totals == sums(loss=1.0, correct=0.0, seen=0.0)
