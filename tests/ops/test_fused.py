"""The kernels for cards, on a card or in Triton's interpreter (`make test-triton`)."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from allmlp.errors import AllmlpError
from allmlp.layers import KANLinear
from allmlp.ops import contraction, fused, tiles
from allmlp.ops.bspline import cell_polynomials, extend_knots
from allmlp.ops.contraction import basis_linear
from allmlp.ops.expansion import Expansion
from allmlp.ops.fused import Blocks, fused_product, kernels, takes_kernels

runs = pytest.mark.skipif(
    kernels() is None or not (fused.INTERPRETED or torch.cuda.is_available()),
    reason="needs a card, or `make test-triton`",
)
DEVICE = "cpu" if fused.INTERPRETED else "cuda"
F32, F64 = torch.float32, torch.float64
CUBIC = Expansion.of("bspline", k=3, outside="linear")


def knots_of(inputs: int, k: int, grid: int, dtype: torch.dtype) -> Tensor:
    # another range for every input
    points = torch.linspace(-1, 1, grid + 1, dtype=F64).repeat(inputs, 1)
    points = points * torch.linspace(0.5, 1.5, inputs, dtype=F64)[:, None] + 0.1
    return extend_knots(points, k).to(dtype=dtype, device=DEVICE)


def random(*shape: int, dtype: torch.dtype = F64) -> Tensor:
    return torch.randn(*shape, dtype=F64).to(dtype=dtype, device=DEVICE)


def form(basis: Tensor, s: Tensor | None, y: Tensor | None, w: Tensor | None) -> Tensor:
    """The one that is None, by the formula."""
    if s is not None:
        basis = basis * s[:, None]
    if w is None:
        return torch.einsum("bmi,bo->omi", basis, y)
    if y is None:
        return torch.einsum("bmi,omi->bo", basis, w)
    return torch.einsum("bmi,bo,omi->bi", basis, y, w)


Slots = tuple[Tensor | None, Tensor | None, Tensor | None]  # s, y, w


def three(s: Tensor | None, y: Tensor, w: Tensor) -> list[Slots]:
    return [(s, None, w), (s, y, None), (None, y, w)]


def like(x: Tensor, y: Tensor | None, w: Tensor | None, size: int) -> Tensor:
    """Memory for the one that is None, full of sevens."""
    if w is None:
        assert y is not None
        return y.new_full((y.shape[1], size, x.shape[1]), 7.0)
    return w.new_full((len(x), len(w)), 7.0) if y is None else x.new_full(x.shape, 7.0)


@runs
@pytest.mark.parametrize(
    ("b", "i", "o", "grid", "k", "outside", "order", "scaled"),
    [
        (0, 3, 2, 5, 3, "linear", 0, False),
        (1, 1, 1, 1, 1, "zero", 0, False),
        (1, 5, 3, 5, 3, "linear", 1, True),
        (37, 3, 2, 5, 3, "linear", 0, True),  # tails of every tile
        (37, 9, 18, 5, 3, "zero", 1, True),
        (20, 5, 3, 18, 3, "clamp", 1, False),  # functions in several tiles
        (20, 2, 3, 4, 2, "clamp", 0, True),
        (20, 2, 3, 7, 1, "linear", 1, True),
        (20, 2, 3, 3, 4, "zero", 3, True),
        (20, 2, 3, 2, 6, "linear", 2, True),
        (9, 2, 3, 5, 3, "linear", 4, True),  # beyond the degree: 0
    ],
)
def test_kernels_equal_the_formula(
    b: int, i: int, o: int, grid: int, k: int, outside: str, order: int, scaled: bool
) -> None:
    expansion = Expansion.of("bspline", k=k, outside=outside)
    x = (1.5 * random(i, b)).T  # in and outside, not contiguous
    s = random(i, b).T if scaled else None
    y, w, knots = random(o, b).T, random(i, grid + k, o).transpose(0, 2), knots_of(i, k, grid, F64)
    x[:1, :1] = knots[0, k + 1]  # at a knot
    basis = expansion(x, knots, order=order)
    for slots in three(s, y, w):
        theirs = form(basis, *slots)
        ours = fused_product(
            expansion, order, x, *slots, knots, like(x, slots[1], slots[2], grid + k)
        )
        # u comes of differences of numbers around 1, derivatives have the size of distances^-order
        size = float(theirs.abs().max()) if theirs.numel() else 0.0
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-13 * (1 + size))


@runs
@pytest.mark.parametrize("dtype", [F32, torch.bfloat16, torch.float16])
def test_low_precision_rounds_operands_alone(dtype: torch.dtype) -> None:
    x, s, knots = random(40, 5, dtype=F32), random(40, 5, dtype=F32), knots_of(5, 3, 5, F32)
    y, w = random(40, 3, dtype=dtype), random(3, 8, 5, dtype=dtype)
    basis = CUBIC(x.double(), knots.double())
    for slots in three(s, y, w):
        exact = [None if slot is None else slot.double() for slot in slots]
        theirs = form(basis, *exact)
        ours = fused_product(CUBIC, 0, x, *slots, knots, like(x, slots[1], slots[2], 8))
        # the basis is rounded to the dtype of the product, and so is what comes out
        tolerance = 4 * torch.finfo(dtype).eps * float(theirs.abs().max())
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=tolerance)


@runs
def test_parts_and_tiles_change_nothing_beyond_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, knots = random(100, 3, dtype=F32), random(100, 2, dtype=F32), knots_of(3, 3, 5, F32)
    results = []
    for least, block in (
        (512, Blocks(32, 16, 8, 4, 4, 2)),
        (16, Blocks(16, 16, 8, 4, 4, 2)),  # six parts
        (16, Blocks(16, 16, 8, 4, 4, 2)),
        (40, Blocks(16, 16, 4, 8, 4, 2)),
    ):
        monkeypatch.setattr(fused, "LEAST_SAMPLES", least)
        monkeypatch.setitem(fused.BLOCKS, ("w", "float32"), block)
        results.append(fused_product(CUBIC, 0, x, None, y, None, knots, y.new_empty(2, 8, 3)))
    assert results[1].equal(results[2])
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=0, atol=1e-5)


@runs
def test_derivatives() -> None:
    x, w = random(3, 2).requires_grad_(), random(2, 5, 2).requires_grad_()
    knots = knots_of(2, 3, 2, F64)

    def layer(x: Tensor, w: Tensor) -> Tensor:
        return basis_linear(x, w, CUBIC, (knots,))

    assert takes_kernels(CUBIC, x.detach(), None, w, (knots,))
    assert torch.autograd.gradcheck(layer, (x, w), fast_mode=True)
    assert torch.autograd.gradgradcheck(layer, (x, w), fast_mode=True)


@runs
def test_a_layer_is_the_same_with_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "kernels", lambda: None)  # without means torch alone
    layer = KANLinear(3, 4, grid=5, k=3).to(DEVICE)
    x = random(2, 9, 3, dtype=F32).requires_grad_()
    results: list[Sequence[Tensor]] = []
    calls = []

    def counted(*arguments: Any) -> Tensor:
        calls.append(arguments)
        return fused_product(*arguments)

    monkeypatch.setattr(contraction, "fused_product", counted)
    for module in (kernels(), None):
        monkeypatch.setattr(fused, "kernels", lambda module=module: module)
        y = layer(x)
        results.append((y, *torch.autograd.grad(y.square().sum(), (x, *layer.parameters()))))
        assert len(calls) == 3  # y, and the gradients of inputs and weights
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@runs
def test_nan_stays_with_its_sample() -> None:
    x = torch.zeros(20, 3, device=DEVICE)
    x[1, 2] = torch.nan
    w, knots = random(2, 8, 3, dtype=F32), knots_of(3, 3, 5, F32)
    y = fused_product(CUBIC, 0, x, None, None, w, knots, x.new_empty(20, 2))
    assert y.isnan().sum() == 2
    assert y[1].isnan().all()


@runs
def test_values_outside_are_refused() -> None:
    strict = Expansion.of("bspline", k=3, outside="error")
    x = torch.tensor([[0.0], [9.0]], device=DEVICE)
    with pytest.raises(AllmlpError, match="50.00% of the 2 values"):
        basis_linear(x, torch.ones(1, 8, 1, device=DEVICE), strict, (knots_of(1, 3, 5, F32),))


@runs
def test_the_counter_sees_the_product() -> None:
    x, w = random(7, 3, dtype=F32), random(2, 8, 3, dtype=F32)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        basis_linear(x, w, CUBIC, (knots_of(3, 3, 5, F32),))
    assert counter.get_total_flops() == 2 * 7 * 3 * 8 * 2


@runs
def test_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w, knots = random(7, 3, dtype=F32), random(2, 8, 3, dtype=F32), knots_of(3, 3, 5, F32)
    assert takes_kernels(CUBIC, x, None, w, (knots,))
    assert takes_kernels(CUBIC, x, None, w.bfloat16(), (knots,))
    assert takes_kernels(CUBIC, x.double(), None, w.double(), (knots.double(),))
    assert not takes_kernels(CUBIC, x, None, w.double(), (knots,))
    assert not takes_kernels(CUBIC, x, None, w, (knots, cell_polynomials(knots, 3)))
    assert not takes_kernels(Expansion.of("silu"), x, None, w[:, :1], ())
    monkeypatch.setattr(fused, "kernels", lambda: None)
    assert not takes_kernels(CUBIC, x, None, w, (knots,))


@pytest.mark.skipif(fused.INTERPRETED, reason="everything goes through the interpreter")
def test_a_processor_is_left_alone() -> None:
    x, w = torch.zeros(7, 3), torch.zeros(2, 8, 3)
    assert not takes_kernels(CUBIC, x, None, w, (torch.zeros(3, 12),))


def test_the_kernels_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMLP_TRITON", "0")
    assert kernels.__wrapped__() is None


@pytest.mark.parametrize("made", ["half", "tf32", "float32", "float64"])
@pytest.mark.parametrize("wanted", ["y", "w", "s"])
def test_tiles_fit_the_axes(wanted: str, made: str) -> None:
    most = fused.BLOCKS[wanted, made]
    for o, m, i in ((1, 1, 1), (10, 8, 512), (3000, 200, 3), (64, 3, 7)):
        blocks = fused._blocks(wanted, made, o, m, i)
        assert blocks.functions * blocks.inputs >= 16 <= blocks.outputs
        assert blocks.functions * blocks.inputs <= most.functions * most.inputs
        assert blocks.outputs <= most.outputs
        for size in blocks:
            assert size in (1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512)
