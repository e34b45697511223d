"""What functions on a grid do beyond its ends.

Axes: b any leading axes, i inputs, m functions per input.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError

__all__ = ["OUTSIDE", "check_inside", "continued"]

OUTSIDE = ("linear", "clamp", "zero", "error")


def continued(
    functions: Callable[[Tensor, int], Tensor],
    x: Float[Tensor, "*b i"],
    low: Float[Tensor, " i"],
    high: Float[Tensor, " i"],
    outside: str,
    order: int,
) -> Float[Tensor, "*b m i"]:
    """The `order`-th derivative of smooth functions, continued beyond [low, high].

    Args:
        functions: (x, order) -> (..., m, i), defined everywhere.
        x: where to evaluate.
        low: where the grid of each input begins.
        high: where it ends.
        outside: `linear` goes on along the tangents at the ends, `clamp` keeps the values there,
            `zero` leaves the functions to themselves (bumps die out, hence the name), `error`
            raises.
        order: of the derivative; 0 gives values.

    Raises:
        AllmlpError: `outside="error"` and an x beyond the grid.
    """
    if outside == "error":
        check_inside(x, low, high)
    if outside in ("zero", "error"):
        return functions(x, order)
    edge = torch.minimum(torch.maximum(x, low), high)
    values = functions(edge, order)
    if outside == "linear" and order == 0:
        return values + (x - edge).unsqueeze(-2) * functions(edge, 1)
    if order > (1 if outside == "linear" else 0):
        beyond = ((x < low) | (x > high)).unsqueeze(-2)
        return torch.where(beyond, torch.zeros_like(values), values)
    return values


def check_inside(
    x: Float[Tensor, "*b i"], low: Float[Tensor, " i"], high: Float[Tensor, " i"]
) -> None:
    """Require every x in [low, high], where values can be asked for.

    They cannot on the meta device, in an exported graph and under a transform of plain operations
    (forward mode, or any inside a compiled function): nothing is checked there.

    Raises:
        AllmlpError: with the share of values outside; a NaN counts as outside.
    """
    transformed = torch._C._functorch.get_dynamic_layer_stack_depth() > 0
    if x.is_meta or transformed or torch.compiler.is_compiling():
        return
    beyond = ~((x >= low) & (x <= high))
    if bool(beyond.any()):
        raise AllmlpError(
            f"outside='error' needs inputs within the grid, but {beyond.double().mean():.2%} of "
            f"the {x.numel()} values are outside of it (or NaN); scale the inputs, widen "
            "grid_range, or choose outside='linear'"
        )
