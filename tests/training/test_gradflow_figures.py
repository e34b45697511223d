"""The figures of GradFlow are those of autograd, whatever the module."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD
from torch.utils.checkpoint import checkpoint

from allmlp.training import FlowReport, GradFlow

Reporter = Callable[[nn.Module, Callable[[], Tensor]], FlowReport]


def test_figures_are_those_of_autograd_and_add_up_over_micro_batches() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    model[0].bias.requires_grad_(False)
    optimizer = SGD(model.parameters(), lr=0.1)
    parts = [torch.randn(5, 4).double(), torch.randn(7, 4).double()]
    flow = GradFlow(model)
    flow.begin(0)
    for x in parts:
        model(x).square().sum().backward()
    flow.after_backward()
    expected = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    before = copy.deepcopy(model)
    optimizer.step()
    flow.after_step()
    flow.close()

    (record,) = flow.drain()
    assert flow.records == ()
    assert [p.name for p in record.parameters] == list(expected)
    for p in record.parameters:
        moved = model.get_parameter(p.name) - before.get_parameter(p.name)
        assert p.gradient == pytest.approx(expected[p.name].norm().item(), rel=1e-12)
        assert p.weight == pytest.approx(before.get_parameter(p.name).norm().item(), rel=1e-12)
        assert p.update == pytest.approx(moved.norm().item(), rel=1e-12)
        assert p.update_ratio == pytest.approx(p.update / p.weight)
        assert p.zeros == 0
    total = math.hypot(*(g.norm().item() for g in expected.values()))
    assert record.gradient == pytest.approx(total, rel=1e-12)
    assert record.clipped == pytest.approx(0.5, rel=1e-5)
    assert f"global gradient norm {total:.3g}, clipped to 0.5" in str(FlowReport(record))

    whole = torch.cat(parts)
    z = before[0](whole)
    out = before[2](torch.tanh(z))
    (gradient,) = torch.autograd.grad(out.square().sum(), z, retain_graph=True)
    first, last = record.layers
    assert first.gradient == pytest.approx(gradient.norm().item(), rel=1e-12)
    assert first.output == pytest.approx(z.square().mean().sqrt().item(), rel=1e-12)
    assert last.gradient == pytest.approx((2 * out).norm().item(), rel=1e-12)
    assert (first.examples, first.idle) == (12, 0)
    (activation,) = record.activations
    assert activation.mean == pytest.approx(torch.tanh(z).mean().item(), rel=1e-10)
    assert activation.std == pytest.approx(torch.tanh(z).std(correction=0).item(), rel=1e-10)


def test_shared_modules_calls_and_several_outputs(report_on: Reporter) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.Linear(4, 4)
            self.again = self.cell
            self.rnn = nn.GRU(4, 3, batch_first=True)
            self.tied = nn.Linear(4, 4)
            self.tied.weight = self.cell.weight

        def forward(self, x: Tensor) -> dict[str, Tensor | list[Tensor]]:
            for _ in range(3):
                x = torch.tanh(self.again(x))
            sequence, last = self.rnn(x)
            return {"sequence": sequence, "others": [last, self.tied(x)]}

    net = Net()

    def loss() -> Tensor:
        out = net(torch.randn(2, 5, 4))
        return out["sequence"].sum() + out["others"][1].sum()

    record = report_on(net, loss).record
    assert [(layer.name, layer.call) for layer in record.layers] == [
        ("cell", 0),
        ("cell", 1),
        ("cell", 2),
        ("rnn", 0),
        ("tied", 0),
    ]
    assert all(layer.gradient for layer in record.layers)
    assert [p.name for p in record.parameters][:3] == [
        "cell.weight",
        "cell.bias",
        "rnn.weight_ih_l0",
    ]
    assert "tied.weight" not in {p.name for p in record.parameters}


def test_weights_applied_by_a_parent_or_computed(report_on: Reporter) -> None:
    class KanLike(nn.Module):
        """Weights of its own, and a child that is no layer."""

        def __init__(self) -> None:
            super().__init__()
            self.coefficients = nn.Parameter(torch.randn(4, 4, 3))
            self.base = nn.SiLU()

        def forward(self, x: Tensor) -> Tensor:
            powers = torch.stack([self.base(x), x, x * x], dim=-1)
            return torch.einsum("bik,oik->bo", powers, self.coefficients)

    class Applies(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, self.inner.weight)

    applies = Applies()
    normed = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
    model = nn.Sequential(KanLike(), applies, normed, applies, nn.LayerNorm(4))
    record = report_on(model, lambda: model(torch.randn(6, 4)).square().sum()).record
    assert [(layer.name, layer.call) for layer in record.layers] == [
        ("0", 0),
        ("1", 0),
        ("2", 0),
        ("1", 1),
    ]
    assert [a.name for a in record.activations] == ["0.base"]


def test_frozen_parts_and_calls_without_gradients(report_on: Reporter) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    model[0].requires_grad_(False)

    def loss() -> Tensor:
        with torch.no_grad():
            model(torch.full((9, 4), math.nan))  # not part of training, so not seen
        return model(torch.randn(40, 4)).sum()

    report = report_on(model, loss)
    first, last = report.record.layers
    assert (first.gradient, first.idle) == (None, None)
    assert last.gradient
    assert [p.name for p in report.record.parameters] == ["2.weight", "2.bias"]
    assert report.healthy
    assert " -     -            -              -\n" in str(report)


def test_sparse_gradients() -> None:
    model = nn.Sequential(nn.Embedding(100, 3, sparse=True), nn.Linear(3, 1))
    with GradFlow(model) as flow:
        model(torch.tensor([1, 1, 2])).sum().backward()
    record = flow.records[0]
    assert record.parameters[0].gradient == pytest.approx(model[0].weight.grad.to_dense().norm())


def test_reentrant_checkpoints_run_unseen(report_on: Reporter) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
            self.outer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.outer(checkpoint(self.inner, x, use_reentrant=True))

    net = Net()
    report = report_on(net, lambda: net(torch.randn(3, 4, requires_grad=True)).sum())
    gradients = {layer.name: layer.gradient is not None for layer in report.record.layers}
    assert gradients == {"inner.0": False, "outer": True}
    assert all(p.gradient is not None for p in report.record.parameters)
