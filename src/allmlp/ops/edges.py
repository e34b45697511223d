"""All branches of a KAN layer, splines and base function, in one operator on a processor.

A step by `ops.contraction` is three products for every branch, each with its own threads, memory
and calls from Python. Here the branches share one call there, one back, memory and sums.
Derivatives of derivatives, transforms, compiled graphs and other devices take `ops.contraction`.

Axes: b batch, i inputs, o outputs, m functions per input.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from allmlp.ops.autocast import at_least_float32, autocast_dtype
from allmlp.ops.contraction import basis_linear, gradient
from allmlp.ops.cores import on_cores, schedule
from allmlp.ops.expansion import Expansion
from allmlp.ops.fused import takes_kernels
from allmlp.ops.tiles import SplineTiles, Tiles, prefers_local, tiles_of
from allmlp.ops.transforms import is_batched, plain_needed

__all__ = ["Branch", "edges_linear"]


class Branch(NamedTuple):
    """One family of functions with its weights."""

    weight: Tensor  # (o, m, i)
    expansion: Expansion
    tensors: tuple[Tensor, ...] = ()  # what the family takes after x


def edges_linear(x: Float[Tensor, "*b i"], branches: Sequence[Branch]) -> Float[Tensor, "*b o"]:
    """The sum of `basis_linear(x, *branch)`, with the same results to rounding.

    Args:
        x: inputs.
        branches: at least one, all with weights of one dtype.
    """
    dtype = autocast_dtype(x) or x.dtype
    fused = (
        len(branches) > 1
        and x.numel() > 0
        and x.device.type == "cpu"
        and all(branch.weight.dtype == x.dtype for branch in branches)
        and not torch.compiler.is_compiling()
        and not plain_needed()
        and not torch._C._are_functorch_transforms_active()
        and _get_current_dispatch_mode() is None  # a counter wants to see every product
        # Triton's interpreter, which stands in for a card
        and not any(takes_kernels(b.expansion, x, None, b.weight, b.tensors) for b in branches)
    )
    if not fused:
        first, *others = (basis_linear(x, *branch) for branch in branches)
        return sum(others, start=first)
    flat = at_least_float32(x).reshape(-1, x.shape[-1])
    weights = [branch.weight.to(dtype) for branch in branches]
    families = [branch.expansion for branch in branches]
    tensors = [[at_least_float32(t) for t in branch.tensors] for branch in branches]
    if torch.is_grad_enabled():
        counts = [len(some) for some in tensors]
        y = _Edges.apply(families, counts, flat, *weights, *(t for some in tensors for t in some))
    else:
        y = _outputs(families, flat, weights, tensors)
    return y.view(*x.shape[:-1], weights[0].shape[0])


class _Edges(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, families: list[Expansion], counts: list[int], x: Tensor, *operands: Tensor
    ) -> Tensor:
        ctx.families, ctx.counts = families, counts
        ctx.save_for_backward(x, *operands)
        return _outputs(families, x, *_split(counts, operands))

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
        x, *operands = ctx.saved_tensors
        weights, tensors = _split(ctx.counts, operands)
        wanted = ctx.needs_input_grad[2 : 3 + len(weights)]
        if torch.is_grad_enabled() or is_batched(cotangent):
            dx, dws = _differentiable(ctx.families, x, weights, tensors, cotangent, wanted)
        else:
            dx, dws = _gradients(ctx.families, x, weights, tensors, cotangent, wanted)
        return (None, None, dx, *dws) + (None,) * sum(ctx.counts)


def _split(
    counts: Sequence[int], operands: Sequence[Tensor]
) -> tuple[list[Tensor], list[list[Tensor]]]:
    rest = iter(operands)
    weights = [next(rest) for _ in counts]
    return weights, [[next(rest) for _ in range(count)] for count in counts]


def _differentiable(
    families: Sequence[Expansion],
    x: Tensor,
    weights: Sequence[Tensor],
    tensors: Sequence[Sequence[Tensor]],
    dy: Tensor,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, list[Tensor | None]]:
    dws: list[Tensor | None] = []
    slopes: list[Tensor] = []
    for family, w, some, need in zip(families, weights, tensors, wanted[1:], strict=True):
        dws.append(gradient(family, "w", x, dy, w, some) if need else None)
        if wanted[0]:
            slopes.append(gradient(family, "s", x, dy, w, some))
    return (sum(slopes[1:], start=slopes[0]) if slopes else None), dws


def _local(family: Expansion, tiles: Tiles, x: Tensor, w: Tensor) -> bool:
    return isinstance(tiles, SplineTiles) and prefers_local(family, x, None, w, w.shape[1])


def _outputs(
    families: Sequence[Expansion],
    x: Tensor,
    weights: Sequence[Tensor],
    tensors: Sequence[Sequence[Tensor]],
) -> Tensor:
    y: Tensor | None = None
    rest: list[tuple[Tiles, Tensor]] = []
    for family, w, some in zip(families, weights, tensors, strict=True):
        tiles = tiles_of(family, 0, x, some)
        if isinstance(tiles, SplineTiles) and _local(family, tiles, x, w):
            found = tiles.local(None, None, w, w.shape[1])
            y = found if y is None else y + found
        else:
            rest.append((tiles, w))
    begun = y is not None
    outputs = weights[0].new_empty(len(x), weights[0].shape[0]) if y is None else y
    if not rest:
        return outputs
    columns = [w.flatten(1).T for _, w in rest]
    size = max(w.shape[1] for _, w in rest)
    slices, rows = schedule(x, size, weights[0].shape[0])
    buffers = x.new_empty(len(slices), rows * size * x.shape[1])

    def work(part: int, samples: slice) -> None:
        for n, (tiles, w) in enumerate(rest):
            for tile, basis, matrix in _tiles(samples, rows, buffers[part], w):
                tiles.fill(basis, tile, None)
                into, matrix = outputs[tile], matrix.to(w.dtype)
                if begun or n:
                    torch.addmm(into, matrix, columns[n], out=into)
                else:
                    torch.mm(matrix, columns[n], out=into)

    on_cores(work, slices)
    return outputs


def _gradients(
    families: Sequence[Expansion],
    x: Tensor,
    weights: Sequence[Tensor],
    tensors: Sequence[Sequence[Tensor]],
    dy: Tensor,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, list[Tensor | None]]:
    dy = dy.contiguous()
    dx: Tensor | None = None
    dws: list[Tensor | None] = [None for _ in weights]
    rest: list[tuple[int, Tiles, Tiles, Tensor]] = []
    for n, (family, w, some) in enumerate(zip(families, weights, tensors, strict=True)):
        values, slopes = tiles_of(family, 0, x, some), tiles_of(family, 1, x, some)
        if (
            isinstance(values, SplineTiles)
            and isinstance(slopes, SplineTiles)
            and _local(family, values, x, w)
        ):
            if wanted[1 + n]:
                dws[n] = values.local(None, dy, None, w.shape[1])
            if wanted[0]:
                found = slopes.local(None, dy, w, w.shape[1])
                dx = found if dx is None else dx + found
        else:
            rest.append((n, values, slopes, w))
    if not rest:
        return dx, dws
    begun, spare = dx is not None, None
    if wanted[0]:
        dx = torch.empty_like(x) if dx is None else dx
        spare = torch.empty_like(x) if begun or len(rest) > 1 else None
    size = max(w.shape[1] for *_, w in rest)
    slices, rows = schedule(x, size, weights[0].shape[0])
    buffers = x.new_empty(len(slices), rows * size * x.shape[1])
    # below float32 sums stop growing after a few hundred terms
    sums = [
        [at_least_float32(torch.empty_like(w)).flatten(1) for _ in slices] if wanted[1 + n] else []
        for n, *_, w in rest
    ]
    flat = [w.flatten(1) for *_, w in rest]

    def work(part: int, samples: slice) -> None:
        # one product after the other, so that its weights, or their gradient, stay in the cache
        for position, (n, values, slopes, w) in enumerate(rest):
            if wanted[1 + n]:
                total = sums[position][part]
                for tile, basis, matrix in _tiles(samples, rows, buffers[part], w):
                    values.fill(basis, tile, None)
                    _add(total, dy[tile], matrix, tile.start == samples.start)
            if dx is None:
                continue
            for tile, basis, matrix in _tiles(samples, rows, buffers[part], w):
                if w.dtype == basis.dtype:
                    torch.mm(dy[tile], flat[position], out=matrix)
                    made = basis
                else:  # an operand that has to be made anew costs its pages
                    made = torch.mm(dy[tile], flat[position]).view(basis.shape)
                if begun or position:
                    assert spare is not None
                    slopes.contract(spare, tile, made)
                    dx[tile].add_(spare[tile])
                else:
                    slopes.contract(dx, tile, made)

    used = on_cores(work, slices)
    for (n, _, _, w), of_parts in zip(rest, sums, strict=True):
        if of_parts:
            total = of_parts[0]
            for other in of_parts[1:used]:
                total += other
            dws[n] = total.to(w.dtype).view(w.shape)
    return dx, dws


def _add(total: Tensor, dy: Tensor, matrix: Tensor, first: bool) -> None:
    if dy.dtype != total.dtype:
        product = dy.T @ matrix.to(dy.dtype)
        total.copy_(product) if first else total.add_(product)
    elif first:
        torch.mm(dy.T, matrix, out=total)
    else:
        torch.addmm(total, dy.T, matrix, out=total)


def _tiles(
    samples: slice, rows: int, buffer: Tensor, w: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    # which samples, and memory for what is made of them, as (b, m, i) and as (b, mi)
    numbers = w[0].numel()
    matrix = buffer[: rows * numbers].view(rows, numbers)
    basis = matrix.view(rows, *w.shape[1:])
    for start in range(samples.start, samples.stop, rows):
        left = samples.stop - start
        if left < rows:
            yield slice(start, samples.stop), basis[:left], matrix[:left]
        else:
            yield slice(start, start + rows), basis, matrix
