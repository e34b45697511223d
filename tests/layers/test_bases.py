"""What every basis promises."""

import math
from typing import Any

import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.layers import BASES, BSplineBasis, KANLinear, make_basis

F64 = torch.float64
GRIDDED = ("bspline", "rbf", "switch", "mexican_hat", "morlet", "dog", "relu")
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in BASES),
    *(
        (name, {"outside": mode})
        for name in ("bspline", "rbf", "relu")
        for mode in ("clamp", "zero")
    ),
    ("chebyshev", {"squash": None}),
    ("bspline", {"k": 1}),
    ("bspline", {"k": 5, "grid": 2}),
]


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_layer_derivatives(name: str, options: dict[str, Any]) -> None:
    layer = KANLinear(2, 2, basis=name, **options).double()
    if name == "bspline" and options.get("k", 3) < 3:
        # kinks at the knots: stay away from them, as finite differences would straddle them
        x = torch.tensor([[-0.9, 0.1], [0.35, -1.3], [1.8, 0.5]], dtype=F64, requires_grad=True)
    else:
        x = (1.2 * torch.randn(3, 2, dtype=F64)).requires_grad_()
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x, fast_mode=True)
    parameters = dict(layer.named_parameters())
    names = list(parameters)

    def of_parameters(*values: torch.Tensor) -> torch.Tensor:
        state = dict(zip(names, values, strict=True))
        return torch.func.functional_call(layer, state, (x.detach(),))

    values = tuple(parameters.values())
    assert torch.autograd.gradcheck(of_parameters, values, fast_mode=True)


@pytest.mark.parametrize("name", BASES)
def test_protocol(name: str) -> None:
    basis = make_basis(name, 3).double()
    x = torch.rand(4, 5, 3, dtype=F64) - 0.5
    assert basis(x).shape == (4, 5, basis.size, 3)
    assert torch.equal(basis.derivative(x, 0), basis(x))
    assert basis.derivative(x, 2).shape == (4, 5, basis.size, 3)
    gram = basis.gram()
    assert gram.shape == (3, basis.size, basis.size)
    assert torch.linalg.eigvalsh(gram).min() > 0  # no function is a combination of the others
    samples = x.view(20, 3)
    values = basis(samples)
    expected = torch.einsum("bji,bli->ijl", values, values) / 20
    torch.testing.assert_close(basis.gram(samples), expected)
    with pytest.raises(AllmlpError, match=r"in_features=3 but got inputs of shape \(2, 4\)"):
        basis(torch.zeros(2, 4))
    with pytest.raises(AllmlpError, match="integer order of at least 0, got -1"):
        basis.derivative(x, -1)


@pytest.mark.parametrize("name", BASES)
def test_quadrature_integrates_products(name: str) -> None:
    basis = make_basis(name, 1).double()
    _, weights = basis.quadrature()
    if name in ("chebyshev", "legendre", "jacobi", "gram", "bernstein"):
        fine = torch.linspace(-1, 1, 200001, dtype=F64)[1:-1, None]
        values, length = basis(fine.atanh())[..., 0], 2.0
    else:
        low, high = 0.0, 2 * math.pi
        ends = basis.grid_range()
        if ends is not None:
            low, high = ends[0].item(), ends[1].item()
        fine, length = torch.linspace(low, high, 200001, dtype=F64)[:, None], high - low
        values = basis(fine)[..., 0]
    exact = values.T @ values * (length / len(fine))
    # the sum over 200,001 points is off by about 1e-5 of the length
    torch.testing.assert_close(basis.gram()[0], exact, rtol=1e-4, atol=1e-4)
    assert weights.sum().item() == pytest.approx(length)


@pytest.mark.parametrize("name", GRIDDED)
def test_modes_beyond_the_grid(name: str) -> None:
    low, high = make_basis(name, 1).double().grid_range()
    for edge, beyond in ((low, low - 3), (high, high + 3)):
        linear, clamp = (make_basis(name, 1, outside=m).double() for m in ("linear", "clamp"))
        edge, beyond = edge[None], beyond[None]
        along = linear(edge) + (beyond - edge) * linear.derivative(edge)
        torch.testing.assert_close(linear(beyond), along)
        torch.testing.assert_close(linear.derivative(beyond), linear.derivative(edge))
        assert not linear.derivative(beyond, 2).any()
        torch.testing.assert_close(clamp(beyond), clamp(edge))
        assert not clamp.derivative(beyond).any()
        strict = make_basis(name, 1, outside="error").double()
        strict(edge)
        with pytest.raises(AllmlpError, match="scale the inputs, widen grid_range"):
            strict(beyond)
        with pytest.raises(AllmlpError, match="or NaN"):
            strict(edge * math.nan)
    # the peers' bumps and splines die out
    assert make_basis(name, 1, outside="zero").double()(high[None] + 60).abs().max() < 1e-12


def test_share_outside_the_grid() -> None:
    basis = make_basis("bspline", 2)
    x = torch.tensor([[0.0, 2.0], [1.0, math.nan], [-1.0, -math.inf], [0.5, 0.5]])
    assert basis.out_of_grid_fraction(x).item() == 3 / 8
    # without a grid only what is not finite counts
    assert make_basis("fourier", 2).out_of_grid_fraction(x).item() == 2 / 8


@pytest.mark.parametrize("name", ["rbf", "switch", "morlet", "relu"])
def test_trainable_bases_learn(name: str) -> None:
    layer = KANLinear(2, 3, basis=name, trainable=True).double()
    x = torch.randn(5, 2, dtype=F64)
    state = {n: p for n, p in layer.named_parameters() if n.startswith("basis.")}
    assert len(state) == 2

    def of_basis(*values: torch.Tensor) -> torch.Tensor:
        named = dict(zip(state, values, strict=True))
        return torch.func.functional_call(layer, named, (x,))

    assert torch.autograd.gradcheck(of_basis, tuple(state.values()))


def test_knots() -> None:
    basis = BSplineBasis(2, grid=3, k=2)
    assert basis.uniform
    assert basis.knots.shape == (2, 8)
    torch.testing.assert_close(basis.knots[0, 2:6], torch.linspace(-1, 1, 4))
    points = torch.tensor([[-1.0, -0.5, 0.5, 1.0], [0.0, 1.0, 2.0, 4.0]])
    basis.set_grid(points)
    assert not basis.uniform
    torch.testing.assert_close(basis.grid_range()[1], torch.tensor([1.0, 4.0]))
    # what was cached for the old knots follows those that are loaded
    other = BSplineBasis(2, grid=3, k=2)
    other.load_state_dict(basis.state_dict())
    assert not other.uniform
    x = torch.randn(6, 2)
    assert torch.equal(other(x), basis(x))
    assert list(basis.state_dict()) == ["knots"]


def test_adaptive_knots_with_uniform_values_agree() -> None:
    uniform = BSplineBasis(1, grid=6).double()
    nearly = BSplineBasis(1, grid=6).double()
    shift = torch.zeros_like(nearly.knots)
    shift[0, 5] = 1e-9
    nearly.set_knots(nearly.knots + shift)
    assert uniform.uniform
    assert not nearly.uniform
    x = 3 * torch.randn(200, 1, dtype=F64)
    # the second derivative of a cubic grows by 1/h^2 = 9 per unit of the knots' shift
    for order in range(3):
        ours, theirs = uniform.derivative(x, order), nearly.derivative(x, order)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_knots_stay_in_float32() -> None:
    layer = KANLinear(2, 3, grid=7)
    layer.basis.set_grid(torch.rand(2, 8).cumsum(1))
    x = torch.rand(20, 2).bfloat16()
    exact = layer(x.float())
    layer.bfloat16()
    assert layer.spline_weight.dtype == torch.bfloat16
    assert layer.basis(x).dtype == torch.bfloat16
    assert {b.dtype for b in layer.basis.buffers()} == {torch.float32}
    # 8 bits of mantissa in weights and sums
    torch.testing.assert_close(layer(x).float(), exact, rtol=0.02, atol=0.02)


@pytest.mark.unhooked  # wrong types on purpose
def test_mistakes_are_answered() -> None:
    basis = BSplineBasis(1, grid=2)
    for points, message in (
        (
            [[-1.0, -1.0, 1.0]],
            "knots must be finite and increase strictly, those of input 0 do not",
        ),
        ([[-1.0, math.nan, 1.0]], "knots must be finite and increase strictly"),
    ):
        with pytest.raises(AllmlpError, match=message):
            basis.set_grid(torch.tensor(points))
    with pytest.raises(AllmlpError, match=r"knots must be \(1, 9\).*got \(1, 4\)"):
        basis.set_knots(torch.zeros(1, 4))
    with pytest.raises(AllmlpError, match="did you mean grid"):
        make_basis("bspline", 1, gird=3)
    with pytest.raises(AllmlpError, match="unknown basis 'bsplin'"):
        make_basis("bsplin", 1)
    with pytest.raises(AllmlpError, match="takes no options"):
        make_basis(basis, 1, grid=3)
    with pytest.raises(AllmlpError, match="was built for 1; build it with in_features=2"):
        make_basis(basis, 2)
    with pytest.raises(AllmlpError, match="low < high"):
        make_basis("rbf", 1, grid_range=(1.0, 1.0))
    with pytest.raises(AllmlpError, match="positive width, got 0"):
        make_basis("rbf", 1, width=0.0)
    with pytest.raises(AllmlpError, match="integer k of at least 1, got 0"):
        make_basis("bspline", 1, k=0)
    with pytest.raises(AllmlpError, match="above -1"):
        make_basis("jacobi", 1, alpha=-1.0)


def test_knots_at_infinity_are_refused() -> None:
    basis = BSplineBasis(1, grid=2, k=1)
    knots = basis.knots.clone()
    knots[0, -1] = torch.inf
    with pytest.raises(AllmlpError, match="finite and increase strictly, those of input 0"):
        basis.set_knots(knots)
