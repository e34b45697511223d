"""Which pure function evaluates which family of basis functions.

Axes: b any leading axes, i inputs, m functions per input.
"""

from collections.abc import Callable

from torch import Tensor

from allmlp.errors import check_choice
from allmlp.ops.bspline import bspline_basis

__all__ = ["EXPANSIONS", "expansion"]

# (x (..., i), *tensors, order=, **constants) -> (..., m, i)
EXPANSIONS: dict[str, Callable[..., Tensor]] = {
    "bspline": bspline_basis,
}


def expansion(kind: str) -> Callable[..., Tensor]:
    """The function that evaluates a family, or any derivative of it.

    Raises:
        AllmlpError: no such family; the nearest is named.
    """
    check_choice("basis", kind, EXPANSIONS)
    return EXPANSIONS[kind]
