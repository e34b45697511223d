"""Settings of a run that name an optimizer and a schedule."""

from typing import Any

import pytest
import torch
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.runs.config_tree import build_config
from allmlp.runs.optimize import (
    build_run_optimizer,
    build_scheduler,
    check_optimize,
    early_stop_note,
)
from allmlp.training import is_schedule_free

LENGTHS = {"warmup_steps": 10, "total_steps": 1000, "steps_per_epoch": 10}


def settings(**fields: Any) -> Any:
    return build_config({"train": fields}).train


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": "adamv"}, "unknown optimizer 'adamv'; did you mean adam or adamw"),
        ({"optimizer": "lbfgs"}, "needs all examples in one batch, .* take allmlp.fit"),
        ({"optimizer": "torch.optim.LBFGS"}, "needs all examples in one batch"),
        ({"optimizer_options": {"beta": 1}}, "unknown option of adamw 'beta'; did you mean betas"),
        ({"schedule": "cosin"}, "unknown schedule 'cosin'; did you mean cosine"),
        ({"schedule_options": {"flooor": 1}}, "unknown option of schedule cosine 'flooor'"),
        ({"schedule": "multistep"}, "schedule multistep needs the option milestones"),
        ({"schedule": "plateau", "schedule_options": {"factr": 1}}, "option of plateau 'factr'"),
        ({"layer_decay": 0.0}, r"train.layer_decay must be in \(0, 1\], got 0"),
    ],
)
def test_what_makes_no_sense_is_said_at_once(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(AllmlpError, match=message):
        check_optimize(settings(**fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schedule": "cosine"}, "does without a schedule, got cosine; leave train.schedule unset"),
        ({"optimizer_options": {"warmup_steps": 9}}, "train.warmup sets the warm-up"),
        ({"gradflow": 5}, "reads gradients that schedule_free overwrites in its step"),
        ({"ema": 0.9}, "averages the weights itself; leave train.ema unset"),
    ],
)
def test_schedule_free_replaces_schedule_and_average(fields: dict[str, Any], message: str) -> None:
    pytest.importorskip("schedulefree", reason="needs the extra schedulefree")
    check_optimize(settings(optimizer="schedule_free"))
    check_optimize(settings(optimizer="schedulefree.SGDScheduleFree"))
    with pytest.raises(AllmlpError, match=message):
        check_optimize(settings(optimizer="schedule_free", **fields))


def test_schedule_free_is_constant_after_the_warm_up_and_others_follow_the_cosine() -> None:
    pytest.importorskip("schedulefree", reason="needs the extra schedulefree")

    def rates(**fields: Any) -> list[float]:
        train, model = settings(lr=0.5, **fields), nn.Linear(2, 2)
        optimizer = build_run_optimizer(train, model)
        scheduler = build_scheduler(
            train, optimizer, warmup_steps=2, total_steps=6, steps_per_epoch=1, goal="max"
        )
        if is_schedule_free(optimizer):
            optimizer.train()
        seen = []
        for _ in range(6):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return seen

    assert rates(optimizer="schedule_free") == [0.25, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert rates()[-1] < 0.1


def test_an_optimizer_of_ones_own_by_path() -> None:
    optimizer = build_run_optimizer(
        settings(optimizer="torch.optim.RAdam", optimizer_options={"betas": [0.8, 0.9]}),
        nn.Linear(2, 2),
    )
    assert isinstance(optimizer, torch.optim.RAdam)
    assert [g["betas"] for g in optimizer.param_groups] == [(0.8, 0.9)] * 2
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.1, 0.0]


@pytest.mark.parametrize(
    ("fields", "falls"),
    [
        ({"schedule": "wsd", "early_stop": 70}, "wsd begins to fall in epoch 81"),
        ({"schedule": "wsd", "early_stop": 80}, None),
        ({"schedule": "flat_cos", "early_stop": 10}, "flat_cos begins to fall in epoch 51"),
        ({"schedule": "step", "early_stop": 9}, "step begins to fall in epoch 31"),
        ({"schedule": "cosine", "early_stop": 3}, None),
        ({"warmup": 20.0, "early_stop": 3}, "cosine begins to fall in epoch 21"),
        ({"schedule": "constant", "early_stop": 3}, None),
        ({"schedule": "plateau", "early_stop": 10}, "plateau lets 10 pass"),
        (
            {"schedule": "plateau", "schedule_options": {"patience": 2}, "early_stop": 3},
            None,
        ),
        ({"schedule": "wsd"}, None),
    ],
)
def test_early_stopping_before_the_decay_is_announced(
    fields: dict[str, Any], falls: str | None
) -> None:
    train = settings(**fields)
    lengths = LENGTHS | {"warmup_steps": round(fields.get("warmup", 1) * 10)}
    note = early_stop_note(train, **lengths)
    if falls is None:
        assert note is None
    else:
        assert note is not None
        assert falls in note
        assert f"after {train.early_stop + 1} epochs" in note
