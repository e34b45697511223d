"""The law a KAN has become: its formula, checked against the network.

Paper: Liu et al. 2024, arXiv:2404.19756, §2.5.1.
Reference: KindXiaoming/pykan, `symbolic_formula`.
DIFF: verified on data before anyone sees it; product nodes of any arity (pykan's index takes every
product for one of two); rounding is asked for, and verified as well.
Axes: n samples, i inputs, o outputs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.kan.curves import active_edges, layers_of
from allmlp.layers.kan_layer import KANLayer
from allmlp.models.kan import KAN
from allmlp.ops.symbolic import find_function

__all__ = ["Formula", "Scaling", "symbolic_formula"]

Scaling = tuple[Sequence[float] | Tensor, Sequence[float] | Tensor]  # means and deviations
# relative to the outputs' deviation: what rounding does to a composition of a few functions
_TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-3}


@dataclass(frozen=True, eq=False)
class Formula:
    """One sympy expression for every output, and how far it is from the network."""

    expressions: tuple[Any, ...]
    symbols: tuple[Any, ...]  # of the columns of the data, x1 … xn unless named
    deviation: float  # largest, of network and formula, over the outputs' deviation, on the data
    held_out_deviation: float | None

    def __str__(self) -> str:
        return "\n".join(map(str, self.expressions))

    def latex(self) -> list[str]:
        """Every expression as LaTeX."""
        import sympy

        return [sympy.latex(expression) for expression in self.expressions]

    def rounded(self, digits: int) -> tuple[Any, ...]:
        """The expressions with numbers of so many significant digits; not verified."""
        return tuple(_rounded(expression, digits) for expression in self.expressions)

    @property
    def complexity(self) -> int:
        """Operations, numbers and symbols of all expressions together: nodes of their trees."""
        import sympy

        return sum(sum(1 for _ in sympy.preorder_traversal(e)) for e in self.expressions)

    @cached_property
    def _function(self) -> Callable[..., Any]:
        import sympy

        return sympy.lambdify(self.symbols, list(self.expressions), modules=["scipy", "numpy"])

    def __call__(self, x: Any) -> np.ndarray:
        """Values (n, o) of data (n, columns), in float64, without torch; NaN where none is real."""
        columns = np.asarray(x, dtype=np.float64)
        if columns.ndim != 2 or columns.shape[1] != len(self.symbols):
            raise AllmlpError(
                f"the formula takes data (n, {len(self.symbols)}), got shape {columns.shape}"
            )
        values = self._function(*columns.T)
        return np.stack([np.broadcast_to(_real(v), len(columns)) for v in values], axis=1)


def _real(values: Any) -> np.ndarray:
    # sympy takes the logarithm of a negative number, which a constant column leaves behind
    found = np.asarray(values)
    if np.iscomplexobj(found):
        found = np.where(found.imag == 0, found.real, np.nan)
    return found.astype(np.float64)


def symbolic_formula(
    model: KAN,
    x: Float[Tensor, "n c"],
    *,
    held_out: Float[Tensor, "m c"] | None = None,
    names: Sequence[str] | None = None,
    inputs: Scaling | None = None,
    outputs: Scaling | None = None,
    digits: int | None = None,
    tolerance: float | None = None,
) -> Formula:
    """The formula of a network whose active edges are all symbolic.

    Args:
        model: the network.
        x: inputs of the network on which formula and network are compared.
        held_out: more of them, which nothing was fitted on.
        names: of the columns.
        inputs: means and deviations by which the data were scaled for the network; the formula is
            then in the data's own units. x and held_out are given as the network takes them.
        outputs: means and deviations that the network's targets were scaled by.
        digits: significant digits of its numbers; None keeps them all.
        tolerance: allowed largest deviation from the network over the outputs' own deviation; by
            default 1e-7 in float64, 1e-3 in float32.

    Raises:
        AllmlpError: edges that are still numeric, functions without a formula, or a formula that
            the network does not agree with.

    Example:
        >>> model = KAN([2, 1]).set_symbolic({
        ...     (0, 0, 0): ("sin", (3.0, 0.0, 2.0, 0.0)), (0, 1, 0): ("x^2", (1.0, 0.5, 1.0, 0.0))})
        >>> print(symbolic_formula(model, torch.rand(50, 2), digits=3))
        (x2 + 0.5)**2 + 2*sin(3*x1)
    """
    import sympy

    left = active_edges(model, "numeric")
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        raise AllmlpError(
            f"a formula needs every edge to be one, but {', '.join(map(str, left[:3]))}{more} "
            "(layer, input, sum) still carry splines; prune them, or name them by auto_symbolic or "
            "fix_symbolic"
        )
    names = names or [f"x{n + 1}" for n in range(model.in_features)]
    if len(names) != model.in_features:
        raise AllmlpError(f"data have {model.in_features} columns, got {len(names)} names")
    symbols = tuple(sympy.Symbol(name, real=True) for name in names)
    columns: list[Any] = list(symbols)
    if inputs is not None:
        pairs = zip(symbols, *_numbers(inputs, model.in_features), strict=True)
        columns = [(symbol - mean) / std for symbol, mean, std in pairs]
    if model.middle is not None and model.unit is not None:  # the network's own scaling
        pairs = zip(columns, model.middle.tolist(), model.unit.tolist(), strict=True)
        columns = [(column - _number(m)) / _number(u) for column, m, u in pairs]
    read = range(model.in_features) if model.inputs is None else model.inputs.tolist()
    values = [columns[n] for n in read]
    for layer in layers_of(model):
        values = _nodes(layer, _sums(layer, values, model))
    if outputs is not None:
        scale = zip(values, *_numbers(outputs, model.out_features), strict=True)
        values = [value * std + mean for value, mean, std in scale]
    if digits is not None:
        values = [_rounded(value, digits) for value in values]
    dtype = next(model.parameters()).dtype
    allowed = tolerance if tolerance is not None else _TOLERANCE.get(dtype, 1e-3)
    formula = Formula(tuple(values), symbols, 0.0, None)
    found = _deviation(formula, model, x, inputs, outputs, "the data", allowed)
    held = None
    if held_out is not None:
        held = _deviation(formula, model, held_out, inputs, outputs, "held-out data", allowed)
    return Formula(formula.expressions, symbols, found, held)


def _sums(layer: KANLayer, values: list[Any], model: KAN) -> list[Any]:
    import sympy

    bias = layer.numeric.bias
    sums: list[Any] = [sympy.Integer(0)] * layer.numeric.out_features
    if bias is not None:
        sums = [_number(n) for n in bias.tolist()]
    if layer.symbolic is None:
        return sums
    affine = layer.symbolic.affine.detach().double().tolist()
    for edge, numbers in zip(layer.symbolic.edges, affine, strict=True):
        a, b, c, d = map(_number, numbers)
        function = find_function(edge.function, model.functions)
        sums[edge.output] += c * function.expression(a * values[edge.input] + b) + d
    return sums


def _nodes(layer: KANLayer, sums: list[Any]) -> list[Any]:
    import sympy

    own = layer.nodes

    def moved(values: list[Any], scale: Tensor | None, bias: Tensor | None) -> list[Any]:
        if scale is None or bias is None:
            return values
        pairs = zip(values, scale.tolist(), bias.tolist(), strict=True)
        return [value * _number(s) + _number(b) for value, s, b in pairs]

    sums = moved(sums, own.subnode_scale, own.subnode_bias)
    nodes = [sympy.Mul(*(sums[s] for s in own.subnodes_of(node))) for node in range(own.num_nodes)]
    return moved(nodes, own.node_scale, own.node_bias)


def _number(value: float) -> Any:
    """A number, as an integer where it is one, so that 1.0*x reads x."""
    import sympy

    return sympy.Integer(int(value)) if value.is_integer() else sympy.Float(value)


def _rounded(expression: Any, digits: int) -> Any:
    import sympy

    places = {n: sympy.Float(n, digits) for n in expression.atoms(sympy.Float)}
    return expression.xreplace(places)


def _numbers(scaling: Scaling, count: int) -> tuple[list[float], list[float]]:
    means, stds = (torch.as_tensor(part).double().flatten().tolist() for part in scaling)
    if len(means) != count or len(stds) != count or not all(std > 0 for std in stds):
        raise AllmlpError(
            f"scaling is {count} means and {count} positive deviations, got {len(means)} and "
            f"{len(stds)}"
        )
    return means, stds


@torch.no_grad()
def _deviation(
    formula: Formula,
    model: KAN,
    x: Tensor,
    inputs: Scaling | None,
    outputs: Scaling | None,
    name: str,
    allowed: float,
) -> float:
    """Largest difference over the outputs' deviation, worst output.

    Raises:
        AllmlpError: it is above what is allowed, or no number.
    """
    theirs = model(x).double().cpu().numpy()
    raw = x.detach().double().cpu().numpy()
    if inputs is not None:
        means, stds = (np.asarray(part) for part in _numbers(inputs, model.in_features))
        raw = raw * stds + means
    if outputs is not None:
        means, stds = (np.asarray(part) for part in _numbers(outputs, model.out_features))
        theirs = theirs * stds + means
    if len(raw) == 0:
        raise AllmlpError(f"a formula is verified on data, but {name} have no rows")
    with np.errstate(all="ignore"):
        ours = formula(raw)
    size = theirs.std(0)
    scale = np.where(size > 0, size, np.maximum(np.abs(theirs).max(0), 1e-300))
    found = float((np.abs(ours - theirs).max(0) / scale).max())
    if not found <= allowed:  # NaN fails as well
        raise AllmlpError(
            f"the formula must agree with the network to {allowed:g} of the outputs' deviation, "
            f"but on {name} it differs by {found:.2g}: an edge reads outside its function's domain "
            "(SymbolicEdges.out_of_domain_fraction), or digits rounds too much"
        )
    return found
