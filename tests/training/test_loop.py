import copy
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import LBFGS, SGD, AdamW
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from allmlp.data import Padding
from allmlp.errors import AllmlpError
from allmlp.training import (
    Classification,
    Loop,
    NotFiniteError,
    Regression,
    StepReport,
    evaluate,
    load_checkpoint,
    save_checkpoint,
)

Batch = tuple[torch.Tensor, torch.Tensor]


def data(batches: int, size: int = 8) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(batches, size, 4, generator=generator)
    return [(x, (x[:, 0] > 0).long()) for x in inputs]


def loop_for(model: nn.Module, lr: float = 0.1, **options: object) -> Loop:
    optimizer = SGD(model.parameters(), lr=lr)
    scheduler = LambdaLR(optimizer, lambda step: 1 / (step + 1))
    return Loop(model, Classification(), optimizer, scheduler, **options)


def test_equals_a_loop_written_by_hand() -> None:
    model = nn.Linear(4, 2).double()
    mine = copy.deepcopy(model)
    batches = [(x.double(), y) for x, y in data(5)]
    list(loop_for(model, clip=0.5).train_epoch(batches))

    for step, (x, y) in enumerate(batches):
        loss = F.cross_entropy(mine(x), y)
        gradients = torch.autograd.grad(loss, list(mine.parameters()))
        norm = torch.sqrt(sum(g.square().sum() for g in gradients))
        scale = min(1.0, 0.5 / (norm.item() + 1e-6)) * 0.1 / (step + 1)
        with torch.no_grad():
            for parameter, gradient in zip(mine.parameters(), gradients, strict=True):
                parameter -= scale * gradient
    torch.testing.assert_close(model.state_dict(), mine.state_dict(), rtol=1e-10, atol=1e-12)


def test_reports_cover_every_example_once() -> None:
    loop = loop_for(nn.Linear(4, 2), lr=0.0, log_every=2)
    batches = data(5)
    reports = [r for r in loop.train_epoch(batches) if r]
    assert [r.step for r in reports] == [2, 4, 5]
    assert [r.epoch for r in reports] == [0, 0, 0]
    assert (loop.step, loop.epoch) == (5, 1)
    # the learning rate is 0: the mean over the reports is what evaluation finds
    expected = evaluate(loop.model, loop.task, batches)
    weights = torch.tensor([2, 2, 1]) / 5
    for name in ("loss", "accuracy"):
        values = torch.tensor([r.metrics[name] for r in reports])
        assert (weights * values).sum().item() == pytest.approx(expected[name], rel=1e-5)


def test_evaluation_weighs_examples_not_batches_and_restores_the_mode() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2)).train()
    (x, y), *_ = data(1, size=9)
    whole = evaluate(model, Classification(), [(x, y)])
    split = evaluate(model, Classification(), [(x[:8], y[:8]), (x[8:], y[8:])])
    assert split == pytest.approx(whole)
    assert model.training
    with pytest.raises(AllmlpError, match="at least one example"):
        evaluate(model, Classification(), [])


def test_a_loss_that_is_not_finite_stops_with_the_step() -> None:
    loop = loop_for(nn.Linear(4, 2), log_every=1)
    batches = data(3)
    batches[1][0][0] = float("nan")
    with pytest.raises(AllmlpError, match=r"loss is nan at step 2 \(learning rate 0.05\)"):
        list(loop.train_epoch(batches))


def test_learns() -> None:
    model = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 2))
    optimizer = AdamW(model.parameters(), lr=0.01)
    loop = Loop(model, Classification(), optimizer, LambdaLR(optimizer, lambda _: 1.0))
    for _ in range(20):
        list(loop.train_epoch(data(10)))
    assert evaluate(model, loop.task, data(10))["accuracy"] > 0.95


def test_bf16_multiplies_in_bf16_and_keeps_weights_in_fp32() -> None:
    class Probe(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = super().forward(x)
            self.seen = y.dtype
            return y

    model = Probe(4, 2)
    list(loop_for(model, autocast_dtype=torch.bfloat16).train_epoch(data(1)))
    assert model.seen == torch.bfloat16
    assert model.weight.dtype == torch.float32


def trained(batches: list[Any], **options: Any) -> tuple[nn.Module, list[StepReport]]:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    reports = list(loop_for(model, log_every=1, **options).train_epoch(batches))
    return model, [r for r in reports if r]


@pytest.mark.parametrize("accumulate", [2, 3, 8, 11])  # evenly, unevenly, singly, and too many
def test_slices_make_the_step_of_the_whole_batch(accumulate: int) -> None:
    batches = [(x.double(), y) for x, y in data(3)]
    whole, expected = trained(batches, clip=0.5)
    model, reports = trained(batches, clip=0.5, accumulate=accumulate)
    torch.testing.assert_close(model.state_dict(), whole.state_dict(), rtol=0, atol=1e-12)
    for ours, theirs in zip(reports, expected, strict=True):
        assert ours.metrics == pytest.approx(theirs.metrics, rel=1e-12)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_padding_counts_for_nothing(accumulate: int) -> None:
    (x, y), *_ = data(1)
    batch, hostile = (x.double(), y), Padding((torch.full((1, 4), 1e3).double(), y[:1]))
    model, reports = trained([batch, hostile], accumulate=accumulate)
    alone, expected = trained([batch])
    torch.testing.assert_close(model.state_dict(), alone.state_dict(), rtol=0, atol=1e-12)
    assert reports[0].metrics == pytest.approx(expected[0].metrics)
    assert reports[1].metrics == {"loss": 0.0, "accuracy": 0.0}
    task = Classification()
    assert evaluate(model, task, [batch, hostile]) == evaluate(model, task, [batch])


def test_the_average_is_that_of_the_weights_after_each_step() -> None:
    model = nn.Linear(4, 2).double()
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.75))
    loop = loop_for(model, average=average)
    expected = None
    steps = loop.train_epoch([(x.double(), y) for x, y in data(5)])
    for _ in range(5):
        next(steps)
        weight = model.weight.detach().clone()
        expected = weight if expected is None else 0.75 * expected + 0.25 * weight
        torch.testing.assert_close(average.module.weight, expected, rtol=0, atol=1e-12)
    with loop.judging() as judged, loop_for(model).judging() as plain:
        assert judged is average.module
        assert plain is model


class Noisy(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.3), nn.Linear(6, 2))


def noisy_loop(average: bool = True) -> Loop:
    torch.manual_seed(3)
    model = Noisy()
    optimizer = AdamW(model.parameters(), lr=0.01)
    return Loop(
        model,
        Classification(),
        optimizer,
        LambdaLR(optimizer, lambda step: 1 / (step + 1)),
        average=AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9)) if average else None,
        clip=1.0,
        accumulate=3,
        log_every=3,
    )


def numbers(report: StepReport | None) -> tuple[Any, ...] | None:
    if report is None:
        return None
    return (report.step, report.epoch, report.metrics, report.lr)


@pytest.mark.parametrize("stop", range(1, 11))
def test_stopped_anywhere_it_goes_on_bit_for_bit(tmp_path: Path, stop: int) -> None:
    batches = data(5)

    def steps(loop: Loop) -> Iterator[tuple[Any, ...] | None]:
        while loop.epoch < 2:
            yield from map(numbers, loop.train_epoch(batches[loop.batch :]))

    unbroken = noisy_loop()
    expected = list(steps(unbroken))
    first = noisy_loop()
    walk = steps(first)
    seen = [next(walk) for _ in range(stop)]
    while first.step < stop:
        seen.append(next(walk))
    save_checkpoint(tmp_path / "ckpt", first.state_dict())
    walk.close()

    second = noisy_loop()
    torch.manual_seed(99)  # as another process would be
    second.load_state_dict(load_checkpoint(tmp_path / "ckpt"))
    rest = list(steps(second))
    # two epochs of five steps: reports after 3, 5 | 6, 9, 10; half of one's sums were stored
    assert [r for r in seen + rest if r] == [r for r in expected if r]
    with second.judging() as ours, unbroken.judging() as theirs:
        for mine, other in ((second.model, unbroken.model), (ours, theirs)):
            for name, value in other.state_dict().items():
                assert torch.equal(mine.state_dict()[name], value), name


def test_workers_that_draw_random_numbers_change_nothing() -> None:
    batches = data(4)

    class Drawing:
        def __iter__(self) -> Iterator[Batch]:
            torch.rand(7)  # a DataLoader draws the seed of its workers
            return iter(batches[1:])

    loop, again = noisy_loop(), noisy_loop()
    walk = loop.train_epoch(batches)
    next(walk)
    state = copy.deepcopy(loop.state_dict())
    list(walk)
    again.load_state_dict(state)
    list(again.train_epoch(Drawing()))
    assert torch.equal(again.model.state_dict()["0.weight"], loop.model.state_dict()["0.weight"])


def test_a_state_of_another_model_or_average_is_refused() -> None:
    state = noisy_loop().state_dict()
    with pytest.raises(AllmlpError, match=r"mine.ckpt does not fit this model.*- weight"):
        loop_for(nn.Linear(4, 2)).load_state_dict(state, "mine.ckpt")
    with pytest.raises(AllmlpError, match="has an average of the weights; set train.ema"):
        noisy_loop(average=False).load_state_dict(state)
    with pytest.raises(AllmlpError, match="has no average of the weights"):
        noisy_loop().load_state_dict(noisy_loop(average=False).state_dict())


def test_lbfgs_searches_along_the_whole_batch() -> None:
    x = torch.randn(20, 3, dtype=torch.float64)
    targets = x @ torch.tensor([[1.0], [-2.0], [3.0]], dtype=torch.float64)

    def fitted(**options: Any) -> tuple[torch.Tensor, list[float]]:
        model = nn.Linear(3, 1, bias=False).double()
        nn.init.zeros_(model.weight)
        optimizer = LBFGS(model.parameters(), line_search_fn="strong_wolfe")
        schedule = LambdaLR(optimizer, lambda _: 1.0)
        loop = Loop(model, Regression(), optimizer, schedule, log_every=1, **options)
        reports = loop.train_epoch([(x, targets)] * 2)
        return model.weight.detach(), [r.metrics["loss"] for r in reports if r]

    weight, losses = fitted()
    # reported where a step starts: at zero weights the loss is the mean square of the targets
    assert losses[0] == pytest.approx(targets.square().mean().item(), rel=1e-12)
    expected = torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64)
    torch.testing.assert_close(weight, expected, rtol=0, atol=1e-6)
    sliced, again = fitted(accumulate=3)
    torch.testing.assert_close(sliced, weight, rtol=0, atol=1e-9)
    assert again[0] == pytest.approx(losses[0], rel=1e-12)


def test_an_optimizer_that_remembers_nothing_resumes() -> None:
    first, second = (loop_for(nn.Linear(4, 2)) for _ in range(2))
    list(first.train_epoch(data(2)))
    second.load_state_dict(first.state_dict())  # of SGD: rates, and no tensor
    assert second.optimizer.param_groups[0]["lr"] == first.optimizer.param_groups[0]["lr"]
    assert torch.equal(second.model.weight, first.model.weight)


def test_a_scaled_learning_rate_stays_scaled() -> None:
    plain, scaled = (loop_for(nn.Linear(4, 2), log_every=1) for _ in range(2))
    expected = [r.lr for r in plain.train_epoch(data(5)) if r]
    walk = scaled.train_epoch(data(5))
    rates = [r.lr for r in (next(walk), next(walk)) if r]
    scaled.scale_lr(0.5)
    state = copy.deepcopy(scaled.state_dict())
    rates += [r.lr for r in walk if r]
    assert rates == pytest.approx(expected[:2] + [lr / 2 for lr in expected[2:]])
    # and in what is saved
    resumed = loop_for(nn.Linear(4, 2), log_every=1)
    resumed.load_state_dict(state)
    rest = [r.lr for r in resumed.train_epoch(data(5)[2:]) if r]
    assert rest == pytest.approx([lr / 2 for lr in expected[2:]])


def test_a_rate_that_follows_the_loss_cannot_be_scaled() -> None:
    model = nn.Linear(4, 2)
    optimizer = SGD(model.parameters(), lr=0.1)
    loop = Loop(model, Classification(), optimizer, ReduceLROnPlateau(optimizer))
    with pytest.raises(AllmlpError, match="ReduceLROnPlateau sets its own learning rates"):
        loop.scale_lr(0.5)


def spoil_weight(loop: Loop) -> None:
    with torch.no_grad():
        loop.model.weight[0, 0] = math.inf


def spoil_loss(loop: Loop) -> None:
    batch = torch.full((8, 4), math.nan), torch.zeros(8, dtype=torch.int64)
    loop.optimizer.param_groups[0]["lr"] = 0.0
    next(loop.train_epoch([batch]))
    nn.init.zeros_(loop.model.weight)
    nn.init.zeros_(loop.model.bias)


@pytest.mark.parametrize("spoil", [spoil_weight, spoil_loss])
def test_what_is_not_finite_is_found_before_it_is_saved(spoil: Callable[[Loop], None]) -> None:
    loop = loop_for(nn.Linear(4, 2))
    next(loop.train_epoch(data(1)))
    loop.check_finite()
    spoil(loop)
    with pytest.raises(NotFiniteError, match=r"no longer finite at step \d \(learning rate"):
        loop.check_finite()


@pytest.mark.parametrize("name", ["accumulate", "log_every"])
def test_counts_start_at_one(name: str) -> None:
    with pytest.raises(AllmlpError, match=f"integer {name} of at least 1"):
        loop_for(nn.Linear(4, 2), **{name: 0})
