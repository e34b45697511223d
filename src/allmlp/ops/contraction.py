"""The product of a basis expansion with weights, in the memory of its input.

Everything a KAN layer and its derivatives need is one form in three tensors,

    T(s, y, w) = sum_{b,o,j,i} s_bi B^(n)_ij(x_bi) y_bo w_oji,

taken apart: the gradient with respect to y is the layer (s = 1, n = 0), with respect to w the
gradient of its weights, with respect to s the gradient of its inputs (n = 1). The form is closed
under differentiation: the derivative of any of the three is made of the same three, with n raised
by one where x is varied. Hence one rule serves derivatives of any order.

The basis is never held as a whole. It is computed for a tile of the batch, used and forgotten; the
gradient of the weights adds up over the tiles. On fine grids there is no tile either
(`ops.tiles.prefers_local`). Backward keeps x (and the weights), nothing else.

What torch's mechanisms each leave out decides the rest (torch 2.9 to 2.13):
- Eager calls go through an `autograd.Function` with a `vmap` rule: an operator of `torch.library`
  refuses `torch.func.grad`.
- A compiled graph holds the operator `allmlp::contract`: the tile loop stays out of the graph, and
  the size of the batch may change.
- Forward mode takes plain operations on the whole basis: an operator gives a tangent of zero
  without a word, and so does a `Function` with its own `jvp` as soon as two levels are nested. So
  do transforms inside a compiled function, and exported graphs, which should run without this
  library.

Axes: b batch, i inputs, o outputs, m functions per input.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode
from torch.utils.flop_counter import register_flop_formula

from allmlp.errors import AllmlpError
from allmlp.ops.autocast import at_least_float32, autocast_dtype
from allmlp.ops.cores import on_cores, schedule
from allmlp.ops.expansion import Expansion
from allmlp.ops.fused import fused_product, takes_kernels
from allmlp.ops.tiles import SplineTiles, Tiles, outputs_of, prefers_local, tiles_of
from allmlp.ops.transforms import is_batched, plain_needed

__all__ = ["basis_linear", "gradient"]

SLOTS = ("s", "y", "w")

Slots = Sequence[Tensor | None]  # s, y, w; the one that is wanted is None, and s where it is 1


class _Form(NamedTuple):
    expansion: Expansion
    order: int  # n
    wanted: str  # one of SLOTS
    size: int  # m


def basis_linear(
    x: Float[Tensor, "*b i"],
    weight: Float[Tensor, "o m i"],
    expansion: Expansion,
    tensors: Sequence[Tensor] = (),
    *,
    dense: bool = False,
) -> Float[Tensor, "*b o"]:
    """`sum_ij B_ij(x_bi) weight_oji`, saving x alone for the backward pass.

    Differentiable in x and weight as often as wanted; in `tensors` only when `dense`.

    Args:
        x: inputs.
        weight: basis-major, one coefficient per output, function and input.
        expansion: the family of functions.
        tensors: what the family takes after x, for example knots.
        dense: hold the whole basis in memory and leave the derivatives to autograd.

    Shape:
        (..., i) -> (..., o); output dtype = the weight's (autocast's under autocast). Basis
        functions are computed in x's dtype, in float32 if that has less.

    Raises:
        AllmlpError: x and weight differ in dtype, outside autocast.
    """
    dtype = autocast_dtype(x)
    if dtype is not None:
        weight = weight.to(dtype)
    elif x.dtype != weight.dtype:
        raise AllmlpError(
            f"inputs must have the dtype of the weights, {weight.dtype}, got {x.dtype}; "
            "convert one of them"
        )
    flat = at_least_float32(x).reshape(-1, x.shape[-1])
    tensors = [at_least_float32(tensor) for tensor in tensors]
    form = _Form(expansion, 0, "y", weight.shape[1])
    contract = _plain if dense else _contract
    return contract(form, flat, (None, None, weight), tensors).view(*x.shape[:-1], weight.shape[0])


def gradient(
    expansion: Expansion, wanted: str, x: Tensor, y: Tensor, w: Tensor, tensors: Sequence[Tensor]
) -> Tensor:
    """Of `basis_linear`, with y in the place of its outputs, itself differentiable.

    Args:
        expansion: the family of functions.
        wanted: `s` for the gradient of the inputs, `w` for that of the weights.
        x: inputs (b, i).
        y: gradient of the outputs (b, o).
        w: weights (o, m, i).
        tensors: what the family takes after x.
    """
    form = _Form(expansion, int(wanted == "s"), wanted, w.shape[1])
    return _contract(form, x, (None, y, None if wanted == "w" else w), tensors)


def _contract(form: _Form, x: Tensor, slots: Slots, tensors: Sequence[Tensor]) -> Tensor:
    if plain_needed() or any(slot is not None and is_batched(slot) for slot in slots):
        return _plain(form, x, slots, tensors)
    if torch.compiler.is_compiling():
        return _operator(x, *slots, tensors, form.expansion.text, *form[1:])
    if not torch.is_grad_enabled() and not torch._C._are_functorch_transforms_active():
        return _computed(form, x, slots, tensors)  # a Function costs as much as a small product
    return _Contract.apply(form, x, *slots, *tensors)


def _plain(form: _Form, x: Tensor, slots: Slots, tensors: Sequence[Tensor]) -> Tensor:
    s, y, w = slots
    basis = form.expansion(x, *tensors, order=form.order)
    shape = basis.shape[1:]
    if s is not None:
        basis = basis * s.unsqueeze(1)
    if w is None:
        assert y is not None
        return (y.T @ basis.flatten(1).to(y.dtype)).view(y.shape[1], *shape)
    if y is None:
        return basis.flatten(1).to(w.dtype) @ w.flatten(1).T
    return ((y @ w.flatten(1)).view(x.shape[0], *shape) * basis).sum(1)


def _computed(form: _Form, x: Tensor, slots: Slots, tensors: Sequence[Tensor]) -> Tensor:
    counted, (_, y, w) = _get_current_dispatch_mode() is not None, slots
    if counted and (
        takes_kernels(form.expansion, x, y, w, tensors)
        or prefers_local(form.expansion, x, y, w, form.size)
    ):
        # an operator: torch's counter sees what it calls, not what runs in machine code
        return _operator(x, *slots, tensors, form.expansion.text, *form[1:])
    return _tiled(form, x, slots, tensors)


def _tiled(form: _Form, x: Tensor, slots: Slots, tensors: Sequence[Tensor]) -> Tensor:
    s, y, w = slots
    if takes_kernels(form.expansion, x, y, w, tensors):
        out = _empty(form, x, y, w)
        return fused_product(form.expansion, form.order, x, s, y, w, tensors[0], out)
    tiles = tiles_of(form.expansion, form.order, x, tensors)
    if isinstance(tiles, SplineTiles) and prefers_local(form.expansion, x, y, w, form.size):
        return tiles.local(s, y, w, form.size)
    total = _empty(form, x, y, w)
    dtype = total.dtype
    if w is None:
        total = at_least_float32(total)  # bfloat16 sums stop growing after a few hundred terms
    slices, rows = schedule(x, form.size, outputs_of(y, w))
    # Each core makes and multiplies tiles of its own, and adds up in memory of its own. All of it
    # from here: a worker's memory goes back to the system at once, and comes page by page.
    buffers = x.new_empty(len(slices), rows, form.size, x.shape[1])
    into = [
        total if w is not None or not n else torch.empty_like(total) for n in range(len(slices))
    ]

    def work(part: int, samples: slice) -> None:
        _fill_and_multiply(tiles, slots, samples, buffers[part], into[part])

    used = on_cores(work, slices)
    if w is None:
        for other in into[1:used]:
            total += other
    return total.to(dtype)


def _fill_and_multiply(
    tiles: Tiles, slots: Slots, samples: slice, buffer: Tensor, into: Tensor
) -> None:
    """The samples' part of a product; `into` is all of s or y, or the whole gradient of w."""
    s, y, w = slots
    columns, sums = buffer.flatten(1), into.flatten(1)
    weight = None if w is None else w.flatten(1)
    rows = max(len(buffer), 1)
    if w is None and samples.start == samples.stop:
        sums.zero_()
    for start in range(samples.start, samples.stop, rows):
        tile = slice(start, min(start + rows, samples.stop))
        basis, matrix = buffer[: tile.stop - start], columns[: tile.stop - start]
        if y is not None and weight is not None:
            # an operand that has to be made anew costs its pages
            same = weight.dtype == buffer.dtype
            made = torch.mm(y[tile], weight, out=matrix if same else None)
            tiles.contract(into, tile, made.view(basis.shape))
            continue
        tiles.fill(basis, tile, s)
        if weight is not None:
            torch.mm(matrix.to(weight.dtype), weight.T, out=into[tile])
            continue
        assert y is not None
        if y.dtype != sums.dtype:
            product = y[tile].T @ matrix.to(y.dtype)
            sums.copy_(product) if start == samples.start else sums.add_(product)
        elif start == samples.start:
            torch.mm(y[tile].T, matrix, out=sums)
        else:
            torch.addmm(sums, y[tile].T, matrix, out=sums)  # addmm_ goes uncounted


def _empty(form: _Form, x: Tensor, y: Tensor | None, w: Tensor | None) -> Tensor:
    if form.wanted == "s":
        return torch.empty_like(x, memory_format=torch.contiguous_format)
    if w is not None:
        return w.new_empty(x.shape[0], w.shape[0])
    assert y is not None
    return y.new_empty(y.shape[1], form.size, x.shape[1])


def _gradients(
    form: _Form, saved: Sequence[Any], cotangent: Tensor, needed: Sequence[bool]
) -> list[Tensor | None]:
    """For x, s, y and w: the form with the cotangent in the place of what was wanted."""
    x, s, y, w, *tensors = saved
    held: dict[str, Tensor | None] = {"s": s, "y": y, "w": w, form.wanted: cotangent}

    def gradient(name: str, order: int) -> Tensor:
        slots = [None if slot == name else held[slot] for slot in SLOTS]
        return _contract(form._replace(order=order, wanted=name), x, slots, tensors)

    gradients: list[Tensor | None] = [None] * 4
    if needed[0]:
        slope, factor = gradient("s", form.order + 1), held["s"]
        gradients[0] = slope if factor is None else slope * factor
    for position, name in enumerate(SLOTS, start=1):
        if needed[position]:
            gradients[position] = gradient(name, form.order)
    return gradients


class _Contract(torch.autograd.Function):
    @staticmethod
    def forward(form: _Form, x: Tensor, *slots_and_tensors: Any) -> Tensor:
        return _computed(form, x, slots_and_tensors[:3], slots_and_tensors[3:])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.form = inputs[0]
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
        saved = ctx.saved_tensors
        gradients = _gradients(ctx.form, saved, cotangent, ctx.needs_input_grad[1:5])
        return (None, *gradients) + (None,) * (len(saved) - 4)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], form: _Form, *arguments: Any
    ) -> tuple[Tensor, int]:
        def contract(*arguments: Tensor | None) -> Tensor:
            return _Contract.apply(form, *arguments)

        return _batched(contract, info.batch_size, in_dims[1:], arguments), 0


# torch binds the arguments of a forward at every call, and reads its signature anew each time
vars(_Contract.forward)["__signature__"] = inspect.signature(_Contract.forward)


@torch.library.custom_op("allmlp::contract", mutates_args=())
def _operator(
    x: Tensor,
    s: Tensor | None,
    y: Tensor | None,
    w: Tensor | None,
    tensors: Sequence[Tensor],
    expansion: str,
    order: int,
    wanted: str,
    size: int,
) -> Tensor:
    form = _Form(Expansion.parse(expansion), order, wanted, size)
    return _tiled(form, x, (s, y, w), tensors)


@_operator.register_fake
def _(
    x: Tensor,
    s: Tensor | None,
    y: Tensor | None,
    w: Tensor | None,
    tensors: Sequence[Tensor],
    expansion: str,
    order: int,
    wanted: str,
    size: int,
) -> Tensor:
    return _empty(_Form(Expansion.parse(expansion), order, wanted, size), x, y, w)


@register_flop_formula(torch.ops.allmlp.contract, get_raw=True)
def _flops(
    x: Tensor,
    s: Tensor | None,
    y: Tensor | None,
    w: Tensor | None,
    tensors: Sequence[Tensor],
    expansion: str,
    order: int,
    wanted: str,
    size: int,
    **_: Any,
) -> int:
    # As torch counts products: two per multiply-add, nothing for what is done once per input.
    family = Expansion.parse(expansion)
    local = prefers_local(family, x, y, w, size)
    functions = int(family.constants["k"] or 0) + 1 if local else size
    return 2 * x.shape[0] * x.shape[1] * functions * outputs_of(y, w)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, s, y, w, tensors, expansion, *constants = inputs
    ctx.form = _Form(Expansion.parse(expansion), *constants)
    ctx.save_for_backward(x, s, y, w, *tensors)


def _operator_backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
    saved = ctx.saved_tensors
    gradients = _gradients(ctx.form, saved, cotangent, ctx.needs_input_grad[:4])
    return (*gradients, [None] * (len(saved) - 4), None, None, None, None)


_operator.register_autograd(_operator_backward, setup_context=_keep)


@_operator.register_vmap
def _(
    info: Any,
    in_dims: tuple[Any, ...],
    x: Tensor,
    s: Tensor | None,
    y: Tensor | None,
    w: Tensor | None,
    tensors: Sequence[Tensor],
    *constants: Any,
) -> tuple[Tensor, int]:
    def contract(x: Tensor, s: Any, y: Any, w: Any, *tensors: Tensor) -> Tensor:
        return _operator(x, s, y, w, tensors, *constants)

    dims = [*in_dims[:4], *(in_dims[4] or [None] * len(tensors))]
    return _batched(contract, info.batch_size, dims, [x, s, y, w, *tensors]), 0


def _batched(
    contract: Callable[..., Tensor],
    size: int,
    dims: Sequence[int | None],
    arguments: Sequence[Tensor | None],
) -> Tensor:
    """`contract(x, s, y, w, *tensors)` for every item of a further batch axis, put first.

    Samples are independent: with the same weights and knots for all, the axis joins the batch.
    """
    items = [
        a if a is None or d is None else a.movedim(d, 0)
        for a, d in zip(arguments, dims, strict=True)
    ]
    if arguments[3] is not None and all(d is None for d in dims[3:]):
        merged = [
            a if a is None else (a.expand(size, *a.shape) if d is None else a).flatten(0, 1)
            for a, d in zip(items[:3], dims[:3], strict=True)
        ]
        return contract(*merged, *items[3:]).unflatten(0, (size, -1))

    def item(n: int) -> list[Tensor | None]:
        return [a if a is None or d is None else a[n] for a, d in zip(items, dims, strict=True)]

    return torch.stack([contract(*item(n)) for n in range(size)])
