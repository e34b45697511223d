"""The functions of one variable that an edge may be named after, each with its domain.

Names and complexities are pykan's (Liu et al. 2024, arXiv:2408.10205, and its `SYMBOLIC_LIB`), so
that its files and its users' habits fit.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from allmlp.errors import AllmlpError, check_integers, unknown_name

__all__ = ["ALIASES", "LIBRARY", "SymbolicFunction", "find_function"]


@dataclass(frozen=True, kw_only=True)
class SymbolicFunction:
    """A function with a name, a domain and a formula.

    `function` is applied inside the domain only: `__call__` first moves arguments to the nearest
    point where the value and the derivative are finite. That is the argument itself but for the
    last representable numbers before an end or a pole.

    Args:
        name: what users type.
        function: elementwise, differentiable inside the domain.
        complexity: how much a formula pays for it, in units of pykan's table.
        formula: the function of `x` in sympy's language; None if sympy does not know it.
        low: lower end of the domain.
        high: upper end of the domain.
        closed: whether the ends belong to the domain.
        pole: order n of the pole at zero, as in 1/x^n; 0 for none.

    Raises:
        AllmlpError: no name, a negative complexity or order, or an empty domain.

    Example:
        >>> bessel = SymbolicFunction(name="j0", function=torch.special.bessel_j0, complexity=4,
        ...                           formula="besselj(0, x)")
        >>> bessel.expression("2*t")
        besselj(0, 2*t)
    """

    name: str
    function: Callable[[Tensor], Tensor]
    complexity: int
    formula: str | None = None
    low: float = -torch.inf
    high: float = torch.inf
    closed: bool = True
    pole: int = 0

    def __post_init__(self) -> None:
        if not self.name:
            raise AllmlpError("a symbolic function needs a name, got an empty one")
        check_integers(self.name, minimum=0, complexity=self.complexity, pole=self.pole)
        if not self.low < self.high:
            raise AllmlpError(f"{self.name} needs low < high, got {self.low} and {self.high}")

    def __call__(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The function of the nearest argument it is defined for, with finite derivatives.

        Finite for every finite argument but where the values of `exp` and powers leave the dtype.
        """
        return self.function(self._nearest(x))

    def in_domain(self, x: Float[Tensor, "..."]) -> Bool[Tensor, "..."]:
        """Where the function is defined; NaN and infinities are nowhere."""
        above = x >= self.low if self.closed else x > self.low
        below = x <= self.high if self.closed else x < self.high
        inside = above & below & torch.isfinite(x)
        return inside & (x != 0) if self.pole else inside

    def expression(self, argument: Any) -> Any:
        """The function of a sympy expression (or of a text that sympy reads).

        Raises:
            AllmlpError: the function has no formula.
        """
        import sympy  # half a second, and only formulas need it

        if self.formula is None:
            raise AllmlpError(
                f"{self.name} has no formula; give SymbolicFunction(formula=...) in sympy's words"
            )
        x = sympy.Symbol("x")
        return sympy.sympify(self.formula, locals={"x": x}).subs(x, sympy.sympify(argument))

    def _nearest(self, x: Tensor) -> Tensor:
        limits = torch.finfo(x.dtype)
        if self.pole:
            # as near as the square of the derivative, |x|^-(n+1), stays finite
            nearest = limits.max ** (-0.5 / (self.pole + 1))
            return torch.where(x < 0, x.clamp(max=-nearest), x.clamp(min=nearest))
        low, high = self.low, self.high
        # derivatives may be infinite at an end. Numbers are denser at zero than at one
        if low > -torch.inf:
            low += limits.eps * abs(low) or limits.eps**2
        if high < torch.inf:
            high -= limits.eps * abs(high) or limits.eps**2
        return x.clamp(low, high) if (low, high) != (-torch.inf, torch.inf) else x


def _exp(x: Tensor) -> Tensor:
    # beyond half of the largest exponent a square would overflow
    return x.clamp(max=0.5 * _log_max(x)).exp()


def _log_max(x: Tensor) -> float:
    return float(torch.tensor(torch.finfo(x.dtype).max, dtype=torch.float64).log())


# functions of the module, which pickle finds again
def _to_the(exponent: float | int, x: Tensor) -> Tensor:
    return x**exponent


def _gaussian(x: Tensor) -> Tensor:
    return torch.exp(-x.square())


def _power(n: int) -> SymbolicFunction:
    name, formula, complexity = ("x", "x", 1) if n == 1 else (f"x^{n}", f"x**{n}", {2: 2}.get(n, 3))
    return SymbolicFunction(
        name=name, function=partial(_to_the, n), complexity=complexity, formula=formula
    )


def _inverse_power(n: int) -> SymbolicFunction:
    return SymbolicFunction(
        name="1/x" if n == 1 else f"1/x^{n}",
        function=partial(_to_the, -n),
        complexity=max(n, 2),
        formula=f"1/x**{n}",
        pole=n,
    )


def _entire(
    name: str, function: Callable[[Tensor], Tensor], complexity: int, formula: str | None = None
) -> SymbolicFunction:
    return SymbolicFunction(
        name=name, function=function, complexity=complexity, formula=formula or f"{name}(x)"
    )


_ALL = (
    _entire("0", torch.zeros_like, 0, "0"),
    *(_power(n) for n in range(1, 6)),
    *(_inverse_power(n) for n in range(1, 6)),
    SymbolicFunction(name="sqrt", function=torch.sqrt, complexity=2, formula="sqrt(x)", low=0.0),
    SymbolicFunction(
        name="x^1.5",
        function=partial(_to_the, 1.5),
        complexity=4,
        formula="x**Rational(3, 2)",
        low=0.0,
    ),
    SymbolicFunction(
        name="1/sqrt",
        function=torch.rsqrt,
        complexity=2,
        formula="1/sqrt(x)",
        low=0.0,
        closed=False,
    ),
    _entire("exp", _exp, 2),
    SymbolicFunction(
        name="log", function=torch.log, complexity=2, formula="log(x)", low=0.0, closed=False
    ),
    _entire("abs", torch.abs, 3, "Abs(x)"),
    _entire("sin", torch.sin, 2),
    _entire("cos", torch.cos, 2),
    _entire("tan", torch.tan, 3),  # no floating-point number is a pole of it
    _entire("tanh", torch.tanh, 3),
    _entire("sgn", torch.sign, 3, "sign(x)"),
    SymbolicFunction(
        name="arcsin", function=torch.asin, complexity=4, formula="asin(x)", low=-1.0, high=1.0
    ),
    SymbolicFunction(
        name="arccos", function=torch.acos, complexity=4, formula="acos(x)", low=-1.0, high=1.0
    ),
    _entire("arctan", torch.atan, 4, "atan(x)"),
    SymbolicFunction(
        name="arctanh",
        function=torch.atanh,
        complexity=4,
        formula="atanh(x)",
        low=-1.0,
        high=1.0,
        closed=False,
    ),
    _entire("gaussian", _gaussian, 3, "exp(-x**2)"),
)

LIBRARY: dict[str, SymbolicFunction] = {function.name: function for function in _ALL}

# pykan knows some functions by two names
ALIASES = {"x^0.5": "sqrt", "1/x^0.5": "1/sqrt"}


def find_function(name: str, extra: Iterable[SymbolicFunction] = ()) -> SymbolicFunction:
    """A function by its name.

    Args:
        name: of the library, or of an extra function.
        extra: functions of one's own; they take precedence.

    Raises:
        AllmlpError: nobody has this name; the nearest are listed.

    Example:
        >>> find_function("sin").complexity
        2
    """
    own = {function.name: function for function in extra}
    if name in own:
        return own[name]
    known = LIBRARY | own
    house = ALIASES.get(name, name)
    if house not in known:
        raise AllmlpError(
            unknown_name("symbolic function", name, [*known, *ALIASES])
            + "; one of your own is handed in as functions=[SymbolicFunction(...)]"
        )
    return known[house]
