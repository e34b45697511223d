"""GradFlow tells the steps of a training apart, whoever takes them."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import LBFGS, SGD, AdamW

from allmlp.errors import AllmlpError
from allmlp.training import GradFlow


def test_the_context_sees_the_same_as_a_loop_that_calls(
    hooks_of: Callable[[nn.Module], int],
) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    twin = copy.deepcopy(model)
    data = torch.randn(6, 5, 4)

    def train(model: nn.Module, flow: GradFlow | None) -> None:
        optimizer = AdamW(model.parameters(), lr=0.01)
        for step, x in enumerate(data):
            if flow is not None:
                flow.begin(step)
            for part in x.split(3):
                model(part).square().sum().backward()
            if flow is not None:
                flow.after_backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            if flow is not None:
                flow.after_step()
            optimizer.zero_grad()

    with GradFlow(model, every=2) as around:
        train(model, None)
        seen = around.records
    called = GradFlow(twin, every=2)
    train(twin, called)
    assert [r.step for r in seen] == [0, 2, 4]
    assert seen == called.records
    assert hooks_of(twin) == hooks_of(model) == 0


def test_two_optimizers_take_one_step_and_a_foreign_one_none() -> None:
    body, head, other = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(1, 1)
    model = nn.Sequential(body, head)
    optimizers = [SGD(m.parameters(), lr=0.1) for m in (body, head, other)]
    with GradFlow(model) as flow:
        for _ in range(3):
            model(torch.randn(5, 4)).square().sum().backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
    assert [r.step for r in flow.records] == [0, 1, 2]
    assert all(p.update for r in flow.records for p in r.parameters)


def test_an_optimizer_that_calls_the_model() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = LBFGS(model.parameters(), max_iter=3)
    x, y = torch.randn(20, 4), torch.randn(20, 1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        return loss

    with GradFlow(model) as flow:
        for _ in range(3):
            optimizer.step(closure)
    assert [r.step for r in flow.records] == [0, 1, 2]
    assert all(p.update for r in flow.records for p in r.parameters)


def test_a_loop_without_an_optimizer_says_when_it_steps() -> None:
    model = nn.Linear(4, 1)
    with GradFlow(model) as flow:
        for _ in range(2):
            model(torch.ones(3, 4)).sum().backward()
            flow.after_backward()
            with torch.no_grad():
                for p in model.parameters():
                    p -= 0.1 * p.grad
            flow.after_step()
            model.zero_grad()
    assert [r.step for r in flow.records] == [0, 1]
    assert flow.records[1].parameters[0].update == pytest.approx(0.1 * 3 * 2)


def test_nothing_measured_and_misuse() -> None:
    model = nn.Linear(2, 2)
    with GradFlow(model) as flow:
        model(torch.ones(1, 2)).sum()
        with pytest.raises(AllmlpError, match="one context at a time"), flow:
            pass
    empty = GradFlow(model)
    with pytest.raises(AllmlpError, match="needs a measured step, .* train it inside"):
        empty.report()
    with pytest.raises(AllmlpError, match="integer every of at least 1, got 0"):
        GradFlow(model, every=0)
    empty.begin(0)
    model(torch.ones(1, 2)).sum().backward()
    with pytest.raises(AllmlpError, match="after_backward .* was not called; call it"):
        empty.after_step()
    empty.close()
