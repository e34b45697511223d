"""The form behind every KAN layer: tiles, transforms, compilers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from allmlp.errors import AllmlpError
from allmlp.ops import cores
from allmlp.ops.bspline import bspline_basis
from allmlp.ops.contraction import basis_linear
from allmlp.ops.expansion import Expansion

# forward mode loads torch's own scripted decompositions
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
F64 = torch.float64
SPLINE = Expansion.of("bspline", k=3, outside="linear")


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "TILE", 1)
    monkeypatch.setattr(cores, "TILE_ROWS", 3)


def problem(b: int = 7, i: int = 3, o: int = 2, grid: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    knots = (torch.arange(grid + 7, dtype=F64) - 3) * (2 / grid) - 1
    x = torch.randn(b, i, dtype=F64, requires_grad=True)
    weight = torch.randn(o, grid + 3, i, dtype=F64, requires_grad=True)
    return x, weight, knots.repeat(i, 1)


def layer(knots: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, weight: basis_linear(x, weight, SPLINE, (knots,))


def test_is_the_product_of_the_basis_with_the_weights() -> None:
    x, weight, knots = problem()
    basis = bspline_basis(x, knots, k=3)
    reference = torch.einsum("bji,oji->bo", basis, weight)
    torch.testing.assert_close(layer(knots)(x, weight), reference, rtol=1e-13, atol=1e-13)
    wide = layer(knots)(x.view(7, 1, 3), weight)
    torch.testing.assert_close(wide, reference[:, None], rtol=1e-13, atol=1e-13)


def test_tiles_change_nothing_beyond_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, knots = problem(b=100, i=5, o=4)
    results = []
    for rows in (1, 7, 100):
        monkeypatch.setattr(cores, "TILE", 1)
        monkeypatch.setattr(cores, "TILE_ROWS", rows)
        y = layer(knots)(x, weight)
        first = torch.autograd.grad(y.square().sum(), (x, weight), create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), (x, weight))
        results.append((y, *first, *second))
    for other in results[1:]:
        for ours, theirs in zip(results[0], other, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_no_tensor_of_a_step_is_as_large_as_the_basis() -> None:
    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out = func(*args, **(kwargs or {}))
            for tensor in tree_leaves(out):
                if isinstance(tensor, Tensor):
                    self.numbers = max(self.numbers, tensor.numel())
            return out

    x, weight, knots = (t.detach().float() for t in problem(b=8192, i=64, o=8))
    x.requires_grad_()
    weight.requires_grad_()
    with Largest() as largest:
        layer(knots)(x, weight).sum().backward()
    # a tile or the gradient of x; the basis has eight times as many numbers
    assert largest.numbers <= max(cores.TILE, x.numel()) < weight.shape[1] * x.numel()


@pytest.mark.usefixtures("small_tiles")
def test_derivatives() -> None:
    x, weight, knots = problem()
    function = layer(knots)
    assert torch.autograd.gradcheck(function, (x, weight), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(
        function, (x, weight), check_fwd_over_rev=True, check_rev_over_rev=True, fast_mode=True
    )


@pytest.mark.usefixtures("small_tiles")
def test_every_order_of_modes_gives_the_third_derivative() -> None:
    x, weight, knots = problem()
    x, weight = x.detach(), weight.detach()
    third = bspline_basis(x, knots, k=3, order=3)
    exact = torch.einsum("bji,oji->bi", third, weight)
    total = lambda x: layer(knots)(x, weight).sum()  # noqa: E731
    for outer, middle, inner in (
        (jacrev, jacrev, jacrev),
        (jacfwd, jacfwd, jacfwd),
        (jacfwd, jacrev, jacfwd),
        (jacrev, jacfwd, jacrev),
    ):
        cube = vmap(outer(middle(inner(total))))(x)
        torch.testing.assert_close(torch.einsum("biii->bi", cube), exact, rtol=1e-11, atol=1e-11)


def test_transforms() -> None:
    x, weight, knots = problem()
    x, weight = x.detach(), weight.detach()
    function = layer(knots)
    expected = torch.autograd.functional.jacobian(lambda w: function(x, w).sum(), weight)
    each = vmap(grad(lambda w, x: function(x, w).sum()), in_dims=(None, 0))(weight, x)
    torch.testing.assert_close(each.sum(0), expected)
    # an ensemble: other weights, the same inputs
    weights = torch.randn(3, *weight.shape, dtype=F64)
    outputs = vmap(function, in_dims=(None, 0))(x, weights)
    torch.testing.assert_close(outputs[1], function(x, weights[1]))
    # forward mode through a backward pass that was recorded outside of it
    _, pull = vjp(lambda x: function(x, weight), x)
    v = torch.randn(7, 2, dtype=F64)
    torch.testing.assert_close(jvp(lambda v: pull(v)[0], (v,), (v,))[1], pull(v)[0])
    square = vmap(hessian(lambda x: function(x, weight).square().sum()))(x)
    torch.testing.assert_close(square, square.mT)


def test_inner_batches_may_lie_on_any_axis() -> None:
    _, weight, knots = problem()
    batches = torch.randn(7, 4, 3, dtype=F64)
    function = layer(knots)
    mapped = vmap(lambda x: function(x, weight), in_dims=1, out_dims=1)(batches)
    torch.testing.assert_close(mapped, function(batches, weight))


def test_low_precision_sums_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "TILE_ROWS", 1)
    monkeypatch.setattr(cores, "TILE", 1)
    x = torch.zeros(1000, 1, dtype=torch.bfloat16)
    weight = torch.ones(1, 1, 1, dtype=torch.bfloat16, requires_grad=True)
    basis_linear(x + 1, weight, Expansion.of("identity")).sum().backward()
    # a running sum in bfloat16 stops at 256
    assert weight.grad.item() == 1000


def test_autocast_casts_the_product_alone() -> None:
    x, weight, knots = (t.detach().float() for t in problem(b=64))
    weight.requires_grad_()
    exact = layer(knots)(x, weight)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(knots)(x, weight)
    assert y.dtype == torch.bfloat16
    # 8 bits of mantissa; were the basis computed in bfloat16, its cells alone would be off by 1 %
    torch.testing.assert_close(y.float(), exact, rtol=0.02, atol=0.03)
    y.float().sum().backward()
    assert weight.grad.dtype == torch.float32


def test_other_dtypes_are_refused() -> None:
    x, weight, knots = problem()
    with pytest.raises(
        AllmlpError, match=r"dtype of the weights, torch.float64, got torch.float32"
    ):
        layer(knots)(x.float(), weight)


def test_values_outside_are_refused_where_they_can_be_seen() -> None:
    x, weight, knots = (t.detach() for t in problem())
    strict = Expansion.of("bspline", k=3, outside="error")
    function = lambda x: basis_linear(x, weight, strict, (knots,))  # noqa: E731
    for transformed in (function, vmap(function), grad(lambda x: function(x).sum())):
        with pytest.raises(AllmlpError, match="needs inputs within the grid"):
            transformed(9 + x)
    # forward mode works on plain operations, which cannot stop at a value
    assert vmap(jacfwd(function))(9 + x).shape == (7, 2, 3)


def test_empty_batch() -> None:
    x, weight, knots = problem()
    y = layer(knots)(x[:0], weight)
    assert y.shape == (0, 2)
    y.sum().backward()
    assert not weight.grad.any()


@pytest.mark.unhooked
class TestCompilers:
    def test_operator(self) -> None:
        x, weight, knots = problem()
        constants = (SPLINE.text, 0, "y", weight.shape[1])
        torch.library.opcheck(
            torch.ops.allmlp.contract.default, (x, None, None, weight, [knots], *constants)
        )
        mapped = vmap(
            lambda x: torch.ops.allmlp.contract(x, None, None, weight, [knots], *constants)
        )
        batches = torch.randn(4, 7, 3, dtype=F64)
        torch.testing.assert_close(mapped(batches), layer(knots)(batches, weight))

    def test_compiled_whole(self) -> None:
        x, weight, knots = problem()
        function = layer(knots)
        compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
        for batch in (x, x[:3].detach().requires_grad_()):
            ours, theirs = compiled(batch, weight), function(batch, weight)
            torch.testing.assert_close(ours, theirs)
            torch.testing.assert_close(
                torch.autograd.grad(ours.square().sum(), (batch, weight)),
                torch.autograd.grad(theirs.square().sum(), (batch, weight)),
            )

    @pytest.mark.parametrize("kind", ["grad", "jvp", "vmap"])
    def test_transforms_inside_a_compiled_function(self, kind: str) -> None:
        x, weight, knots = (t.detach() for t in problem())
        forward = lambda x: layer(knots)(x, weight)  # noqa: E731
        function = {
            "grad": grad(lambda x: forward(x).square().sum()),
            "jvp": lambda x: jvp(forward, (x,), (x,))[1],
            "vmap": vmap(forward),
        }[kind]
        expected = function(x)  # before: dynamo cannot trace what forward mode loads at first
        compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(x), expected)

    def test_exported_graphs_need_no_allmlp(self) -> None:
        x, weight, knots = (t.detach() for t in problem())

        class Layer(torch.nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return layer(knots)(x, weight)

        shapes = {"x": {0: torch.export.Dim("batch")}}
        program = torch.export.export(Layer(), (x,), dynamic_shapes=shapes)
        assert not any("allmlp" in str(node.target) for node in program.graph.nodes)
        for batch in (x, x[:2]):
            torch.testing.assert_close(program.module()(batch), layer(knots)(batch, weight))


def test_many_cotangents_at_once() -> None:
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 1, 2, dtype=torch.float64, requires_grad=True)

    def function(x: Tensor, weight: Tensor) -> Tensor:
        return basis_linear(x, weight, Expansion.of("silu"))

    jacobian = torch.autograd.functional.jacobian
    for ours, theirs in zip(
        jacobian(function, (x, weight), vectorize=True),
        jacobian(function, (x, weight)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
