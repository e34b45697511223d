"""Convolution of a basis expansion, in the memory of its input.

    y_o(p) = sum_{j,c,q} B_cj(x_c(p + q)) w_ojcq

What `ops.contraction` is to a KAN layer, for kernels that move over axes: values of the functions
are made for some images at a time, by the same tiles, convolved and forgotten; backward keeps x and
makes them again. Derivatives of derivatives, transforms and compiled graphs take plain operations
on the whole expansion.

Axes: b batch, c input channels, o output channels, m functions per channel, s spatial axes,
p pixels of the images of a tile.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from allmlp.ops.autocast import at_least_float32, autocast_dtype
from allmlp.ops.expansion import Expansion
from allmlp.ops.tiles import tiles_of
from allmlp.ops.transforms import is_batched, plain_needed
from allmlp.ops.values import basis_values

__all__ = ["basis_convolution"]

# Numbers in a tile, 4 MB of float32. Every convolution arranges its weights anew.
TILE = 2**20
# On other devices, where every tile costs launches.
FAR_TILE = 2**24

_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class _Form(NamedTuple):
    expansion: Expansion
    size: int  # m
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


def basis_convolution(
    x: Tensor,
    weight: Tensor,
    expansion: Expansion,
    tensors: Sequence[Tensor] = (),
    *,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int = 1,
    dense: bool = False,
) -> Tensor:
    """The convolution of all functions of x, saving x alone for the backward pass.

    Differentiable in x and weight as often as wanted; in `tensors` only when `dense`.

    Args:
        x: images (b, c, *s), of one to three axes s.
        weight: (o, m c / groups, *k); within a group basis-major.
        expansion: the family of functions.
        tensors: what the family takes after x, for channels last.
        stride: pixels, one number per axis, as the next two.
        padding: zeros around the expanded images.
        dilation: distance of a kernel's positions.
        groups: blocks of channels that do not mix.
        dense: hold the whole expansion in memory and leave the derivatives to autograd.

    Shape:
        (b, c, *s) -> (b, o, *s'); output dtype = the weight's (autocast's dtype under autocast).
        Functions are computed in x's dtype, in float32 if that has less.
    """
    dtype = autocast_dtype(x)
    if dtype is not None:
        weight = weight.to(dtype)
    each = x.shape[1] // groups
    form = _Form(expansion, weight.shape[1] // each, stride, padding, dilation, groups)
    tensors = [at_least_float32(tensor) for tensor in tensors]
    transformed = torch._C._are_functorch_transforms_active()
    if dense or transformed or torch.compiler.is_compiling() or plain_needed() or not x.numel():
        return _plain(form, x, weight, tensors, dense)
    return _Convolution.apply(form, x, weight, *tensors)


def _plain(
    form: _Form, x: Tensor, weight: Tensor, tensors: Sequence[Tensor], dense: bool = False
) -> Tensor:
    z = at_least_float32(x).movedim(1, -1)
    values = form.expansion(z, *tensors) if dense else basis_values(form.expansion, z, *tensors)
    return _convolved(form, values.to(weight.dtype), weight)


def _convolved(form: _Form, values: Tensor, weight: Tensor) -> Tensor:
    # values (b, *s, m, c)
    convolve = _CONVOLUTIONS[values.ndim - 3]
    with torch.autocast(values.device.type, enabled=False):
        constants = form.stride, form.padding, form.dilation, form.groups
        return convolve(_channels(form, values), weight, None, *constants)


def _channels(form: _Form, values: Tensor) -> Tensor:
    # (b, *s, m, c) -> (b, groups * m * c/groups, *s); channels stay innermost in memory, which is
    # the layout that convolutions of many channels prefer
    if form.groups > 1:
        values = values.unflatten(-1, (form.groups, -1)).movedim(-2, -3)
    return values.flatten(values.ndim - (2 if form.groups == 1 else 3)).movedim(-1, 1)


def _functions(form: _Form, channels: Tensor) -> Tensor:
    # the way back, with the pixels on one axis: (p, m, c)
    values = channels.movedim(1, -1).flatten(0, -2).unflatten(1, (form.groups, form.size, -1))
    return values.movedim(1, 2).flatten(2)


def _tiles(form: _Form, x: Tensor) -> tuple[Tensor, Tensor, list[slice]]:
    # pixels (b * s, c), memory for the functions of some images, and which images those are
    flat = at_least_float32(x).movedim(1, -1).reshape(-1, x.shape[1])
    numbers = form.size * x[0].numel()
    images = max((TILE if x.device.type == "cpu" else FAR_TILE) // numbers, 1)
    pixels = min(images, len(x)) * math.prod(x.shape[2:])
    basis = flat.new_empty(pixels, form.size, x.shape[1])
    return flat, basis, [slice(n, min(n + images, len(x))) for n in range(0, len(x), images)]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, form: _Form, x: Tensor, weight: Tensor, *tensors: Tensor) -> Tensor:
        ctx.form = form
        ctx.save_for_backward(x, weight, *tensors)
        flat, basis, parts = _tiles(form, x)
        tiles = tiles_of(form.expansion, 0, flat, tensors)
        pixels, found = math.prod(x.shape[2:]), []
        for part in parts:
            rows = slice(part.start * pixels, part.stop * pixels)
            some = basis[: rows.stop - rows.start]
            tiles.fill(some, rows, None)
            values = some.to(weight.dtype).view(-1, *x.shape[2:], *some.shape[1:])
            found.append(_convolved(form, values, weight))
        return torch.cat(found)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
        x, weight, *tensors = ctx.saved_tensors
        form, needed = ctx.form, ctx.needs_input_grad[1:3]
        again = torch.is_grad_enabled()
        if again or is_batched(cotangent):
            with torch.enable_grad():
                y = _plain(form, x, weight, tensors)
            wanted = [t for t, need in zip((x, weight), needed, strict=True) if need]
            gradients = iter(torch.autograd.grad(y, wanted, cotangent, create_graph=again))
            dx, dw = (next(gradients) if need else None for need in needed)
        else:
            dx, dw = _gradients(form, x, weight, tensors, cotangent, needed)
        return (None, dx, dw) + (None,) * len(tensors)


def _gradients(
    form: _Form,
    x: Tensor,
    weight: Tensor,
    tensors: Sequence[Tensor],
    cotangent: Tensor,
    needed: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None]:
    flat, basis, parts = _tiles(form, x)
    values_of, slopes_of = (tiles_of(form.expansion, order, flat, tensors) for order in (0, 1))
    dx, pixels = torch.empty_like(flat), math.prod(x.shape[2:])
    dw = at_least_float32(torch.zeros_like(weight))
    axes = x.ndim - 2
    for part in parts:
        rows = slice(part.start * pixels, part.stop * pixels)
        some = basis[: rows.stop - rows.start]
        values_of.fill(some, rows, None)
        values = some.to(weight.dtype).view(-1, *x.shape[2:], *some.shape[1:])
        slopes, change, _ = torch.ops.aten.convolution_backward(
            cotangent[part],
            _channels(form, values),
            weight,
            None,
            form.stride,
            form.padding,
            form.dilation,
            False,  # not transposed
            [0] * axes,
            form.groups,
            [*needed, False],
        )
        if needed[1]:
            dw += change
        if needed[0]:
            factors = _functions(form, slopes).contiguous().to(flat.dtype)
            slopes_of.contract(dx, rows, factors)
    into = dx.view(len(x), *x.shape[2:], -1).movedim(-1, 1).to(x.dtype) if needed[0] else None
    return into, dw.to(weight.dtype) if needed[1] else None
