"""Rational functions P(x) / Q(x) with coefficients per group of channels.

Two denominators are in use, and the coefficients of one are not those of the other:
- `abs_sum`:  Q = 1 + |b_1 x + ... + b_n x^n|   (safe Padé; what released starts were fitted for)
- `sum_abs`:  Q = 1 + |b_1 x| + ... + |b_n x^n|  (what KAT's kernels compute)

Papers: Molina et al. 2020, Padé Activation Units, arXiv:1907.06732; Yang and Wang 2024,
Kolmogorov-Arnold Transformer, arXiv:2409.10594.

Axes: b any leading axes, d channels, g groups, p numerator and q denominator coefficients.
"""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.ops.autocast import at_least_float32
from allmlp.ops.machine_code import array_of, kernels, reads
from allmlp.ops.threads import in_threads
from allmlp.ops.transforms import is_batched, plain_needed

__all__ = ["DENOMINATORS", "rational_activation", "rational_function"]

DENOMINATORS = ("abs_sum", "sum_abs")
# Numbers that are worth a thread: 0.1 milliseconds there, 0.4 on the way back.
LEAST = 2**18


def rational_function(
    x: Float[Tensor, "*b d"],
    numerator: Float[Tensor, "#g p"],
    denominator: Float[Tensor, "g q"],
    *,
    form: str,
    order: int = 0,
) -> Float[Tensor, "*b d"]:
    """The `order`-th derivative of P / Q, channels sharing coefficients in g equal groups.

    Args:
        x: where to evaluate; channel c belongs to group c // (d / g).
        numerator: coefficients of 1, x, ..., x^(p-1), for each group or one row for all.
        denominator: coefficients of x, ..., x^q.
        form: one of `DENOMINATORS`.
        order: of the derivative; 0 gives values.

    Shape:
        (..., d) -> (..., d); output dtype = input dtype.

    Example:
        >>> one, x = torch.ones(1, 1), torch.tensor([[-2.0]])
        >>> rational_function(x, one, one, form="sum_abs")
        tensor([[0.3333]])
    """
    z = x.unflatten(-1, (denominator.shape[0], -1))
    above = [_polynomial(z, numerator, r) for r in range(order + 1)]
    below = [_denominator(z, denominator, form, r) for r in range(order + 1)]
    # Q y = P, differentiated n times: y^(n) = (P^(n) - sum_r C(n, r) Q^(r) y^(n-r)) / Q
    found: list[Tensor] = []
    for n in range(order + 1):
        rest = above[n]
        for r in range(1, n + 1):
            rest = rest - math.comb(n, r) * below[r] * found[n - r]
        found.append(rest / below[0])
    return found[order].flatten(-2)


def rational_activation(
    x: Float[Tensor, "*b d"],
    numerator: Float[Tensor, "#g p"],
    denominator: Float[Tensor, "g q"],
    *,
    form: str,
) -> Float[Tensor, "*b d"]:
    """`rational_function`, keeping x alone for backward; differentiable as often as wanted.

    Autograd would keep a tensor of the size of x for every step of both Horner schemes. Computed by
    `ops.rational_kernels` where they can be, by torch elsewhere and under `create_graph`, with the
    same results to rounding. Sums of coefficients' gradients have an order that threads do not
    change.

    Args are those of `rational_function`.

    Shape:
        (..., d) -> (..., d); output dtype = input dtype, computed in at least float32.
    """
    # a compiler decides itself what to keep; transforms see plain operations
    transformed = torch._C._functorch.get_dynamic_layer_stack_depth() > 0
    if torch.compiler.is_compiling() or plain_needed() or transformed:
        return rational_function(at_least_float32(x), numerator, denominator, form=form).to(x.dtype)
    return _Rational.apply(x, numerator, denominator, form)


class _Rational(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, numerator: Tensor, denominator: Tensor, form: str) -> Tensor:
        ctx.form = form
        ctx.save_for_backward(x, numerator, denominator)
        z = at_least_float32(x)
        if _fits(z, numerator, denominator):
            return _quotients(z, numerator, denominator, form).to(x.dtype)
        return rational_function(z, numerator, denominator, form=form).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        x, numerator, denominator = ctx.saved_tensors
        z, dy = at_least_float32(x), at_least_float32(cotangent)
        again = torch.is_grad_enabled()  # to be differentiated once more
        fits = (
            not again
            and not is_batched(dy)
            and dy.dtype == z.dtype
            and _fits(z, numerator, denominator)
        )
        gradients = _gradients if fits else _formula_gradients
        dx, da, db = gradients(z, numerator, denominator, ctx.form, dy)
        return dx.to(x.dtype), da, db, None


def _fits(x: Tensor, numerator: Tensor, denominator: Tensor) -> bool:
    same = numerator.dtype == denominator.dtype == x.dtype
    some = bool(numerator.numel() and denominator.numel())
    return same and some and reads(x) and kernels("rational_kernels") is not None


def _arguments(numerator: Tensor, denominator: Tensor, form: str) -> tuple[Any, ...]:
    above, below = range(numerator.shape[1]), range(1, denominator.shape[1] + 1)
    coefficients = array_of(numerator), array_of(denominator)
    return *coefficients, tuple(above), tuple(below), form == "sum_abs"


def _quotients(x: Tensor, numerator: Tensor, denominator: Tensor, form: str) -> Tensor:
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    width = x.shape[-1]
    given, into = array_of(x).reshape(-1, width), y.numpy().reshape(-1, width)
    code, arguments = kernels("rational_kernels"), _arguments(numerator, denominator, form)
    assert code is not None

    def work(rows: slice) -> None:
        code.quotients(given[rows], *arguments, into[rows])

    in_threads(work, len(given), LEAST // width)
    return y


def _gradients(
    x: Tensor, numerator: Tensor, denominator: Tensor, form: str, cotangent: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    dx = torch.empty_like(x, memory_format=torch.contiguous_format)
    width, degrees = x.shape[-1], numerator.shape[1]
    given, dy = (array_of(t).reshape(-1, width) for t in (x, cotangent))
    into = dx.numpy().reshape(-1, width)
    code, arguments = kernels("rational_kernels"), _arguments(numerator, denominator, form)
    assert code is not None
    blocks = -(-len(given) // code.ROWS)
    sums = np.empty((blocks, len(denominator), degrees + denominator.shape[1]))

    def work(part: slice) -> None:
        rows = slice(part.start * code.ROWS, part.stop * code.ROWS)
        code.gradients(given[rows], *arguments, dy[rows], into[rows], sums[part])

    in_threads(work, blocks, max(LEAST // (width * code.ROWS), 1))
    totals = torch.from_numpy(sums.sum(axis=0))
    da, db = totals[:, :degrees], totals[:, degrees:]
    if form == "sum_abs":
        db = db * _sign(denominator)
    return dx, da.sum_to_size(numerator.shape).to(x.dtype), db.to(x.dtype)


def _formula_gradients(
    x: Tensor, numerator: Tensor, denominator: Tensor, form: str, cotangent: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    groups = denominator.shape[0]
    dx = cotangent * rational_function(x, numerator, denominator, form=form, order=1)
    z = x.unflatten(-1, (groups, -1))
    below = _denominator(z, denominator, form, 0)
    # dy/da_p = x^p / Q,  dy/db_q = -y/Q dQ/db_q
    slope = cotangent.reshape(z.shape) / below
    fall = -slope * _polynomial(z, numerator, 0) / below
    if form == "abs_sum":
        base = z
        signs = _sign(_polynomial(z, _without_one(denominator), 0))
        fall = fall * signs
    else:
        base = z.abs()
    over = [n for n in range(z.ndim) if n != z.ndim - 2]
    da = torch.stack(_moments(slope, z, numerator.shape[1], over), dim=1)
    db = torch.stack(_moments(fall * base, base, denominator.shape[1], over), dim=1)
    if form == "sum_abs":
        db = db * _sign(denominator)
    return dx, da.sum_to_size(numerator.shape), db


def _moments(weight: Tensor, z: Tensor, count: int, over: list[int]) -> list[Tensor]:
    # sums of weight, weight z, weight z^2, ... for each group
    found = []
    for n in range(count):
        found.append(weight.sum(over))
        if n + 1 < count:
            weight = weight * z
    return found


def _denominator(
    z: Float[Tensor, "*b g c"], coefficients: Float[Tensor, "g q"], form: str, order: int
) -> Float[Tensor, "*b g c"]:
    if form == "abs_sum":
        inner = _without_one(coefficients)
        value = _sign(_polynomial(z, inner, 0)) * _polynomial(z, inner, order)
    else:
        # a polynomial in |x|; each derivative turns the sign
        size = _without_one(coefficients * _sign(coefficients))
        value = z.sign() ** order * _polynomial(z.abs(), size, order)
    return value if order else 1 + value


def _sign(x: Tensor) -> Tensor:
    # 1 at 0: with 0 there, denominators that start at 0 (the identity) could never leave it
    return torch.where(x < 0, -torch.ones_like(x), torch.ones_like(x))


def _without_one(coefficients: Float[Tensor, "g q"]) -> Float[Tensor, "g q+1"]:
    # of the polynomial under the absolute value, whose constant is 0
    return torch.nn.functional.pad(coefficients, (1, 0))


def _polynomial(
    z: Float[Tensor, "*b g c"], coefficients: Float[Tensor, "#g p"], order: int
) -> Float[Tensor, "*b g c"]:
    value = torch.zeros_like(z)
    for p in range(coefficients.shape[1] - 1, order - 1, -1):  # Horner
        value = value * z + math.perm(p, order) * coefficients[:, p, None]
    return value
