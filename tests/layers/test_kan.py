"""The KAN layer itself; what all bases share is tested in test_bases.py."""

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from allmlp.errors import AllmlpError
from allmlp.layers import KANLinear
from allmlp.layers.kan_init import KAN_INITS
from allmlp.ops.activation import ACTIVATIONS

F64 = torch.float64


def edges(layer: KANLinear, x: Tensor) -> Tensor:
    """phi_oi(x_i), (b, o, i), edge by edge as the paper writes it."""
    spline = torch.einsum("bji,oji->boi", layer.basis(x), layer.spline_weight)
    if layer.scale is not None:
        spline = layer.scale * spline
    if layer.base is not None:
        spline = spline + layer.base_weight * ACTIVATIONS[layer.base](x)[:, None]
    return spline if layer.mask is None else layer.mask * spline


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"base": None},
        {"base": "identity", "bias": True},
        {"scale": True, "mask": True, "bias": True},
        {"grid": 2, "k": 5},  # degree above the number of intervals
        {"grid": 20, "k": 1},
    ],
    ids=str,
)
def test_is_a_sum_of_edges(options: dict[str, Any]) -> None:
    layer = KANLinear(3, 4, **options).double()
    for name in ("scale", "bias", "mask"):
        if getattr(layer, name) is not None:
            nn.init.normal_(getattr(layer, name).data)
    x = 2 * torch.randn(9, 3, dtype=F64)
    expected = edges(layer, x).sum(-1) + (0 if layer.bias is None else layer.bias)
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer(x.view(3, 1, 3, 3)), expected.view(3, 1, 3, 4))
    assert layer(x[0]).shape == (4,)
    count = sum(p.numel() for p in layer.parameters())
    per_edge = layer.basis.size + (layer.base is not None) + (layer.scale is not None)
    assert count == 12 * per_edge + (4 if layer.bias is not None else 0)


def test_names_in_the_state() -> None:
    layer = KANLinear(3, 2, scale=True, mask=True, bias=True, norm=nn.LayerNorm(3))
    assert set(layer.state_dict()) == {
        "spline_weight",
        "base_weight",
        "scale",
        "mask",
        "bias",
        "basis.knots",
        "norm.weight",
        "norm.bias",
    }
    assert layer.spline_weight.shape == (2, 8, 3)
    assert layer.base_weight.shape == (2, 3)


def test_the_norm_reaches_the_basis_alone() -> None:
    layer = KANLinear(4, 2, basis="rbf", norm=nn.LayerNorm(4), outside="zero")
    x = 5 + torch.randn(6, 4)
    spline = torch.einsum("bji,oji->bo", layer.basis(F.layer_norm(x, (4,))), layer.spline_weight)
    torch.testing.assert_close(layer(x), spline + F.silu(x) @ layer.base_weight.T)
    assert layer.out_of_grid_fraction(x) < 0.2
    assert layer.basis.out_of_grid_fraction(x) > 0.8


def test_branches_freeze_and_decay_on_their_own() -> None:
    layer = KANLinear(3, 2)
    layer.base_weight.requires_grad_(False)
    layer(torch.randn(4, 3)).sum().backward()
    found = {name for name, p in layer.named_parameters() if p.grad is not None}
    assert found == {"spline_weight"}
    layer.base_weight.requires_grad_()
    groups = [
        {"params": [layer.spline_weight], "weight_decay": 0.5},
        {"params": [layer.base_weight], "weight_decay": 0.0},
    ]
    base = layer.base_weight.detach().clone()
    spline = layer.spline_weight.detach().clone()
    layer.zero_grad()
    (0 * layer(torch.randn(4, 3))).sum().backward()
    torch.optim.AdamW(groups, lr=0.1).step()
    assert torch.equal(layer.base_weight, base)
    torch.testing.assert_close(layer.spline_weight, 0.95 * spline)


def held_for_backward(model: nn.Module, x: Tensor) -> int:
    """Bytes that autograd keeps, parameters and the input itself not counted."""
    known = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers(), x]}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = model(x)
    assert y.requires_grad
    return sum(kept.values())


def test_little_is_held_for_the_backward_pass() -> None:
    model = nn.Sequential(KANLinear(784, 64), KANLinear(64, 10))
    x = torch.randn(256, 784, requires_grad=True)
    # the 64 hidden values of each sample, and nothing else; efficient-kan holds 62 MB
    assert held_for_backward(model, x) == 256 * 64 * 4
    assert held_for_backward(model, x) + x.nbytes < 2e6


@pytest.mark.parametrize("basis", ["rbf", "chebyshev", "fourier", "relu"])
def test_other_bases_hold_as_little(basis: str) -> None:
    layer = KANLinear(20, 10, basis=basis)
    assert held_for_backward(layer, torch.randn(50, 20, requires_grad=True)) == 0


def test_nan_and_infinity_stay_with_their_sample() -> None:
    layer = KANLinear(2, 3)
    x = torch.zeros(4, 2)
    x[1, 0] = math.nan
    x[2, 1] = math.inf
    y = layer(x)
    assert not y[1:3].isfinite().any()
    assert y[[0, 3]].isfinite().all()
    assert layer.out_of_grid_fraction(x).item() == 2 / 8


def test_one_feature_far_away() -> None:
    layer = KANLinear(1, 1).double()
    x = torch.tensor([[1e6]], dtype=F64, requires_grad=True)
    (slope,) = torch.autograd.grad(layer(x).sum(), x)
    ends, base = layer.basis.grid_range(), layer.base_weight
    assert ends is not None
    assert base is not None
    tangent = layer.basis.derivative(ends[1][None])[0, :, 0] @ layer.spline_weight[0, :, 0]
    # silu is the identity there
    assert slope.item() == pytest.approx((tangent + base[0, 0]).item(), rel=1e-9)


@pytest.mark.parametrize("init", KAN_INITS)
def test_starts(init: str) -> None:
    x = torch.rand(4000, 64) * 2 - 1
    layer = KANLinear(64, 200, init=init, bias=True)
    spline = layer(x) - layer.bias - F.silu(x) @ layer.base_weight.T
    bound = 1 / math.sqrt(64)
    if init != "paper":
        assert layer.base_weight.abs().max() <= bound
        assert layer.base_weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    expected = {
        "normal": 0.1,
        # N(0, 0.1^2), and sum_j B_j^2 is 0.4795 on average over a uniform cubic's cell
        "paper": 0.1 * math.sqrt(64 * 151 / 315),
        "fast_kan": 0.1 * math.sqrt(64 * 151 / 315),
        "cheby_kan": math.sqrt(64 * 151 / 315) / (64 * 8),
        "fourier_kan": math.sqrt(151 / 315 / 4),
    }
    if init in expected:
        # 200 outputs: their spread is known to 5 %
        assert spline.std().item() == pytest.approx(expected[init], rel=0.12)
    else:
        noise = {"pykan": 0.3, "efficient_kan": 0.1}[init] / 5
        points = torch.linspace(-1, 1, 6)[:, None].expand(-1, 64)
        separate = KANLinear(64, 200, init=init, scale=True)
        values = torch.einsum("bji,oji->boi", separate.basis(points), separate.spline_weight)
        assert values.abs().max().item() == pytest.approx(noise / 2, rel=1e-3)
        assert values.std().item() == pytest.approx(noise / math.sqrt(12), rel=0.02)
    assert bool(layer.bias.any()) == (init == "fast_kan")


def test_copies_and_pickles() -> None:
    layer = KANLinear(3, 2, scale=True)
    layer.basis.set_grid(torch.rand(3, 6).cumsum(1))
    x = torch.randn(5, 3)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(x), layer(x))


def test_building_leaves_no_trace() -> None:
    state = torch.get_rng_state()
    torch.manual_seed(3)
    first = KANLinear(3, 2)
    torch.manual_seed(3)
    second = KANLinear(3, 2)
    assert torch.equal(first.spline_weight, second.spline_weight)
    torch.set_rng_state(state)
    first(torch.randn(2, 3, generator=torch.Generator())).sum().backward()
    assert torch.equal(torch.get_rng_state(), state)


def test_mistakes_are_answered() -> None:
    with pytest.raises(AllmlpError, match=r"in_features=3 but got inputs of shape \(2, 4\)"):
        KANLinear(3, 2)(torch.zeros(2, 4))
    with pytest.raises(AllmlpError, match="integer out_features of at least 1, got 0"):
        KANLinear(3, 0)
    with pytest.raises(AllmlpError, match="unknown base 'relu'"):
        KANLinear(3, 2, base="relu")
    with pytest.raises(AllmlpError, match="got a BumpBasis; take init='normal'"):
        KANLinear(3, 2, basis="rbf", init="pykan")
    with pytest.raises(AllmlpError, match="convert one of them"):
        KANLinear(3, 2)(torch.zeros(1, 3, dtype=F64))


@pytest.mark.unhooked
def test_compiled_whole() -> None:
    layer = KANLinear(3, 2, scale=True, bias=True)
    x = torch.randn(5, 3, requires_grad=True)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), layer(x))
    ours = torch.autograd.grad(compiled(x).square().sum(), [x, *layer.parameters()])
    theirs = torch.autograd.grad(layer(x).square().sum(), [x, *layer.parameters()])
    torch.testing.assert_close(ours, theirs)
