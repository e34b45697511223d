"""A known formula as a KAN whose edges are its functions: to start from, and to compare with.

Reference: KindXiaoming/pykan, `kanpiler` (KAN 2.0, arXiv:2408.10205, §3.3).
DIFF: any number of outputs, products of any arity, shared subexpressions once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from allmlp.errors import AllmlpError
from allmlp.interpret.kan.curves import layers_of
from allmlp.models.kan import KAN

__all__ = ["from_formula"]

# sympy's names, where they differ from ours
_FUNCTIONS = {
    "Abs": "abs",
    "acos": "arccos",
    "asin": "arcsin",
    "atan": "arctan",
    "atanh": "arctanh",
    "cos": "cos",
    "exp": "exp",
    "log": "log",
    "sign": "sgn",
    "sin": "sin",
    "tan": "tan",
    "tanh": "tanh",
}
_POWERS = {
    **{str(n): f"x^{n}" for n in range(2, 6)},
    "-1": "1/x",
    **{str(-n): f"1/x^{n}" for n in range(2, 6)},
    "1/2": "sqrt",
    "3/2": "x^1.5",
    "-1/2": "1/sqrt",
}


@dataclass(frozen=True)
class _Term:
    """c f(a v + b), with v a node of the layer below."""

    function: str
    a: float
    b: float
    c: float
    node: Any


def from_formula(expressions: Any, symbols: Sequence[Any]) -> KAN:
    """The network, in float64, that computes a formula exactly.

    Sums become nodes, functions edges, products product nodes; values that skip a layer pass it on
    edges named `x`. Splines are there, masked, on one interval: `unfix` and `refine` bring them in.

    Args:
        expressions: of sympy, or texts that it reads; one for every output.
        symbols: the inputs, in the order of the columns.

    Raises:
        AllmlpError: other symbols, or a function or power that the library does not have.

    Example:
        >>> model = from_formula("exp(sin(pi*x) + y**2)", ["x", "y"])
        >>> model.config.widths, len(model.config.symbolic)
        ((2, 1, 1), 3)
    """
    import sympy

    inputs = [sympy.Symbol(str(symbol)) for symbol in symbols]
    known = {str(symbol): symbol for symbol in inputs}
    listed = expressions if isinstance(expressions, list | tuple) else [expressions]
    outputs = []
    for expression in listed:
        parsed = sympy.sympify(expression, locals=known)
        # whatever was assumed of a symbol elsewhere
        parsed = parsed.xreplace({s: known.get(str(s), s) for s in parsed.free_symbols})
        # x**0.5 is sqrt(x), and x**2.0 is x**2
        parsed = parsed.replace(
            lambda e: e.is_Pow and e.exp.is_Float,
            lambda e: e.base ** sympy.nsimplify(e.exp, rational=True),
        )
        unknown = sorted(map(str, parsed.free_symbols - set(inputs)))
        if unknown:
            raise AllmlpError(f"the formula has {', '.join(unknown)}, which symbols do not list")
        outputs.append(parsed)
    if not outputs or not inputs:
        raise AllmlpError("a network needs at least one formula and one symbol")
    return _Compiler(inputs).build(outputs)


class _Compiler:
    def __init__(self, inputs: list[Any]):
        self.inputs = inputs

    def build(self, outputs: list[Any]) -> KAN:
        # sums come first in a layer, so products do not end in the last one; no output is an input
        depth = max(1, *(self.level(e) + bool(e.is_Mul) for e in outputs))
        layers = self.layers(outputs, depth)
        widths: list[Any] = [len(self.inputs)]
        arities: list[list[int]] = [[]]
        edges: dict[tuple[int, int, int], tuple[str, tuple[float, ...]]] = {}
        for level in range(1, depth + 1):
            products = [e for e in layers[level] if self.multiplies(e, level)]
            sums = len(layers[level]) - len(products)
            widths.append([sums, len(products)] if products else sums)
            arities.append([len(self.factors(e)) for e in products])
            for subnode, (terms, constant) in enumerate(self.subnodes(layers[level], level)):
                for number, term in enumerate(terms):
                    place = layers[level - 1].index(term.node)
                    d = 0.0 if number else constant
                    affine = (term.a, term.b, term.c, d)
                    edges[level - 1, place, subnode] = (term.function, affine)
        # weights are drawn and never used: from a copy of the caller's random state
        with torch.random.fork_rng(devices=[]):
            plain = KAN(widths, grid=1, base=None, mask=True, mult_arity=arities).double()
            model = plain.set_symbolic(edges)
        for layer in layers_of(model):
            assert layer.numeric.mask is not None
            layer.numeric.mask.zero_()
        return model

    def layers(self, outputs: list[Any], depth: int) -> list[list[Any]]:
        """The nodes of every level, products last; repeated outputs stay repeated."""
        layers: list[list[Any]] = [[] for _ in range(depth)] + [outputs]
        for level in range(depth, 0, -1):
            needed: dict[Any, None] = {}
            for terms, _ in self.subnodes(layers[level], level):
                needed |= dict.fromkeys(term.node for term in terms)
            if level == 1:
                layers[0] = self.inputs
                continue
            below = list(needed)
            layers[level - 1] = sorted(below, key=lambda e: self.multiplies(e, level - 1))
        return layers

    def multiplies(self, node: Any, level: int) -> bool:
        return bool(node.is_Mul) and self.level(node) == level

    def subnodes(self, nodes: list[Any], level: int) -> list[tuple[list[_Term], float]]:
        """Terms and constant of every sum over edges, in the order of the layer."""
        found = []
        for node in nodes:
            if self.level(node) < level:  # passed on
                found.append(([_Term("x", 1.0, 0.0, 1.0, node)], 0.0))
                continue
            factors = self.factors(node) if self.multiplies(node, level) else [node]
            found.extend(self.terms(factor) for factor in factors)
        return [self.with_an_edge(terms, constant) for terms, constant in found]

    def with_an_edge(self, terms: list[_Term], constant: float) -> tuple[list[_Term], float]:
        # a constant stands on an edge as well
        return (terms or [_Term("0", 1.0, 0.0, 1.0, self.inputs[0])]), constant

    def level(self, node: Any) -> int:
        """Layers below, at least."""
        if node in self.inputs:
            return 0
        parts = self.factors(node) if node.is_Mul else [node]
        inner = [term.node for part in parts for term in self.terms(part)[0]]
        return 1 + max((self.level(n) for n in inner), default=0)

    def factors(self, node: Any) -> list[Any]:
        return list(node.args)

    def terms(self, expression: Any) -> tuple[list[_Term], float]:
        """A sum over edges; no two of them from one node."""
        import sympy

        constant, rest = expression.as_independent(*self.inputs, as_Add=True)
        found: list[_Term] = []
        for part in sympy.Add.make_args(rest):
            if part == 0:
                continue
            c, function = part.as_independent(*self.inputs, as_Add=False)
            term = self.term(float(c), function)
            if any(term.node == other.node for other in found):
                term = _Term("x", 1.0, 0.0, float(c), function)
            found.append(term)
        return found, float(constant)

    def term(self, c: float, function: Any) -> _Term:
        if function in self.inputs or function.is_Mul or function.is_Add:
            return _Term("x", 1.0, 0.0, c, function)
        known = type(function).__name__
        name = _POWERS.get(str(function.exp)) if function.is_Pow else _FUNCTIONS.get(known)
        if name is None:
            raise AllmlpError(
                f"the library has no edge for {function}; write it in functions of "
                "allmlp.ops.symbolic.LIBRARY"
            )
        b, rest = function.args[0].as_independent(*self.inputs, as_Add=True)
        a, node = rest.as_independent(*self.inputs, as_Add=False)
        if node.is_Add:
            a, b, node = 1, 0, function.args[0]
        return _Term(name, float(a), float(b), c, node)
