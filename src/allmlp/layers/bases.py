"""Every basis by its name."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from allmlp.errors import AllmlpError, check_choice, unknown_name
from allmlp.layers.basis import Basis
from allmlp.layers.bspline import BSplineBasis
from allmlp.layers.bump_basis import BumpBasis, ReLUBumpBasis
from allmlp.layers.global_basis import FourierBasis, PolynomialBasis

__all__ = ["BASES", "make_basis", "option_names"]

BASES: dict[str, Callable[..., Basis]] = {
    "bspline": BSplineBasis,  # k=1 is the linear spline
    "rbf": partial(BumpBasis, bump="gaussian"),
    "switch": partial(BumpBasis, bump="switch"),
    "mexican_hat": partial(BumpBasis, bump="mexican_hat"),
    "morlet": partial(BumpBasis, bump="morlet"),
    "dog": partial(BumpBasis, bump="dog"),
    "relu": ReLUBumpBasis,
    "chebyshev": partial(PolynomialBasis, family="chebyshev"),
    "legendre": partial(PolynomialBasis, family="legendre"),
    "jacobi": partial(PolynomialBasis, family="jacobi"),
    "gram": partial(PolynomialBasis, family="gram"),
    "bernstein": partial(PolynomialBasis, family="bernstein"),
    "fourier": FourierBasis,
}


def make_basis(basis: str | Basis, in_features: int, **options: Any) -> Basis:
    """A basis from its name and options, or one that is handed in.

    Args:
        basis: a key of `BASES`, or a finished basis.
        in_features: inputs; a finished basis must have as many.
        **options: of the class that the name stands for.

    Raises:
        AllmlpError: an unknown name or option, options beside a finished basis, or one with another
            number of inputs.

    Example:
        >>> make_basis("bspline", 2, grid=3, k=1).size
        4
    """
    if isinstance(basis, Basis):
        if options:
            raise AllmlpError(
                f"a finished {type(basis).__name__} takes no options, got {sorted(options)}; "
                "give them to the basis itself"
            )
        if basis.in_features != in_features:
            raise AllmlpError(
                f"the layer has in_features={in_features} but its {type(basis).__name__} was built "
                f"for {basis.in_features}; build it with in_features={in_features}"
            )
        return basis
    check_choice("basis", basis, BASES)
    known = option_names(basis)
    for name in options:
        if name not in known:
            raise AllmlpError(unknown_name(f"option of the basis {basis!r}", name, known))
    return BASES[basis](in_features, **options)


def option_names(basis: str) -> list[str]:
    """The options of a basis by its name.

    Example:
        >>> option_names("bspline")
        ['grid', 'k', 'grid_range', 'outside']
    """
    make = BASES[basis]
    fixed = make.keywords if isinstance(make, partial) else {}
    return [n for n in inspect.signature(make).parameters if n not in ("in_features", *fixed)]
