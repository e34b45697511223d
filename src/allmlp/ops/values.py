"""Values of a basis that keep x alone for the backward pass.

Autograd would keep what the formula computes on its way, some ten tensors of the size of x for a
cubic spline. The derivative is known in closed form, so x is enough.

Axes: b any leading axes, i inputs, m functions per input.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.ops.expansion import Expansion
from allmlp.ops.transforms import plain_needed

__all__ = ["basis_values"]


def basis_values(
    expansion: Expansion, x: Float[Tensor, "*b i"], *tensors: Tensor, order: int = 0
) -> Float[Tensor, "*b m i"]:
    """The `order`-th derivative of every function, differentiable in x as often as wanted.

    Args:
        expansion: the family of functions.
        x: where to evaluate.
        *tensors: what the family takes after x; not differentiated.
        order: of the derivative; 0 gives values.
    """
    # in a compiled graph the compiler decides what to keep
    if torch.compiler.is_compiling() or plain_needed():
        return expansion(x, *tensors, order=order)
    return _Values.apply(expansion, order, x, *tensors)


class _Values(torch.autograd.Function):
    @staticmethod
    def forward(expansion: Expansion, order: int, x: Tensor, *tensors: Tensor) -> Tensor:
        return expansion(x, *tensors, order=order)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.expansion, ctx.order = inputs[:2]
        ctx.save_for_backward(*inputs[2:])

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
        x, *tensors = ctx.saved_tensors
        slopes = basis_values(ctx.expansion, x, *tensors, order=ctx.order + 1)
        return (None, None, (cotangent * slopes).sum(-2)) + (None,) * len(tensors)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[Any, ...],
        expansion: Expansion,
        order: int,
        *arguments: Tensor,
    ) -> tuple[Tensor, int]:
        items = [
            a if d is None else a.movedim(d, 0) for a, d in zip(arguments, in_dims[2:], strict=True)
        ]
        if all(d is None for d in in_dims[3:]):
            return _Values.apply(expansion, order, *items), 0
        rows = [
            [a if d is None else a[n] for a, d in zip(items, in_dims[2:], strict=True)]
            for n in range(info.batch_size)
        ]
        return torch.stack([_Values.apply(expansion, order, *row) for row in rows]), 0
