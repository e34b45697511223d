"""Branches together against branches one by one."""

import pytest
import torch
from torch import Tensor

from allmlp.ops import cores, edges
from allmlp.ops import tiles as tiles_module
from allmlp.ops.bspline import extend_knots
from allmlp.ops.contraction import basis_linear
from allmlp.ops.edges import Branch, edges_linear
from allmlp.ops.expansion import Expansion

F64 = torch.float64


def branches(inputs: int, outputs: int, grid: int, dtype: torch.dtype = F64) -> list[Branch]:
    points = torch.linspace(-1, 1, grid + 1, dtype=dtype).expand(inputs, -1)
    spline = torch.randn(outputs, grid + 3, inputs, dtype=dtype, requires_grad=True)
    base = torch.randn(outputs, 1, inputs, dtype=dtype, requires_grad=True)
    return [
        Branch(spline, Expansion.of("bspline", k=3, outside="linear"), (extend_knots(points, 3),)),
        Branch(base, Expansion.of("silu")),
    ]


def one_by_one(x: Tensor, some: list[Branch]) -> Tensor:
    return basis_linear(x, *some[0]) + basis_linear(x, *some[1])


@pytest.mark.parametrize("grid", [5, 40])
@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"), [((0,), 3, 4), ((1,), 1, 1), ((7, 10), 19, 33), ((130,), 5, 2)]
)
def test_equals_the_branches_one_by_one(
    grid: int, rows: tuple[int, ...], inputs: int, outputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "TILE", 1)  # as many tiles as there can be
    monkeypatch.setattr(cores, "TILE_ROWS", 32)
    some = branches(inputs, outputs, grid)
    x = torch.randn(inputs, *rows, dtype=F64).movedim(0, -1).requires_grad_()
    wanted = [x, *(branch.weight for branch in some)]
    results = []
    for linear in (edges_linear, one_by_one):
        y = linear(x, some)
        first = torch.autograd.grad(y.square().sum(), wanted)
        again = torch.autograd.grad(linear(x, some).square().sum(), wanted, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in again), wanted)
        with torch.no_grad():
            plain = linear(x, some)
        results.append((y, plain, *first, *again, *second))
    for ours, theirs in zip(*results, strict=True):
        size = theirs.abs().max().item() if theirs.numel() else 0.0
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12 * (1 + size))


def test_each_gradient_alone() -> None:
    some = branches(6, 5, 5)
    x = torch.randn(9, 6, dtype=F64, requires_grad=True)
    wanted = [x, *(branch.weight for branch in some)]
    for tensor in wanted:
        (ours,) = torch.autograd.grad(edges_linear(x, some).sum(), tensor)
        (theirs,) = torch.autograd.grad(one_by_one(x, some).sum(), tensor)
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    for tensor in wanted:
        tensor.requires_grad_(False)
    for tensor in wanted:
        tensor.requires_grad_()
        edges_linear(x, some).sum().backward()
        assert [t.grad is not None for t in wanted] == [t is tensor for t in wanted]
        tensor.grad = None
        tensor.requires_grad_(False)


def test_derivatives_and_many_cotangents() -> None:
    some = branches(3, 2, 5)
    x = torch.randn(4, 3, dtype=F64, requires_grad=True)

    def function(x: Tensor, spline: Tensor, base: Tensor) -> Tensor:
        return edges_linear(x, [some[0]._replace(weight=spline), some[1]._replace(weight=base)])

    inputs = (x, some[0].weight, some[1].weight)
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)
    jacobian = torch.autograd.functional.jacobian
    for ours, theirs in zip(
        jacobian(function, inputs, vectorize=True), jacobian(function, inputs), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_bfloat16_weights() -> None:
    some = branches(20, 30, 5, torch.float32)
    x = torch.randn(100, 20, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = edges_linear(x, some), one_by_one(x, some)
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.02 * theirs.abs().max().item())
    wanted = [x, *(branch.weight for branch in some)]
    pairs = (torch.autograd.grad(y.float().square().sum(), wanted) for y in (ours, theirs))
    for mine, its in zip(*pairs, strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine, its, rtol=0, atol=0.03 * its.abs().max().item())


def test_threads_change_nothing_beyond_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "WORTH", 1)
    some = branches(70, 9, 5, torch.float32)
    x = torch.randn(300, 70, requires_grad=True)
    wanted = [x, *(branch.weight for branch in some)]
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            y = edges_linear(x, some)
            results.append((y, *torch.autograd.grad(y.square().sum(), wanted)))
    finally:
        torch.set_num_threads(before)
    for one, two, again in zip(*results, strict=True):
        assert two.equal(again)
        torch.testing.assert_close(one, two, rtol=0, atol=1e-6 * one.abs().max().item())


def test_one_pass_serves_both_branches(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a branch went its own way")

    monkeypatch.setattr(edges, "basis_linear", never)
    monkeypatch.setattr(tiles_module, "LEAST_SAMPLES", 1)
    for grid in (5, 40):
        some = branches(6, 5, grid)
        x = torch.randn(90, 6, dtype=F64, requires_grad=True)
        edges_linear(x, some).sum().backward()
        assert x.grad is not None
