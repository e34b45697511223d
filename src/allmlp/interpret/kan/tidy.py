"""A formula as people would write it: fewer numbers, fewer digits, and still true on the data.

Axes: n samples, c columns of the data, o outputs.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from allmlp.errors import AllmlpError
from allmlp.interpret.kan.formula import Formula

__all__ = ["tidy"]

_DIGITS = range(1, 8)


def tidy(
    formula: Formula, x: Float[np.ndarray, "n c"], *, tolerance: float = 1e-3
) -> tuple[Any, ...]:
    """Shorter expressions that differ little from a formula's on given data.

    Summands that never matter on the data go, brackets and logarithms are multiplied out where that
    is shorter, and numbers keep as few digits as do. Which of these is done is decided by trying.

    Args:
        formula: as it was verified.
        x: data, in the units of the formula.
        tolerance: allowed largest difference, over the standard deviation of the formula's values.

    Returns:
        Of every expression the shortest one found; the expression itself, if no other will do.

    Raises:
        AllmlpError: no rows, or values of the formula that are not finite.

    Example:
        >>> import sympy
        >>> t = sympy.Symbol("t", real=True)
        >>> long = Formula((2.0000001 * (t + 1e-9) ** 2 + 0.69314 * t,), (t,), 0.0, None)
        >>> tidy(long, np.linspace(1, 2, 50)[:, None])
        (2*t**2 + 0.693*t,)
    """
    if len(x) == 0:
        raise AllmlpError("a formula is tidied by its values on data, got no rows")
    with np.errstate(all="ignore"):
        values = formula(x)
    if not np.isfinite(values).all():
        raise AllmlpError(
            "the formula has values that are not finite on these data; leave them out"
        )
    size = values.std(axis=0)
    allowed = tolerance * np.where(size > 0, size, np.maximum(np.abs(values).max(axis=0), 1e-300))
    return tuple(
        _shortest(e, formula.symbols, x, values[:, n], float(allowed[n]))
        for n, e in enumerate(formula.expressions)
    )


def _shortest(
    expression: Any, symbols: tuple[Any, ...], x: np.ndarray, values: np.ndarray, allowed: float
) -> Any:
    def fits(candidate: Any) -> bool:
        with np.errstate(all="ignore"):
            found = _values(candidate, symbols, x)
        return bool(np.abs(found - values).max() <= allowed)

    best = expression
    for _ in range(2):  # what is gone may have stood between a logarithm and its product
        for form in _forms(best):
            for small in (1e-6, 1e-4, 1e-3):
                lean = _without_small(form, symbols, x, small)
                if not fits(lean):
                    break
                if _length(lean) < _length(best):
                    best = lean
    return next((r for r in (_rounded(best, d) for d in _DIGITS) if fits(r)), best)


def _forms(expression: Any) -> Iterator[Any]:
    """The same function, written otherwise."""
    import sympy

    yield expression
    yield sympy.expand(expression)
    yield sympy.expand(sympy.expand_log(expression, force=True))
    yield sympy.expand(sympy.expand_power_base(expression, force=True))


def _without_small(expression: Any, symbols: tuple[Any, ...], x: np.ndarray, small: float) -> Any:
    """Without summands that are always tiny beside the largest one of their sum."""
    if not expression.args:
        return expression
    parts = [_without_small(part, symbols, x, small) for part in expression.args]
    if expression.is_Add:
        with np.errstate(all="ignore"):
            sizes = [np.abs(_values(part, symbols, x)).max() for part in parts]
        kept = [p for p, size in zip(parts, sizes, strict=True) if not size < small * max(sizes)]
        parts = kept
    return expression.func(*parts)


def _rounded(expression: Any, digits: int) -> Any:
    """Numbers of so many significant digits; whole ones as integers, and halves as roots."""
    import sympy

    def short(number: Any) -> Any:
        value = float(f"{float(number):.{digits}g}")
        return sympy.Integer(int(value)) if value == int(value) else sympy.Float(value, digits)

    found = expression.xreplace({n: short(n) for n in expression.atoms(sympy.Float)})
    return found.replace(
        lambda e: e.is_Pow and e.exp.is_Float and float(2 * e.exp).is_integer(),
        lambda e: sympy.Pow(e.base, sympy.Rational(int(2 * e.exp), 2)),
    )


def _values(expression: Any, symbols: tuple[Any, ...], x: np.ndarray) -> np.ndarray:
    import sympy

    function: Callable[..., Any] = sympy.lambdify(symbols, expression, modules=["scipy", "numpy"])
    found = np.asarray(function(*x.T))
    # outside its domain a rewritten formula may be complex
    real = found.real if np.isrealobj(found) or not found.imag.any() else np.full(len(x), np.nan)
    return np.broadcast_to(np.asarray(real, dtype=np.float64), len(x))


def _length(expression: Any) -> int:
    import sympy

    return sum(1 for _ in sympy.preorder_traversal(expression))
