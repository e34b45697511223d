import math
from typing import Any

import pytest
import torch
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.layers import PBLDEmbedding, TableStem
from allmlp.models.realmlp import NTKLinear, ParametricActivation, RealMLP
from allmlp.models.tabm import TabM, TabMMini, TabMPacked
from allmlp.models.tabular import TabularMLP, TabularResNet
from allmlp.training import decay_groups, fit

ROWS = torch.cat([torch.randn(9, 3), torch.randint(0, 4, (9, 1)).float()], dim=1)


def stem() -> TableStem:
    return TableStem(3, 0, [3], one_hot=9)


@pytest.mark.parametrize("kind", [TabularMLP, TabularResNet, RealMLP, TabM, TabMMini, TabMPacked])
def test_outputs_and_gradients(kind: type[nn.Module]) -> None:
    members = {"members": 5} if kind.__name__.startswith("TabM") else {}
    model = kind(stem(), 2, width=8, depth=2, **members)
    outputs = model(ROWS)
    assert outputs.shape == ((9, 5, 2) if members else (9, 2))
    outputs.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    model.eval()
    # rows are answered one by one; float32 sums in another order
    alone = torch.cat([model(row[None]) for row in ROWS])
    torch.testing.assert_close(model(ROWS), alone, rtol=1e-5, atol=1e-5)
    with pytest.raises(AllmlpError, match="integer depth of at least 1, got 0"):
        kind(stem(), 2, depth=0)


def test_norm_is_an_option() -> None:
    assert not any(isinstance(m, nn.BatchNorm1d) for m in TabularMLP(stem(), 1).modules())
    model = TabularMLP(stem(), 1, depth=2, norm="batch")
    assert sum(isinstance(m, nn.BatchNorm1d) for m in model.modules()) == 2


def test_resnet_is_its_formula() -> None:
    model: Any = TabularResNet(stem(), 2, width=4, depth=1).eval()
    x = model.fc(model.stem(ROWS))
    block = model.blocks[0]
    hidden = torch.relu(block.fc1(block.norm(x)))
    expected = model.head(torch.relu(model.norm(x + block.fc2(hidden))))
    torch.testing.assert_close(model(ROWS), expected)


def test_packed_members_are_independent_networks() -> None:
    model: Any = TabMPacked(stem(), 2, members=3, width=4, depth=1).eval()
    x = model.stem(ROWS)
    for k in range(3):
        fc = model.blocks[0][0]
        hidden = torch.relu(x @ fc.weight[k] + fc.bias[k])
        expected = hidden @ model.head.weight[k] + model.head.bias[k]
        torch.testing.assert_close(model(ROWS)[:, k], expected)


def test_decay_leaves_out_biases_of_members() -> None:
    model = TabM(stem(), 2, members=3, width=4, depth=1)
    names = {id(p): name for name, p in model.named_parameters()}
    decayed, spared = (
        {names[id(p)] for p in group["params"]} for group in decay_groups(model, 0.1)
    )
    assert spared == {"blocks.0.0.bias"}
    assert "blocks.0.0.r.weight" in decayed


def test_ntk_linear() -> None:
    fc = NTKLinear(4, 3)
    x = torch.randn(6, 4)
    torch.testing.assert_close(fc(x), x @ fc.weight / math.sqrt(4) + fc.bias)
    rows = torch.randn(500, 4) * 3 + 1
    bias = fc(rows) - fc.bias
    returned = fc.fit_scale_(rows)
    torch.testing.assert_close(returned, fc(rows))
    assert (fc(rows).std(dim=0, correction=0) - 1).abs().max() < 1e-4
    # a kink lies within what the examples give
    raw = fc(rows) - fc.bias
    assert (-fc.bias > raw.min(dim=0).values).all()
    assert (-fc.bias < raw.max(dim=0).values).all()
    assert not torch.equal(bias, raw)


def test_parametric_activation() -> None:
    layer = ParametricActivation(3, "mish")
    x = torch.randn(5, 3)
    torch.testing.assert_close(layer(x), nn.functional.mish(x))
    layer.a.data[:] = torch.tensor([0.0, 0.5, 1.0])
    expected = x + layer.a * (nn.functional.mish(x) - x)
    torch.testing.assert_close(layer(x), expected)
    with pytest.raises(AllmlpError, match="unknown activation 'silu'"):
        ParametricActivation(3, "silu")


def test_realmlp_is_fitted_from_the_bottom_up() -> None:
    torch.manual_seed(1)
    model: Any = RealMLP(TableStem(3, embedding=PBLDEmbedding(3)), 2, width=64, dropout_rate=0.0)
    rows = torch.randn(400, 3) * torch.tensor([0.1, 1.0, 10.0])
    model.fit_scale_(rows)
    x = model.stem(rows) * model.scale
    for fc, activation, _ in model.blocks:
        assert (fc(x).std(dim=0, correction=0) - 1).abs().max() < 1e-3
        x = activation(fc(x))
    assert (model.head(x).std(dim=0, correction=0) - 1).abs().max() < 1e-3
    with pytest.raises(AllmlpError, match="at least one row"):
        model.fit_scale_(rows[:0])


def test_realmlp_learns_at_several_rates() -> None:
    model = RealMLP(TableStem(3, embedding=PBLDEmbedding(3)), 2, width=4, depth=1)
    factors = {name: model.lr_factors().get(name, 1.0) for name, _ in model.named_parameters()}
    assert factors == {
        "scale": 6.0,
        "stem.embedding.frequency": 0.1,
        "stem.embedding.phase": 0.1,
        "stem.embedding.linear.weight": 0.1,
        "stem.embedding.linear.bias": 0.1,
        "blocks.0.0.weight": 1.0,
        "blocks.0.0.bias": 0.1,
        "blocks.0.1.a": 0.1,
        "head.weight": 1.0,
        "head.bias": 0.1,
    }


def test_a_last_batch_of_one_row() -> None:
    model = TabularResNet(TableStem(4), 2)
    fit(model, torch.randn(33, 4), torch.arange(33) % 2, batch_size=32, epochs=1)
    assert all(p.isfinite().all() for p in model.parameters())
