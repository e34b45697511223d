"""Values at known points; the sequence goes on where it was left."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    CosineAnnealingWarmRestarts,
    LambdaLR,
    MultiStepLR,
    OneCycleLR,
    StepLR,
)

from allmlp.errors import AllmlpError
from allmlp.training import SCHEDULES, Plateau, build_schedule, warmup_cosine

NEEDED = {"multistep": {"milestones": [3, 8]}}


def values(
    name: str, steps: int, warmup_steps: int = 0, per_epoch: int = 1, **options: object
) -> list[float]:
    schedule = build_schedule(
        name,
        warmup_steps=warmup_steps,
        total_steps=steps,
        steps_per_epoch=per_epoch,
        options=options,
    )
    return [schedule(step) for step in range(steps + 1)]


def sgd() -> SGD:
    return SGD([nn.Parameter(torch.zeros(1))], lr=1.0)


def of_torch(kind: Any, steps: int, **options: object) -> list[float]:
    optimizer = sgd()
    scheduler = kind(optimizer, **options)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("constant", {}, [1, 1, 1, 1, 1]),
        ("linear", {}, [1, 0.75, 0.5, 0.25, 0]),
        ("linear", {"floor": 0.2}, [1, 0.8, 0.6, 0.4, 0.2]),
        ("cosine", {}, [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2, 0]),
        ("cosine", {"floor": 0.5}, [1, (3 + 0.5**0.5) / 4, 0.75, (3 - 0.5**0.5) / 4, 0.5]),
        ("wsd", {"decay": 0.5}, [1, 1, 1, 0.5, 0]),
        ("flat_cos", {}, [1, 1, 1, 0.5, 0]),
        ("step", {"every": 2, "gamma": 0.5}, [1, 1, 0.5, 0.5, 0.25]),
        ("multistep", {"milestones": [1, 3]}, [1, 0.1, 0.1, 0.01, 0.01]),
        ("one_cycle", {"rise": 0.5, "start": 0.1, "end": 0.0}, [0.1, 0.55, 1, 0.5, 0]),
    ],
)
def test_known_points(name: str, options: dict[str, object], expected: list[float]) -> None:
    assert values(name, 4, **options) == pytest.approx(expected, abs=1e-12)


def test_coslog4_has_four_cycles_that_double() -> None:
    rates = values("coslog4", 15)
    assert [rates[i] for i in (0, 1, 3, 7, 15)] == pytest.approx([0] * 5, abs=1e-12)
    schedule = build_schedule("coslog4", warmup_steps=0, total_steps=1500, steps_per_epoch=1)
    tops = [round(100 * (2 ** (k + 0.5) - 1)) for k in range(4)]
    assert [schedule(s) for s in tops] == pytest.approx([1] * 4, abs=1e-3)


def test_warm_restarts_at_fractions_of_an_epoch() -> None:
    expected = [1, 0.5, 1, 0.854, 0.5, 0.146, 1, 0.962, 0.854, 0.691, 0.5, 0.309, 0.146, 0.038, 1]
    whole = values("cosine_restarts", 14, first=2, growth=2)
    assert whole == pytest.approx(expected, abs=5e-4)
    assert values("cosine_restarts", 140, per_epoch=10, first=2, growth=2)[::10] == whole
    # a tenth of an epoch is not a sum of thirtieths in binary
    short = values("cosine_restarts", 60, per_epoch=30, first=0.1, growth=1)
    assert short == pytest.approx([1, 0.75, 0.25] * 20 + [1])
    steps = values("step", 10, per_epoch=10, every=0.1, gamma=0.5)
    assert steps == pytest.approx([0.5**n for n in range(11)])


def test_torchs_schedulers_give_the_same() -> None:
    for mine, theirs in [
        # torch reaches its peak at step 0.3 · 10 − 1
        (values("one_cycle", 9, rise=2 / 9), of_torch(OneCycleLR, 10, max_lr=1.0, total_steps=10)),
        (values("step", 9, every=4), of_torch(StepLR, 10, step_size=4)),
        (
            values("multistep", 9, milestones=[2, 5]),
            of_torch(MultiStepLR, 10, milestones=[2, 5]),
        ),
        (
            values("cosine_restarts", 20, first=3, growth=2, floor=0.1),
            of_torch(CosineAnnealingWarmRestarts, 21, T_0=3, T_mult=2, eta_min=0.1),
        ),
    ]:
        assert mine == pytest.approx(theirs, rel=1e-9)


@given(st.integers(0, 9), st.integers(1, 60))
def test_cosine_is_the_default_recipe_to_the_bit(warmup: int, steps: int) -> None:
    expected = [warmup_cosine(s, warmup_steps=warmup, total_steps=steps) for s in range(steps)]
    ours = values("cosine", steps, warmup)[:-1]
    assert ours == expected


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_and_bounds(name: str) -> None:
    plain = values(name, 20, 0, **NEEDED.get(name, {}))
    warm = values(name, 20, 4, **NEEDED.get(name, {}))
    assert all(0 <= rate <= 1 for rate in plain + warm)
    for step in range(4):
        from_the_start = name in {"step", "multistep", "one_cycle", "coslog4"}
        assert warm[step] == (step + 1) / 4 * (plain[step] if from_the_start else plain[0])


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_sequence_goes_on(name: str) -> None:
    def make() -> tuple[SGD, LambdaLR]:
        optimizer = sgd()
        schedule = build_schedule(
            name, warmup_steps=3, total_steps=12, steps_per_epoch=4, options=NEEDED.get(name)
        )
        return optimizer, LambdaLR(optimizer, schedule)

    def take(optimizer: SGD, scheduler: LambdaLR, steps: int) -> list[float]:
        rates = []
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return rates

    whole = take(*make(), 12)
    optimizer, scheduler = make()
    first = take(optimizer, scheduler, 5)
    other, fresh = make()
    other.load_state_dict(optimizer.state_dict())
    fresh.load_state_dict(scheduler.state_dict())
    assert first + take(other, fresh, 7) == whole


def test_plateau() -> None:
    def make() -> tuple[SGD, Plateau]:
        optimizer = sgd()
        return optimizer, Plateau(
            optimizer, warmup_steps=2, goal="min", factor=0.5, patience=1, floor=0.2
        )

    def epoch(optimizer: SGD, plateau: Plateau, value: float) -> list[float]:
        rates = []
        for _ in range(2):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            plateau.step()
        plateau.judge(value)
        return rates

    losses = [2.0, 1.0, 1.0, 1.5, 1.2, 1.1, 0.9, 0.9, math.nan, 0.9]
    optimizer, plateau = make()
    rates = []
    for number, loss in enumerate(losses):
        if number == 5:  # resumed, between two bad epochs
            optimizer_state, state = optimizer.state_dict(), plateau.state_dict()
            optimizer, plateau = make()
            optimizer.load_state_dict(optimizer_state)
            plateau.load_state_dict(state)
        rates.append(epoch(optimizer, plateau, loss))
    assert rates[0] == [0.5, 1.0]
    assert [first for first, _ in rates[1:]] == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2]
    assert all(first == second for first, second in rates[1:])
    optimizer, plateau = make()
    firsts = [epoch(optimizer, plateau, loss)[0] for loss in (math.nan, 5.0, 4.0, 3.0, 2.0)]
    assert firsts == [0.5, 1, 1, 1, 1]  # whatever comes is better than nothing


def test_wrong_names_and_options_are_answered() -> None:
    for name, options, message in [
        ("cosin", {}, "unknown schedule 'cosin'; did you mean cosine"),
        ("cosine", {"flat": 0.1}, "unknown option of schedule cosine 'flat'; choose one of: floor"),
        ("constant", {"floor": 0.1}, "schedule constant has no options, got floor"),
        ("multistep", {}, "schedule multistep needs the option milestones"),
        ("step", {"every": 0}, "schedule step needs every above 0, got 0.0"),
        ("wsd", {"decay": "long"}, r"schedule wsd needs decay in \(0, 1\], got 'long'"),
    ]:
        with pytest.raises(AllmlpError, match=message):
            values(name, 4, **options)
    for options, message in [
        ({"factor": 1.0}, r"plateau needs factor in \(0, 1\)"),
        ({"patience": -1}, "plateau needs an integer patience of at least 0"),
        ({"floor": 2.0}, r"plateau needs floor in \[0, 1\]"),
    ]:
        with pytest.raises(AllmlpError, match=message):
            Plateau(sgd(), warmup_steps=0, goal="max", **options)
