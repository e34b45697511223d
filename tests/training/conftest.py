"""A measured step, and a count of the hooks that measuring has left."""

from collections.abc import Callable

import pytest
from torch import Tensor, nn
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from allmlp.training import FlowReport, GradFlow


@pytest.fixture(scope="session")
def report_on() -> Callable[[nn.Module, Callable[[], Tensor]], FlowReport]:
    """Measures the backward pass of a loss of some model."""

    def report(model: nn.Module, loss: Callable[[], Tensor]) -> FlowReport:
        with GradFlow(model) as flow:
            loss().backward()
        return flow.report()

    return report


@pytest.fixture(scope="session")
def hooks_of() -> Callable[[nn.Module], int]:
    """Counts the hooks of a model, of its parameters and of all optimizers."""

    def count(model: nn.Module) -> int:
        tables = [
            table
            for m in model.modules()
            for table in (m._forward_hooks, m._forward_pre_hooks, m._forward_hooks_always_called)
        ]
        tables += [p._post_accumulate_grad_hooks or {} for p in model.parameters()]
        tables += [p._backward_hooks or {} for p in model.parameters()]
        tables += [_global_optimizer_pre_hooks, _global_optimizer_post_hooks]
        return sum(map(len, tables))

    return count
