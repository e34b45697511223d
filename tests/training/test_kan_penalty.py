import math

import pytest
import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.models.kan import KAN
from allmlp.training import KANPenalty, fit, kan_penalty


def net() -> KAN:
    model = KAN([3, 4, 2], grid=3).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    return model


def edges(model: KAN, number: int, x: Tensor) -> Tensor:
    layer, seen = model.layers[number].numeric, model.forward_intermediates(x)
    functions = layer.edge_functions(seen[f"layers.{number}.input"])
    return torch.einsum("nif,sif->nsi", functions, layer.edge_weights()).detach()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(30, 3, dtype=torch.float64)


def test_paper(x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    model, expected = net(), 0.0
    for number in range(2):
        sizes = edges(model, number, x).abs().mean(0)
        p = sizes / sizes.sum()
        expected += float(sizes.sum() - (p * p.log()).sum())
    monkeypatch.setattr(kan_penalty, "_NUMBERS_AT_ONCE", 100)  # tiles
    assert KANPenalty("paper", 0.1)(model, x).item() == pytest.approx(0.1 * expected, rel=1e-12)


def test_pykan(x: Tensor) -> None:
    model, expected = net(), 0.0
    seen = model.forward_intermediates(x)
    for number in range(2):
        v = edges(model, number, x).std(0) / (seen[f"layers.{number}.input"].detach().std(0) + 0.1)
        row, column = v / (v.sum(1, keepdim=True) + 1), v / (v.sum(0, keepdim=True) + 1)
        entropy = -(row * (row + 1e-4).log2()).sum(1).mean()
        entropy = entropy - (column * (column + 1e-4).log2()).sum(0).mean()
        expected += float(v.sum() + 2 * entropy)
    assert KANPenalty("pykan", 0.1)(model, x).item() == pytest.approx(0.1 * expected, rel=1e-12)


def test_coefficients(x: Tensor) -> None:
    model = net()
    plain = KANPenalty("pykan", 1.0)(model, x)
    both = KANPenalty("pykan", 1.0, coefficients=3.0, differences=5.0)(model, x)
    expected = torch.zeros((), dtype=x.dtype)
    for layer in model.layers:
        c = layer.numeric.spline_weight  # (s, m, i)
        expected += 3 * c.abs().mean(1).sum() + 5 * c.diff(dim=1).abs().mean(1).sum()
    torch.testing.assert_close(both - plain, expected)


@pytest.mark.parametrize("kind", ["paper", "pykan"])
def test_gradients(kind: str, x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    model, penalty = net(), KANPenalty(kind, 1.0)
    with torch.no_grad():  # a dead edge, a dead node
        model.layers[0].numeric.spline_weight[1, :, 0] = 0
        model.layers[0].numeric.base_weight[1, 0] = 0
    penalty(model, x).backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    # along a line, against differences
    direction = [torch.randn_like(p) for p in model.parameters()]
    slope = sum((p.grad * d).sum() for p, d in zip(model.parameters(), direction, strict=True))
    values = []
    for step in (-1e-6, 2e-6):
        with torch.no_grad():
            for p, d in zip(model.parameters(), direction, strict=True):
                p += step * d
            values.append(penalty(model, x))
    # the size of a dead edge has a corner there, the same on both sides
    assert ((values[1] - values[0]) / 2e-6).item() == pytest.approx(float(slope), rel=1e-4)


@pytest.mark.parametrize("kind", ["paper", "pykan"])
def test_finite_where_everything_is_zero(kind: str, x: Tensor) -> None:
    model = net()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    value = KANPenalty(kind, 1.0)(model, x)
    value.backward()
    assert value.item() == 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_fit_minimises_it_and_validation_leaves_it_out() -> None:
    x = torch.rand(100, 2, dtype=torch.float64) * 2 - 1
    y = torch.sin(math.pi * x[:, :1])
    model = KAN([2, 3, 1], grid=3).double()
    before = KANPenalty("pykan", 1.0)(model, x).item()
    penalty = KANPenalty("pykan", 1e-2)
    history = fit(model, x, y, penalty=penalty, optimizer="lbfgs", steps=3, validation=(x, y))
    assert KANPenalty("pykan", 1.0)(model, x).item() < before
    assert history["val/loss"][-1] == pytest.approx((model(x) - y).square().mean().item())
    assert history["train/loss"][-1] > history["val/loss"][-1]


def test_mistakes() -> None:
    with pytest.raises(AllmlpError, match="at least 0"):
        KANPenalty(strength=-1.0)
    with pytest.raises(AllmlpError, match="needs a KAN, got a Linear"):
        KANPenalty()(nn.Linear(2, 1), torch.zeros(3, 2))
