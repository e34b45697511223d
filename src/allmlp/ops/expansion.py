"""Families of basis functions by name, in a form that a compiled graph can hold.

Axes: b any leading axes, i inputs, m functions per input.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from jaxtyping import Float
from torch import Tensor

from allmlp.errors import check_choice
from allmlp.ops.activation import gelu, identity, silu
from allmlp.ops.bspline import bspline_basis
from allmlp.ops.fourier import harmonics
from allmlp.ops.polynomial import polynomials
from allmlp.ops.radial import bumps
from allmlp.ops.relu_kan import relu_bumps

__all__ = ["FAMILIES", "Expansion"]

Constant = int | float | str | bool | None


def _alone(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    # an activation as a family of one function
    def family(x: Tensor, *, order: int = 0) -> Tensor:
        return function(x, order=order).unsqueeze(-2)

    return family


# (x (..., i), *tensors, order=, **constants) -> (..., m, i)
FAMILIES: dict[str, Callable[..., Tensor]] = {
    "bspline": bspline_basis,
    "bumps": bumps,
    "fourier": harmonics,
    "gelu": _alone(gelu),
    "identity": _alone(identity),
    "polynomials": polynomials,
    "relu_bumps": relu_bumps,
    "silu": _alone(silu),
}


@dataclass(frozen=True)
class Expansion:
    """A family with its constants: what is left to give is x, tensors and the order.

    Args:
        kind: key of `FAMILIES`.
        constants: keywords of the family's function.
        text: the same in one string, for the graph.

    Raises:
        AllmlpError: no such family; the nearest is named.

    Example:
        >>> text = Expansion.of("bspline", k=3, outside="linear").text; text
        '["bspline", {"k": 3, "outside": "linear"}]'
        >>> Expansion.parse(text).kind
        'bspline'
    """

    kind: str
    constants: Mapping[str, Constant]
    text: str

    @staticmethod
    def of(kind: str, **constants: Constant) -> "Expansion":
        """An expansion from keywords."""
        check_choice("basis", kind, FAMILIES)
        return Expansion(kind, constants, json.dumps([kind, constants]))

    @staticmethod
    @cache
    def parse(text: str) -> "Expansion":
        """The expansion that has this text."""
        kind, constants = json.loads(text)
        return Expansion.of(kind, **constants)

    def __call__(
        self, x: Float[Tensor, "*b i"], *tensors: Tensor, order: int = 0
    ) -> Float[Tensor, "*b m i"]:
        return FAMILIES[self.kind](x, *tensors, order=order, **self.constants)
