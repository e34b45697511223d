"""B-splines on uniform knots times a matrix, on a card: kernels in Triton.

    T(s, y, w) = sum_{b,o,j,i} s_bi B^(n)_ij(x_bi) y_bo w_oji        (`ops.contraction`)

Each kernel is a tiled product of two matrices one of which is the basis. Its tile is computed from
the tile of x where the product needs it, in registers, and never stored. The columns of a tile are
some functions of some inputs: cells and polynomials are found once for all functions. What is
wanted of T, y, w or s, decides over which axis the product sums, hence which kernel it is.

Every program writes numbers of its own and adds up in a fixed order, so that results repeat bit for
bit.

Importing this file needs Triton; `ops.fused` calls it, and says what `spline` and `blocks` are.

Axes: b samples, i inputs, m functions per input, o outputs, c columns: functions times inputs, the
inputs side by side, as in weights; r the k + 1 functions of a cell, p powers of u.
"""

# Triton reads the types from the arguments
# mypy: disable-error-code="assignment, no-untyped-def, untyped-decorator"

import inspect
from collections.abc import Callable
from typing import Any

import triton
import triton.language as tl

__all__ = ["inputs_kernel", "outputs_kernel", "weights_kernel"]

# Rows of tiles that are worked on together, column by column: they find the same operands in the
# cache.
GROUP = tl.constexpr(8)
INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)


def _kernel(function: Callable[..., Any]) -> Any:
    # a run-time type checker's wrapper cannot be compiled
    return triton.jit(inspect.unwrap(function))


@_kernel
def _program(rows, columns):
    number = tl.program_id(0)
    return tl.swizzle2d(number // columns, number % columns, rows, columns, GROUP)


@_kernel
def _taps(x, s, knots, b, i, batch, inputs, size, spline: tl.constexpr):
    # The cell of x_bi and the k + 1 functions there, times s_bi if there is an s. b and i have axes
    # such that together they span a tile.
    inside = i < inputs
    here = (b < batch) & inside
    at = b.to(tl.int64) * inputs + i
    place = tl.load(x + at, mask=here, other=0.0)
    cells = size + spline.degree
    ends = knots + i * (cells + 1)
    low = tl.load(ends, mask=inside, other=0.0)
    width = (tl.load(ends + cells, mask=inside, other=1.0) - low) / cells
    steps = (place - low) / width
    first: tl.constexpr = 0 if spline.tails else spline.degree
    cell = tl.where(steps > first, steps, first)  # NaN: any cell; u carries it on
    last = cells - 1 - first
    cell = tl.where(cell < last, cell, last).to(tl.int32)
    u = steps - cell.to(steps.dtype)
    edge = tl.where(u < 0, 0.0, tl.where(u > 1, 1.0, u))
    gain = tl.full(u.shape, 1.0, u.dtype)
    order: tl.constexpr = spline.order
    for _ in tl.static_range(order):
        gain = gain / width
    if s is not None:
        gain = gain * tl.load(s + at, mask=here, other=0.0)
    excess = (u - edge) * gain
    if spline.vanish:
        gone = u != edge
        if spline.tails:
            gone = gone | (edge == 1)
        gain = tl.where(gone & (u == u), 0.0, gain)
    taps = ()
    many: tl.constexpr = spline.degree + 1
    power: tl.constexpr = spline.degree - order if spline.degree > order else 0
    for r in tl.static_range(many):
        tap = tl.full(u.shape, spline.table[power * many + r], u.dtype)
        for p in tl.static_range(power):
            tap = tap * edge + spline.table[(power - 1 - p) * many + r]
        tap = tap * gain
        if spline.tangents:
            tap += excess * tl.where(edge == 0, spline.edges[r], spline.edges[many + r])
        taps = taps + (tap,)  # noqa: RUF005 - Triton has no other way
    return cell, taps


@_kernel
def _values(cell, taps, m):
    # function m: one of those that live on the cell, whose numbers end with the cell's, or 0
    ahead = cell - m
    value = tl.full(ahead.shape, 0.0, taps[0].dtype)
    many: tl.constexpr = len(taps)
    for r in tl.static_range(many):
        value = tl.where(ahead == many - 1 - r, taps[r], value)
    return value


@_kernel
def _side_by_side(cell, taps, first, count: tl.constexpr, step: tl.constexpr):
    # functions first, first + step, ... of a tile (b, i): (b, i, 2, 2, ...), the last one even or
    # odd, so that every thread holds all functions of the inputs it knows
    if count == 1:
        return _values(cell, taps, first)
    else:  # noqa: RET505 - Triton compiles what follows a return
        half: tl.constexpr = count // 2
        twice: tl.constexpr = step * 2
        even = _side_by_side(cell, taps, first, half, twice)
        odd = _side_by_side(cell, taps, first + step, half, twice)
        return tl.join(even, odd)


@_kernel
def _matrix(
    x,
    s,
    knots,
    b,
    first_input,
    first_function,
    batch,
    inputs,
    size,
    spline: tl.constexpr,
    blocks: tl.constexpr,
):
    # the basis, a tile of it: (b, c)
    i = first_input + tl.arange(0, blocks.inputs)
    cell, taps = _taps(x, s, knots, b[:, None], i[None, :], batch, inputs, size, spline)
    values = _side_by_side(cell, taps, first_function, blocks.functions, 1)
    values = tl.reshape(values, (blocks.samples, blocks.inputs, blocks.functions))
    return tl.reshape(
        tl.permute(values, (0, 2, 1)), (blocks.samples, blocks.functions * blocks.inputs)
    )


@_kernel
def _columns(first_function, first_input, blocks: tl.constexpr):
    c = tl.arange(0, blocks.functions * blocks.inputs)
    return first_function + c // blocks.inputs, first_input + c % blocks.inputs


@_kernel
def _product(a, b, total, precision: tl.constexpr):
    if INTERPRETED:  # Triton's interpreter multiplies bfloat16 as the integers it keeps them in
        a, b = a.to(total.dtype), b.to(total.dtype)
    return tl.dot(a, b, total, input_precision=precision, out_dtype=total.dtype)


@_kernel
def outputs_kernel(
    x,
    s,
    w,
    knots,
    out,
    batch,
    inputs,
    outputs,
    size,
    spline: tl.constexpr,
    blocks: tl.constexpr,
    precision: tl.constexpr,
):
    """The layer: out (b, o) = sum_mi s_bi B_mi(x_bi) w_omi."""
    row, column = _program(tl.cdiv(batch, blocks.samples), tl.cdiv(outputs, blocks.outputs))
    b = row * blocks.samples + tl.arange(0, blocks.samples)
    o = column * blocks.outputs + tl.arange(0, blocks.outputs)
    total = tl.full((blocks.samples, blocks.outputs), 0.0, x.dtype.element_ty)
    pieces = tl.cdiv(size, blocks.functions)
    for step in range(tl.cdiv(inputs, blocks.inputs) * pieces):
        first_input, first_function = (
            step // pieces * blocks.inputs,
            step % pieces * blocks.functions,
        )
        matrix = _matrix(
            x, s, knots, b, first_input, first_function, batch, inputs, size, spline, blocks
        )
        m, i = _columns(first_function, first_input, blocks)
        weight = tl.load(
            w + o.to(tl.int64)[None, :] * size * inputs + (m * inputs + i)[:, None],
            mask=((m < size) & (i < inputs))[:, None] & (o < outputs)[None, :],
            other=0.0,
        )
        total = _product(matrix.to(weight.dtype), weight, total, precision)
    tl.store(
        out + b.to(tl.int64)[:, None] * outputs + o[None, :],
        total.to(out.dtype.element_ty),
        mask=(b < batch)[:, None] & (o < outputs)[None, :],
    )


@_kernel
def weights_kernel(
    x,
    s,
    y,
    knots,
    out,
    batch,
    inputs,
    outputs,
    size,
    length,
    spline: tl.constexpr,
    blocks: tl.constexpr,
    precision: tl.constexpr,
):
    """The weights' gradient in parts: out (part, o, m, i), each the sum over `length` samples."""
    pieces = tl.cdiv(size, blocks.functions)
    row, column = _program(
        tl.cdiv(outputs, blocks.outputs), tl.cdiv(inputs, blocks.inputs) * pieces
    )
    o = row * blocks.outputs + tl.arange(0, blocks.outputs)
    first_input, first_function = (
        column // pieces * blocks.inputs,
        column % pieces * blocks.functions,
    )
    part = tl.program_id(1)
    stop = tl.minimum((part + 1) * length, batch)
    total = tl.full((blocks.outputs, blocks.functions * blocks.inputs), 0.0, x.dtype.element_ty)
    for first in range(part * length, stop, blocks.samples):
        b = first + tl.arange(0, blocks.samples)
        matrix = _matrix(
            x, s, knots, b, first_input, first_function, stop, inputs, size, spline, blocks
        )
        slope = tl.load(
            y + b.to(tl.int64)[None, :] * outputs + o[:, None],
            mask=(b < stop)[None, :] & (o < outputs)[:, None],
            other=0.0,
        )
        total = _product(slope, matrix.to(slope.dtype), total, precision)
    m, i = _columns(first_function, first_input, blocks)
    tl.store(
        out
        + (part.to(tl.int64) * outputs + o)[:, None] * size * inputs
        + (m * inputs + i)[None, :],
        total.to(out.dtype.element_ty),
        mask=((m < size) & (i < inputs))[None, :] & (o < outputs)[:, None],
    )


@_kernel
def inputs_kernel(
    x,
    y,
    w,
    knots,
    out,
    batch,
    inputs,
    outputs,
    size,
    spline: tl.constexpr,
    blocks: tl.constexpr,
    precision: tl.constexpr,
):
    """The gradient of s, and with n = 1 of x: out (b, i) = sum_m B_mi(x_bi) sum_o y_bo w_omi."""
    row, column = _program(tl.cdiv(batch, blocks.samples), tl.cdiv(inputs, blocks.inputs))
    b = row * blocks.samples + tl.arange(0, blocks.samples)
    first_input = column * blocks.inputs
    near = first_input + tl.arange(0, blocks.inputs)
    total = tl.full((blocks.samples, blocks.inputs), 0.0, x.dtype.element_ty)
    for first_function in range(0, size, blocks.functions):
        m, i = _columns(first_function, first_input, blocks)
        factors = tl.full(
            (blocks.samples, blocks.functions * blocks.inputs), 0.0, x.dtype.element_ty
        )
        for first in range(0, outputs, blocks.outputs):
            o = first + tl.arange(0, blocks.outputs)
            slope = tl.load(
                y + b.to(tl.int64)[:, None] * outputs + o[None, :],
                mask=(b < batch)[:, None] & (o < outputs)[None, :],
                other=0.0,
            )
            weight = tl.load(
                w + o.to(tl.int64)[:, None] * size * inputs + (m * inputs + i)[None, :],
                mask=((m < size) & (i < inputs))[None, :] & (o < outputs)[:, None],
                other=0.0,
            )
            factors = _product(slope, weight, factors, precision)
        cell, taps = _taps(
            x, None, knots, b[:, None, None], near[None, None, :], batch, inputs, size, spline
        )
        number = (first_function + tl.arange(0, blocks.functions))[None, :, None]
        values = _values(cell, taps, number)
        apart = tl.reshape(factors, (blocks.samples, blocks.functions, blocks.inputs))
        total += tl.sum(values * apart, 1)
    tl.store(
        out + b.to(tl.int64)[:, None] * inputs + near[None, :],
        total,
        mask=(b < batch)[:, None] & (near < inputs)[None, :],
    )
