"""Optimizers with two points: the loop learns at one and is judged at the other."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from allmlp.errors import AllmlpError
from allmlp.training import (
    Classification,
    Loop,
    Regression,
    build_optimizer,
    build_schedule,
    evaluate,
    fit,
    load_checkpoint,
    save_checkpoint,
)

schedulefree = pytest.importorskip("schedulefree", reason="needs the extra schedulefree")

Batch = tuple[Tensor, Tensor]


def data(count: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(1)
    pairs = [torch.randn(12, 4, generator=generator) for _ in range(count)]
    return [(x, (x.sum(1) > 0).long()) for x in pairs]


class Normed(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.3), nn.Linear(6, 2))


def make_loop(warmup: int = 3) -> Loop:
    torch.manual_seed(2)
    model = Normed()
    optimizer = build_optimizer("schedule_free", model, lr=0.05, weight_decay=0.1)
    schedule = build_schedule("constant", warmup_steps=warmup, total_steps=99, steps_per_epoch=9)
    return Loop(model, Classification(), optimizer, LambdaLR(optimizer, schedule), log_every=1)


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(model.state_dict())


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[k], other[k]) for k in one)


def test_steps_and_answer_are_the_packages_own() -> None:
    # its own warm-up counts as ours does
    loop = make_loop(warmup=3)
    theirs = copy.deepcopy(loop.model)
    decayed = [p for p in theirs.parameters() if p.ndim > 1]
    plain = [p for p in theirs.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain}]
    optimizer = schedulefree.AdamWScheduleFree(groups, lr=0.05, warmup_steps=3)
    optimizer.train()
    torch.manual_seed(5)
    for inputs, labels in data(8):
        optimizer.zero_grad()
        nn.functional.cross_entropy(theirs(inputs), labels).backward()
        optimizer.step()
    torch.manual_seed(5)
    list(loop.train_epoch(data(8)))
    assert equal(loop.model.state_dict(), theirs.state_dict())
    optimizer.eval()
    with loop.judging(partial(data, 8)) as judged:
        for mine, other in zip(judged.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(mine, other)


def test_judging_is_repeatable_and_leaves_no_trace() -> None:
    loop = make_loop()
    list(loop.train_epoch(data(6)))
    before, random = snapshot(loop.model), torch.get_rng_state()

    def judge() -> tuple[dict[str, float], dict[str, Tensor]]:
        with loop.judging(partial(data, 6)) as model:
            return evaluate(model, loop.task, data(3)), snapshot(model)

    (scores, state), (again, second) = judge(), judge()
    assert scores == again
    assert equal(state, second)
    assert not torch.equal(state["0.weight"], before["0.weight"])
    assert equal(before, loop.model.state_dict())
    assert torch.equal(random, torch.get_rng_state())
    assert loop.model.training
    assert all(g["train_mode"] for g in loop.optimizer.param_groups)


def test_statistics_are_those_of_the_answer() -> None:
    loop = make_loop()
    list(loop.train_epoch(data(6)))
    batches = data(5)
    with loop.judging(lambda: batches) as model:
        assert isinstance(model, Normed)
        hidden = torch.stack([model[0](inputs) for inputs, _ in batches])
        torch.testing.assert_close(model[1].running_mean, hidden.mean((0, 1)))
        torch.testing.assert_close(model[1].running_var, hidden.var(1).mean(0))
        assert model[1].momentum == 0.1


@pytest.mark.parametrize("stop", [2, 5, 7])
def test_it_goes_on_bit_for_bit(tmp_path: Path, stop: int) -> None:
    def train(loop: Loop, end: int) -> list[dict[str, float]]:
        scores: list[dict[str, float]] = []
        while loop.step < end:
            walk = loop.train_epoch(data(5)[loop.batch :])
            for _ in walk:
                if loop.step == end and loop.batch < 5:
                    return scores
            with loop.judging(partial(data, 5)) as model:
                scores.append(evaluate(model, loop.task, data(2)))
        return scores

    unbroken = make_loop()
    expected = train(unbroken, 10)
    first = make_loop()  # seeds dropout
    seen = train(first, stop)
    save_checkpoint(tmp_path / "ckpt", first.state_dict())
    second = make_loop()
    torch.manual_seed(99)
    second.load_state_dict(load_checkpoint(tmp_path / "ckpt"))
    assert seen + train(second, 10) == expected
    assert equal(second.model.state_dict(), unbroken.model.state_dict())


def test_an_average_beside_it_is_refused() -> None:
    loop = make_loop()
    with pytest.raises(AllmlpError, match="averages the weights itself; leave ema unset"):
        Loop(
            loop.model,
            loop.task,
            loop.optimizer,
            loop.scheduler,
            average=AveragedModel(loop.model),
        )


def test_fit_leaves_the_answer_with_its_statistics() -> None:
    torch.manual_seed(0)
    x = torch.randn(200, 3)
    y = (x @ torch.tensor([[1.0], [-2.0], [0.5]])).tanh()
    model = nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 1))
    options: dict[str, Any] = {"optimizer": "schedule_free", "lr": 0.02, "batch_size": 50}
    history = fit(model, x, y, epochs=40, validation=(x, y), **options)
    # what was judged last is what is left
    after = evaluate(model, Regression(), [(x, y)])["loss"]
    assert after == pytest.approx(history["val/loss"][-1], rel=1e-5)
    assert after < 0.01
    with pytest.raises(AllmlpError, match="goes with schedule='constant'"):
        fit(model, x, y, epochs=1, schedule="cosine", **options)
