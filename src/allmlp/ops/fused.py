"""B-splines on a card: when the kernels of `ops.spline_triton` are taken, and with which tiles.

They are taken on CUDA devices from compute capability 8.0 on, where Triton can be imported (it
comes with torch's CUDA builds on Linux), for B-splines on uniform knots: any degree, continuation
beyond the grid and order of derivative, so double backward as well. All else goes the way of
`ops.contraction` with torch's formula and torch's products: adaptive knots, other families, other
devices. `ALLMLP_TRITON=0` switches the kernels off.

Functions are computed in float32 (float64 for float64) and cast to the dtype of what they are
multiplied with; sums are in float32 (float64). Products of float32 are exact, or TF32 where torch's
are (`torch.set_float32_matmul_precision`, `torch.backends.cuda.matmul.fp32_precision`).

`TRITON_INTERPRET=1` sends operands in a processor's memory through Triton's interpreter, for checks
without a card. It is slow.

Axes: b samples, i inputs, m functions per input, o outputs.
"""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from allmlp.ops.expansion import Expansion
from allmlp.ops.outside import check_inside
from allmlp.ops.tiles import of_uniform_knots, outputs_of

__all__ = ["BLOCKS", "Blocks", "Spline", "fused_product", "kernels", "takes_kernels"]

# x with what its functions are multiplied by
DTYPES = {
    (torch.float32, torch.float32),
    (torch.float32, torch.bfloat16),
    (torch.float32, torch.float16),
    (torch.float64, torch.float64),
}
# Programs that keep a large card busy, two for each processor of an H100. Where there are fewer
# tiles of weights, several programs share a tile's samples, at least so many each.
ENOUGH, LEAST_SAMPLES = 264, 512
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


class Spline(NamedTuple):
    """What a kernel is compiled for.

    Args:
        degree: k.
        order: of the derivative.
        table: coefficients of powers of u, differentiated, (p, r) flattened.
        edges: slopes at either end of a cell, (2, r) flattened.
        tangents: beyond the grid functions go on along their tangents,
        vanish: or are 0 there.
        tails: the grid goes on to the outermost knots.
    """

    degree: int
    order: int
    table: tuple[float, ...]
    edges: tuple[float, ...]
    tangents: bool
    vanish: bool
    tails: bool


class Blocks(NamedTuple):
    """A tile's size along each axis, powers of two, the warps on it, the stages of its loads."""

    samples: int
    outputs: int
    functions: int
    inputs: int
    warps: int
    stages: int


# The largest tiles, by what is wanted and how products are made. Chosen by reasoning and by what
# the compiler says of registers and shared memory (at most the 99 kB that the smallest card has),
# NOT yet measured on a card: `benchmarks/kan_gpu_speed.py` measures, and prints them in this form.
BLOCKS = {
    ("y", "half"): Blocks(128, 128, 8, 8, 8, 3),
    ("y", "tf32"): Blocks(128, 128, 8, 4, 8, 3),
    ("y", "float32"): Blocks(64, 64, 8, 4, 4, 2),
    ("y", "float64"): Blocks(32, 32, 8, 4, 4, 2),
    ("w", "half"): Blocks(64, 128, 8, 16, 8, 3),
    ("w", "tf32"): Blocks(32, 128, 8, 16, 8, 3),
    ("w", "float32"): Blocks(16, 64, 8, 8, 4, 2),
    ("w", "float64"): Blocks(16, 32, 8, 4, 4, 2),
    ("s", "half"): Blocks(128, 64, 8, 16, 8, 3),
    ("s", "tf32"): Blocks(128, 32, 8, 16, 8, 3),
    ("s", "float32"): Blocks(64, 16, 8, 8, 4, 2),
    ("s", "float64"): Blocks(32, 16, 8, 4, 4, 2),
}


@cache
def kernels() -> ModuleType | None:
    """`ops.spline_triton`, or None without a Triton for CUDA."""
    if os.environ.get("ALLMLP_TRITON") == "0" or torch.version.hip is not None:
        return None
    try:
        from allmlp.ops import spline_triton
    except ImportError:
        return None
    return spline_triton


def takes_kernels(
    expansion: Expansion, x: Tensor, y: Tensor | None, w: Tensor | None, tensors: Sequence[Tensor]
) -> bool:
    """Whether the product of these operands is one for the kernels (see the head of this file)."""
    if expansion.kind != "bspline" or len(tensors) != 1 or type(x) is not Tensor:
        return False
    if not INTERPRETED and not (x.is_cuda and _capable(x.get_device())):
        return False
    dtypes = {tensor.dtype for tensor in (y, w) if tensor is not None}
    fits = len(dtypes) == 1 and (x.dtype, *dtypes) in DTYPES and tensors[0].dtype == x.dtype
    return fits and kernels() is not None


@cache
def _capable(device: int) -> bool:
    return torch.cuda.get_device_capability(device) >= (8, 0)


def fused_product(
    expansion: Expansion,
    order: int,
    x: Tensor,
    s: Tensor | None,
    y: Tensor | None,
    w: Tensor | None,
    knots: Tensor,
    out: Tensor,
) -> Tensor:
    """The one of s, y and w that is wanted, as `ops.contraction` defines it.

    Args:
        expansion: B-splines.
        order: of the derivative.
        x: (b, i).
        s: (b, i); None where it is wanted, or 1.
        y: (b, o); None where it is wanted.
        w: (o, m, i); None where it is wanted.
        knots: (i, t), uniform.
        out: contiguous, of the shape and dtype of what is wanted; overwritten.

    Returns:
        `out`.
    """
    if not x.numel():
        return out.zero_()
    spline = _spline(expansion, order, x, knots)
    x, knots = x.contiguous(), knots.contiguous()
    s, y, w = (tensor if tensor is None else tensor.contiguous() for tensor in (s, y, w))
    operand = y if w is None else w
    assert operand is not None
    wanted = "w" if w is None else "y" if y is None else "s"
    made = _made(operand.dtype)
    sizes = b, i, o, m = *x.shape, outputs_of(y, w), knots.shape[1] - 1 - spline.degree
    blocks = _blocks(wanted, made, o, m, i)
    constants = {
        "spline": spline,
        "blocks": blocks,
        "precision": "tf32" if made == "tf32" else "ieee",
        "num_warps": blocks.warps,
        "num_stages": blocks.stages,
    }
    rows, columns = _pieces(b, blocks.samples), _pieces(o, blocks.outputs)
    module: Any = kernels()
    with torch.cuda.device(x.device) if x.is_cuda else nullcontext():
        if wanted == "y":
            module.outputs_kernel[(rows * columns,)](x, s, w, knots, out, *sizes, **constants)
        elif wanted == "s":
            module.inputs_kernel[(rows * _pieces(i, blocks.inputs),)](
                x, y, w, knots, out, *sizes, **constants
            )
        else:
            tiles = columns * _pieces(i, blocks.inputs) * _pieces(m, blocks.functions)
            parts = max(min(ENOUGH // tiles, b // LEAST_SAMPLES), 1)
            length = _pieces(rows, parts) * blocks.samples
            parts = _pieces(b, length)
            sums = out[None] if parts == 1 else x.new_empty(parts, *out.shape)
            grid = (tiles, parts)
            module.weights_kernel[grid](x, s, y, knots, sums, *sizes, length, **constants)
            if parts > 1:
                out.copy_(sums.sum(0))
    return out


def _made(dtype: torch.dtype) -> str:
    # how products of this dtype are
    if dtype == torch.float64:
        return "float64"
    if dtype != torch.float32:
        return "half"
    return "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "float32"


def _blocks(wanted: str, made: str, outputs: int, functions: int, inputs: int) -> Blocks:
    # no larger than the axes; a product takes at least 16 along each of its own
    most = BLOCKS[wanted, made]
    m = min(most.functions, _power(functions))
    i = min(most.inputs * most.functions // m, max(_power(inputs), 16 // m))
    return most._replace(functions=m, inputs=i, outputs=min(most.outputs, max(_power(outputs), 16)))


def _power(number: int) -> int:
    # of two, the least that is no smaller
    return 1 << (number - 1).bit_length()


def _pieces(length: int, size: int) -> int:
    return -(-length // size)


def _spline(expansion: Expansion, order: int, x: Tensor, knots: Tensor) -> Spline:
    k, outside = expansion.constants["k"], expansion.constants.get("outside", "linear")
    assert isinstance(k, int)
    if outside == "error":
        check_inside(x, knots[:, k], knots[:, -k - 1])
    tails, linear = outside == "zero", outside == "linear"
    table, edges = of_uniform_knots(k, order, torch.float64)
    return Spline(
        degree=k,
        order=order,
        table=tuple(table.ravel().tolist()),
        edges=tuple(edges.ravel().tolist()),
        tangents=linear and order == 0,
        vanish=tails or order > int(linear),
        tails=tails,
    )
