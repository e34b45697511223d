"""Names for the functions on a KAN's edges: suggest, choose, fix, and take back.

Paper: Liu et al. 2024, arXiv:2404.19756, §2.5.1.
Reference: KindXiaoming/pykan, `suggest_symbolic`, `auto_symbolic`, `fix_symbolic`.
DIFF: all edges and functions are fitted at once (`curve_fit`); new models come out; the zero is
never chosen (prune edges that do nothing); the trade-off has units, see `Candidate.bits`.
Axes: n samples, i inputs.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.kan.curve_fit import CurveFits, fit_curves, free_parameters
from allmlp.interpret.kan.curves import Edge, active_edges, edge_curves
from allmlp.models.kan import KAN
from allmlp.ops.symbolic import LIBRARY, SymbolicFunction, find_function

__all__ = [
    "PRICE",
    "AutoSymbolic",
    "Candidate",
    "add_function",
    "auto_symbolic",
    "fix_symbolic",
    "suggest_symbolic",
    "unfix",
]

# Bits per unit: a function one unit dearer must leave a quarter of the variance unexplained that
# the other leaves. A spline's small wiggles win factors of two for any further parameter.
PRICE = 2.0
# Unexplained shares of variance below are alike: what a trained spline misses of a function.
_FLOOR = 1e-8


@dataclass(frozen=True)
class Candidate:
    """One function on one edge."""

    edge: Edge
    function: str
    affine: tuple[float, float, float, float]  # a, b, c, d of c f(a x + b) + d
    r2: float  # 1 - unexplained over total variance of the edge; no scale in it
    residual: float  # root mean square, in units of the edge
    complexity: int  # of the function (pykan's table) and its free numbers among a, b, c, d
    bits: float  # price * complexity + log2(1 - r2 + 1e-8): the smallest is chosen

    def bits_at(self, price: float) -> float:
        """`bits`, had this been the price."""
        return _bits(self.complexity, self.r2, price)


@dataclass(frozen=True, eq=False)
class AutoSymbolic:
    """What was chosen for every edge, and the network with it."""

    model: KAN  # as it was, after a dry run
    chosen: tuple[Candidate, ...]  # of every edge that was numeric, fixed or not
    left: tuple[Edge, ...]  # edges that no function fits well enough
    candidates: tuple[tuple[Candidate, ...], ...]  # for every edge of `chosen`, by bits


def suggest_symbolic(
    model: KAN,
    layer: int,
    input: int,
    output: int,
    x: Float[Tensor, "n i"],
    *,
    functions: Sequence[str] | None = None,
    price: float = PRICE,
) -> list[Candidate]:
    """Every function that fits an edge at all, the best trade-off first.

    Args:
        model: the network.
        layer: of the edge.
        input: it comes from.
        output: sum it leads to (of the subnodes, where nodes multiply).
        x: inputs of the network; the edge is sampled where they lead.
        functions: names to try; None tries the library and the network's own, but for `0`.
        price: bits per unit of complexity.

    Raises:
        AllmlpError: no such edge, data it cannot be sampled on, or an unknown function.

    Example:
        >>> import torch
        >>> model = KAN([1, 1]).set_symbolic({(0, 0, 0): ("sin", (2.0, 0.5, 3.0, 1.0))})
        >>> names = ["x", "sin", "exp"]
        >>> suggest_symbolic(model, 0, 0, 0, torch.rand(100, 1), functions=names)[0].function
        'sin'
    """
    return _candidates(model, x, [(layer, input, output)], functions, price)[0]


def auto_symbolic(
    model: KAN,
    x: Float[Tensor, "n i"],
    *,
    functions: Sequence[str] | None = None,
    price: float = PRICE,
    r2_threshold: float = 0.0,
    dry_run: bool = False,
) -> AutoSymbolic:
    """The best trade-off for every edge that is still numeric.

    Each edge is judged by its own curve; train the network afterwards, and `symbolic_formula`
    checks the outcome as a whole.

    Args:
        model: the network.
        x: inputs of the network.
        functions: names to try; None tries the library and the network's own, but for `0`.
        price: bits per unit of complexity.
        r2_threshold: edges whose choice explains less of their variance stay numeric.
        dry_run: choose only.

    Raises:
        AllmlpError: data that the edges cannot be sampled on, or an unknown function.
    """
    edges = active_edges(model, "numeric")
    ranked = _candidates(model, x, edges, functions, price)
    chosen = [found[0] for found in ranked if found]
    good = [c for c in chosen if c.r2 >= r2_threshold]
    fitted = {c.edge for c in good}
    fixed = {c.edge: (c.function, c.affine) for c in good}
    return AutoSymbolic(
        model if dry_run else model.set_symbolic(fixed),
        tuple(chosen),
        tuple(edge for edge in edges if edge not in fitted),
        tuple(tuple(found) for found in ranked if found),
    )


def fix_symbolic(
    model: KAN,
    layer: int,
    input: int,
    output: int,
    function: str | SymbolicFunction,
    x: Float[Tensor, "n i"] | None = None,
    *,
    affine: Sequence[float] | None = None,
) -> KAN:
    """The network with one edge as a formula, fitted to what the edge was.

    Args:
        model: the network; it stays as it is.
        layer: of the edge.
        input: it comes from.
        output: sum it leads to.
        function: a name, or a function of one's own.
        x: inputs of the network, to fit (a, b, c, d) on.
        affine: (a, b, c, d) instead of a fit.

    Raises:
        AllmlpError: no such edge, an unknown function, neither x nor affine, or a function that
            is not defined wherever the edge reads.
    """
    if isinstance(function, SymbolicFunction):
        model = add_function(model, function)
        function = function.name
    edge = (layer, input, output)
    if affine is None:
        if x is None:
            raise AllmlpError("fix_symbolic needs x to fit a, b, c, d on, or affine=(a, b, c, d)")
        found = _candidates(model, x, [edge], [function], PRICE)[0]
        if not found:
            raise AllmlpError(
                f"no c {function}(a x + b) + d is defined on all that edge {edge} reads; choose "
                "another function"
            )
        affine = found[0].affine
    return model.set_symbolic({edge: (function, tuple(affine))})


def unfix(model: KAN, layer: int, input: int, output: int) -> KAN:
    """The network with one edge numeric again, with the spline it had before it was fixed.

    Raises:
        AllmlpError: the edge is no formula.
    """
    edge = (layer, input, output)
    if edge not in active_edges(model, "symbolic"):
        raise AllmlpError(
            f"edge {edge} (layer, input, sum) is no formula, so there is nothing back"
        )
    return model.set_symbolic({edge: None})


def add_function(model: KAN, function: SymbolicFunction) -> KAN:
    """The network with one more function that edges may be named after.

    Raises:
        AllmlpError: the network or the library has one of that name.
    """
    if function.name in LIBRARY or function.name in {known.name for known in model.functions}:
        if function in model.functions:
            return model
        raise AllmlpError(f"there is a function {function.name!r} already; choose another name")
    return model.set_symbolic({}, [function])


def _candidates(
    model: KAN,
    x: Tensor,
    edges: list[Edge],
    names: Sequence[str] | None,
    price: float,
) -> list[list[Candidate]]:
    """For every edge, what fits at all, by bits."""
    functions = _functions(names, model.functions)
    curves = edge_curves(model, x, edges)
    fits = fit_curves(curves.x, curves.y, functions)
    return [_ranked(edge, number, fits, functions, price) for number, edge in enumerate(edges)]


def _functions(
    names: Sequence[str] | None, own: Iterable[SymbolicFunction]
) -> list[SymbolicFunction]:
    if names is None:
        return [f for f in (*LIBRARY.values(), *own) if f.name != "0"]
    if not names:
        raise AllmlpError("choosing needs at least one function, got none; None tries all")
    return [find_function(name, own) for name in names]


def _ranked(
    edge: Edge, number: int, fits: CurveFits, functions: list[SymbolicFunction], price: float
) -> list[Candidate]:
    found = []
    for place, function in enumerate(functions):
        r2 = float(fits.r2[number, place])
        if not math.isfinite(r2):
            continue
        a, b, c, d = fits.affine[number, place].tolist()
        complexity = function.complexity + _free(function)
        found.append(
            Candidate(
                edge,
                function.name,
                (a, b, c, d),
                r2,
                float(fits.residual[number, place]),
                complexity,
                _bits(complexity, r2, price),
            )
        )
    return sorted(found, key=lambda candidate: candidate.bits)


def _bits(complexity: int, r2: float, price: float) -> float:
    return price * complexity + math.log2(max(1 - r2, 0) + _FLOOR)


_free = cache(free_parameters)
