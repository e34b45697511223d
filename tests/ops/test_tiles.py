"""The kernels against the formula that they stand for."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from allmlp.errors import AllmlpError
from allmlp.ops import cores
from allmlp.ops import tiles as tiles_module
from allmlp.ops.bspline import cell_polynomials, extend_knots
from allmlp.ops.contraction import basis_linear
from allmlp.ops.expansion import Expansion
from allmlp.ops.threads import team
from allmlp.ops.tiles import (
    FormulaTiles,
    SiluTiles,
    SplineTiles,
    kernels,
    prefers_local,
    tiles_of,
)

compiled = pytest.mark.skipif(kernels() is None, reason="no numba for this Python")
F32, F64 = torch.float32, torch.float64
CUBIC = Expansion.of("bspline", k=3, outside="linear")


def some_knots(inputs: int, k: int, grid: int, uniform: bool, dtype: torch.dtype) -> list[Tensor]:
    widths = torch.ones(inputs, grid, dtype=F64)
    if not uniform:
        widths = 0.3 + torch.rand(inputs, grid, dtype=F64)
    points = torch.nn.functional.pad(widths.cumsum(1) / widths.sum(1, True), (1, 0))
    low = torch.arange(inputs, dtype=F64)[:, None] / inputs - 1
    knots = extend_knots(low + 2 * points, k).to(dtype)
    return [knots] if uniform else [knots, cell_polynomials(knots, k)]


@compiled
@pytest.mark.parametrize(
    ("k", "dtype"),
    [
        (3, F64),
        (3, F32),
        *(pytest.param(k, F64, marks=pytest.mark.slow) for k in (1, 2, 4, 5)),  # each is compiled
    ],
)
@settings(deadline=None, max_examples=40)
@given(
    uniform=st.booleans(),
    grid=st.integers(1, 24),
    order=st.integers(0, 4),
    outside=st.sampled_from(["linear", "clamp", "zero"]),
    rows=st.integers(0, 9),
    inputs=st.sampled_from([1, 3, 511, 513]),
    within=st.booleans(),
    scaled=st.booleans(),
    seed=st.integers(0, 99),
)
def test_kernels_equal_the_formula(
    k: int,
    dtype: torch.dtype,
    uniform: bool,
    grid: int,
    order: int,
    outside: str,
    rows: int,
    inputs: int,
    within: bool,
    scaled: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    tensors = some_knots(inputs, k, grid, uniform, dtype)
    expansion = Expansion.of("bspline", k=k, outside=outside)
    # in and outside, or where every function is one formula; not contiguous
    x = 2 * torch.randn(inputs, rows, dtype=dtype).T
    if within:
        first, last = tensors[0][:, k], tensors[0][:, -k - 1]
        x = first + (last - first) * (0.5 + 0.45 * x.tanh())
    s = torch.randn(inputs, rows, dtype=dtype).T if scaled else None
    factors = torch.randn(rows, grid + k, inputs, dtype=dtype)
    found = []
    for source in (SplineTiles, FormulaTiles):
        values = torch.full_like(factors, 7.0)
        sums = torch.full((rows, inputs), 7.0, dtype=dtype)
        if source is SplineTiles:
            tiles = tiles_of(expansion, order, x, tensors)
            assert isinstance(tiles, SplineTiles)
        else:
            tiles = FormulaTiles(expansion, order, x, tensors)
        tiles.fill(values, slice(0, rows), s)
        tiles.contract(sums, slice(0, rows), factors.clone())
        found.append((values, sums))
    # values of a derivative are of the size of the smallest distance of knots, to the -order; both
    # ways find u from differences of numbers around 1, to an error of eps over that distance
    distance = tensors[0].diff(dim=1).min().item()
    tolerance = 200 * torch.finfo(dtype).eps * distance ** -(order + 1)
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


@compiled
@pytest.mark.parametrize("outside", ["linear", "zero"])
@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(0, 3, 4), (1, 1, 1), (70, 19, 33)])
def test_without_a_tile_the_form_is_the_same(
    outside: str, uniform: bool, rows: int, inputs: int, outputs: int
) -> None:
    expansion = Expansion.of("bspline", k=3, outside=outside)
    tensors = some_knots(inputs, 3, 20, uniform, F64)
    x, s = 2 * torch.randn(2, inputs, rows, dtype=F64).mT
    y = torch.randn(outputs, rows, dtype=F64).T
    weight = torch.randn(outputs, 23, inputs, dtype=F64)
    for order in (0, 1, 2):
        basis = expansion(x, *tensors, order=order)
        tiles = tiles_of(expansion, order, x, tensors)
        assert isinstance(tiles, SplineTiles)
        for factor in (None, s):
            scaled = basis if factor is None else basis * factor[:, None]
            for ours, theirs in (
                (
                    tiles.local(factor, None, weight, 23),
                    torch.einsum("bji,oji->bo", scaled, weight),
                ),
                (tiles.local(factor, y, None, 23), torch.einsum("bji,bo->oji", scaled, y)),
            ):
                largest = theirs.abs().max().item() if theirs.numel() else 0.0
                torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11 * (1 + largest))
        theirs = torch.einsum("bji,bo,oji->bi", basis, y, weight)
        largest = theirs.abs().max().item() if theirs.numel() else 0.0
        ours = tiles.local(None, y, weight, 23)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11 * (1 + largest))


@compiled
def test_fine_grids_take_the_way_without_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(100, 5, dtype=F64, requires_grad=True)
    results = []
    for few in (64, 1000):
        monkeypatch.setattr(tiles_module, "LEAST_SAMPLES", few)
        torch.manual_seed(0)
        weight = torch.randn(40, 53, 5, dtype=F64, requires_grad=True)
        knots = some_knots(5, 3, 50, True, F64)
        assert prefers_local(CUBIC, x, None, weight, 53) == (few == 64)
        with FlopCounterMode(display=False) as counter:
            y = basis_linear(x, weight, CUBIC, knots)
            first = torch.autograd.grad(y.square().sum(), (x, weight), create_graph=True)
        functions = 4 if few == 64 else 53
        assert counter.get_total_flops() == 3 * 2 * 100 * 5 * functions * 40
        second = torch.autograd.grad(first[0].square().sum(), (x, weight))
        results.append((y, *first, *second))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11 * theirs.abs().max().item())


def test_the_operator_counts_as_its_products_do() -> None:
    x, weight = torch.randn(7, 3), torch.randn(2, 8, 3)
    knots = some_knots(3, 3, 5, True, F32)
    with FlopCounterMode(display=False) as counter:
        torch.ops.allmlp.contract(x, None, None, weight, knots, CUBIC.text, 0, "y", 8)
    assert counter.get_total_flops() == 2 * 7 * 3 * 8 * 2


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("scaled", [False, True])
def test_silu_equals_its_formula(order: int, scaled: bool) -> None:
    x, s = torch.randn(2, 7, 5, dtype=F64)
    expansion, factors = Expansion.of("silu"), torch.randn(7, 1, 5, dtype=F64)
    values, sums = torch.empty(2, 3, 1, 5, dtype=F64), torch.empty(2, 7, 5, dtype=F64)
    pair = (tiles_of(expansion, order, x, ()), FormulaTiles(expansion, order, x, ()))
    assert isinstance(pair[0], SiluTiles) == (order < 2)
    for n, tiles in enumerate(pair):
        tiles.fill(values[n], slice(2, 5), s if scaled else None)
        tiles.contract(sums[n], slice(0, 7), factors.clone())
    torch.testing.assert_close(values[0], values[1], rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(sums[0], sums[1], rtol=1e-14, atol=1e-14)


@compiled
def test_nan_stays_with_its_sample() -> None:
    for uniform in (True, False):
        tensors = some_knots(3, 3, 5, uniform, F32)
        x = torch.zeros(2, 3)
        x[1, 2] = torch.nan
        values = torch.empty(2, 8, 3)
        tiles_of(CUBIC, 0, x, tensors).fill(values, slice(0, 2), None)
        assert values.isnan().sum() == 4  # the functions of one cell
        assert values[1, :, 2].isnan().any()


def test_values_outside_are_refused() -> None:
    strict = Expansion.of("bspline", k=3, outside="error")
    x = torch.tensor([[0.0], [9.0]])
    with pytest.raises(AllmlpError, match="50.00% of the 2 values"):
        basis_linear(x, torch.ones(1, 8, 1), strict, some_knots(1, 3, 5, True, F32))


@compiled
def test_threads_and_tiles_change_nothing_beyond_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = some_knots(70, 3, 5, True, F32)
    x = torch.randn(1000, 70, requires_grad=True)
    weight = torch.randn(9, 8, 70, requires_grad=True)
    before = torch.get_num_threads()
    results, teams = [], []
    monkeypatch.setattr(cores, "WORTH", 1)

    def counted(work: Any, parts: Any) -> Any:
        teams.append(parts)
        return team(work, parts)

    monkeypatch.setattr(cores, "team", counted)
    try:
        for threads, rows in ((1, 1000), (2, 1000), (2, 1000), (2, 200), (1, 300)):
            torch.set_num_threads(threads)
            monkeypatch.setattr(cores, "TILE", rows * 8 * 70)
            y = basis_linear(x, weight, CUBIC, tensors)
            results.append((y, *torch.autograd.grad(y.square().sum(), (x, weight))))
            with torch.inference_mode():
                assert basis_linear(x, weight, CUBIC, tensors).equal(y)
    finally:
        torch.set_num_threads(before)
    assert set(teams) == {2}
    for other in results[1:]:
        for ours, theirs in zip(results[0], other, strict=True):
            largest = theirs.abs().max().item()
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6 * largest)
    for ours, theirs in zip(results[1], results[2], strict=True):
        assert ours.equal(theirs)


PROGRAM = """
import torch
from allmlp.layers import KANLinear
from allmlp.ops.tiles import kernels
print(kernels() is not None, KANLinear(2, 2)(torch.zeros(3, 2)).shape[0])
"""


@compiled
@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "works"),
    [
        ({"ALLMLP_CACHE": "{}"}, True),
        ({"ALLMLP_CACHE": "/dev/null/no"}, True),  # compiled, not kept
        ({"NUMBA_DISABLE_JIT": "1"}, False),
    ],
)
def test_machine_code_is_kept_in_the_cache_alone(
    variables: dict[str, str], works: bool, tmp_path: Path
) -> None:
    package = Path(cores.__file__).parents[1]
    before = set(package.rglob("*.nb*"))
    environment = {**os.environ, **{k: v.format(tmp_path) for k, v in variables.items()}}
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert output.split() == [str(works), "3"]
    kept = list((tmp_path / "kernels").rglob("*.fill*.nbc"))
    assert len(kept) == int(variables.get("ALLMLP_CACHE") == "{}")
    assert set(package.rglob("*.nb*")) == before
