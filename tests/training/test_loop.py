import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import LambdaLR

from allmlp.errors import AllmlpError
from allmlp.training import Classification, Loop, evaluate

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
