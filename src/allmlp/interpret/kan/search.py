"""Functions for all edges together, judged by the whole network's error on the targets.

An edge's own curve tells functions apart only as far as its spline is right: a sine near its top
and a parabola differ by less than most splines miss. Here every combination that is tried gets all
its constants fitted together, to the targets, and is judged by what is then left.

Papers: Liu et al. 2024, arXiv:2404.19756, §2.5.1 (the task); Schwarz 1978 (the price of a number);
Udrescu et al. 2020, AI Feynman 2.0, arXiv:2006.10782 (error against complexity).
Axes: n samples, o outputs.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError, check_integers
from allmlp.interpret.kan.curve_fit import simplest_affine
from allmlp.interpret.kan.curves import Edge, active_edges, edge_curves, layers_of
from allmlp.interpret.kan.symbolic import PRICE, Candidate, auto_symbolic
from allmlp.models.kan import KAN
from allmlp.ops.symbolic import find_function
from allmlp.training import levenberg_marquardt

__all__ = ["Law", "SymbolicSearch", "search_symbolic"]

# shares of the targets' deviation: errors below are rounding, and alike
_FLOOR = {torch.float64: 1e-9, torch.float32: 1e-5}
_NEAR = 1e-8  # of a whole number, to be tried as one
# times the price of complexity, from generous to nearly linear: what the search starts from
_PRICES = (1.0, 0.25, 4.0, 16.0)
# trying ends where ten steps gain less than a tenth of a bit over a thousand numbers
_TRY, _KEEP = (40, 1e-4), (200, 1e-9)  # steps, tolerance

Functions = tuple[tuple[Edge, str], ...]


@dataclass(frozen=True, eq=False)
class Law:
    """A function for every edge, with constants fitted to the targets."""

    model: KAN
    functions: Functions
    error: float  # root mean square, weighted, over the targets' deviation
    complexity: int  # of the functions (pykan's table) and of their free numbers
    bits: float  # to write down functions, numbers and what they leave: the smallest is best


@dataclass(frozen=True, eq=False)
class SymbolicSearch:
    """What a search has found."""

    best: Law
    front: tuple[Law, ...]  # no other is as simple and better; the simplest first
    tried: int  # combinations whose constants were fitted


def search_symbolic(
    model: KAN,
    x: Float[Tensor, "n c"],
    y: Float[Tensor, "n o"],
    *,
    weights: Float[Tensor, " n"] | None = None,
    functions: Sequence[str] | None = None,
    breadth: int = 5,
    sweeps: int = 3,
    most: int = 1000,
    price: float = PRICE,
) -> SymbolicSearch:
    """Name all numeric edges so that the network as a whole says most with least.

        bits = n o / 2 log2(mse) + price * complexity + log2(n o) / 2 * numbers

    mse is over the targets' variance, with a floor where rounding begins; the complexity of an edge
    is its function's and how many of its constants are free. The search starts from the best
    function of every curve (`auto_symbolic`), at several prices, then lets every edge in turn try
    its next best ones, and none at all, as long as that pays.

    Args:
        model: trained; it stays as it is. Formulas that it has stay, their constants are fitted.
        x: inputs.
        y: what the network was trained to give for them; of classes, the scores it gives.
        weights: how much each sample counts, relative to their mean.
        functions: names to try; None tries the library and the network's own.
        breadth: functions tried on each edge.
        sweeps: rounds over all edges, at most.
        most: combinations tried, at most.
        price: bits per unit of complexity.

    Raises:
        AllmlpError: nothing to name; an edge on which no function is defined; data that do not fit.

    Example:
        >>> from allmlp.training import fit_kan
        >>> x = torch.linspace(-1, 1, 200, dtype=torch.float64)[:, None]
        >>> y = torch.exp(2 * x)
        >>> trained = fit_kan(KAN([1, 1]), x, y, grids=(10,), steps=10, dtype=torch.float64)
        >>> found = search_symbolic(trained.model, x, y, functions=["x", "x^2", "sin", "exp"])
        >>> found.best.functions, found.best.error < 1e-9
        ((((0, 0, 0), 'exp'),), True)
    """
    check_integers("search_symbolic", minimum=1, breadth=breadth, most=most)
    check_integers("search_symbolic", minimum=0, sweeps=sweeps)
    dry = auto_symbolic(model, x, functions=functions, price=price, dry_run=True)
    if dry.left:
        raise AllmlpError(
            f"no function is defined on all that edge {dry.left[0]} (layer, input, sum) reads; "
            "prune it, or add one by add_function"
        )
    if not dry.candidates:
        raise AllmlpError(
            "every edge of this network is a formula already, or pruned; there is none to name"
        )
    search = _Search(model, x, y, weights, price)
    starts = [
        [min(own, key=lambda c: c.bits_at(price * p)) for own in dry.candidates] for p in _PRICES
    ]
    options = [
        {c.function: c for c in [*ranked[:breadth], *begun, _nothing(ranked[0])]}
        for ranked, *begun in zip(dry.candidates, *starts, strict=True)
    ]
    best = min((search.law(start) for start in starts[:most]), key=lambda law: law.bits)
    for _ in range(sweeps):
        before = best
        for place, own in enumerate(options):
            for name in own:
                names = [function for _, function in best.functions]
                names[place] = name
                if len(search.found) < most:
                    law = search.law([o[n] for o, n in zip(options, names, strict=True)])
                    best = min(best, law, key=lambda law: law.bits)
        if best is before:
            break
    front = [search.polished(law) for law in _front(search.laws())]
    return SymbolicSearch(
        min(front, key=lambda law: law.bits), tuple(_front(front)), len(search.laws())
    )


class _Search:
    """Combinations of functions, each fitted once."""

    def __init__(self, model: KAN, x: Tensor, y: Tensor, weights: Tensor | None, price: float):
        example = next(model.parameters())
        self.model, self.price = model, price
        self.x, self.y = x.to(example), y.to(example)
        given = self.x.new_ones(len(self.x)) if weights is None else weights.to(example)
        self.weights = (given / given.mean())[:, None]
        self.lean = _without_splines(model)
        self.size = self._rms(self.y - (self.weights * self.y).mean(0)) or 1.0
        self.floor = _FLOOR.get(example.dtype, 1e-5)
        self.found: dict[Functions, Law] = {}

    def laws(self) -> list[Law]:
        return list(self.found.values())

    def law(self, chosen: Sequence[Candidate]) -> Law:
        key = tuple((c.edge, c.function) for c in chosen)
        if key not in self.found:
            named = self.lean.set_symbolic({c.edge: (c.function, c.affine) for c in chosen})
            _only_formulas(named)
            self._fit(named, *_TRY)
            complexity = sum(c.complexity for c in chosen)
            numbers = sum(c.complexity - self._cost(c.function) for c in chosen)
            self.found[key] = self._judged(named, key, complexity, numbers)
        return self.found[key]

    def polished(self, law: Law) -> Law:
        """Fitted to the end, its constants as simple as they can be, in the network as it was."""
        lean = law.model
        self._fit(lean, *_KEEP)
        edges = [edge for edge, _ in law.functions]
        curves = edge_curves(lean, self.x, edges)
        fixed = {}
        for (edge, name), seen, values in zip(law.functions, curves.x, curves.y, strict=True):
            function = find_function(name, lean.functions)
            fixed[edge] = (name, simplest_affine(function, _affine_of(lean, edge), seen, values))
        simple = lean.set_symbolic(fixed)
        _only_formulas(simple)
        self._fit(simple, 5, _KEEP[1])
        if self._error(simple) > max(self._error(lean), self.floor):
            simple = lean  # rounding took more than it gave
        simple = self._whole_numbers(simple)
        whole = self.model.set_symbolic(
            {edge: (name, _affine_of(simple, edge)) for edge, name in law.functions}
        )
        _copy_formulas(simple, whole)
        error = self._error(whole)
        bits = law.bits + self._misfit(error) - self._misfit(law.error)
        return replace(law, model=whole, error=error, bits=bits)

    @torch.no_grad()
    def _whole_numbers(self, model: KAN) -> KAN:
        """With constants that are whole numbers but for rounding as such, if that costs nothing."""
        rounded = copy.deepcopy(model)
        for layer in layers_of(rounded):
            if layer.symbolic is not None:
                values = layer.symbolic.affine
                near = (values - values.round()).abs() < _NEAR * values.abs().clamp(min=1)
                values.copy_(torch.where(near, values.round(), values))
        return model if self._error(rounded) > max(self._error(model), self.floor) else rounded

    def _cost(self, name: str) -> int:
        return find_function(name, self.model.functions).complexity

    def _judged(self, model: KAN, key: Functions, complexity: int, numbers: int) -> Law:
        error = self._error(model)
        written = self.price * complexity + 0.5 * math.log2(self.y.numel()) * numbers
        return Law(model, key, error, complexity, self._misfit(error) + written)

    def _misfit(self, error: float) -> float:
        return self.y.numel() * math.log2(math.hypot(error, self.floor))

    def _fit(self, model: KAN, steps: int, tolerance: float) -> None:
        weights = self.weights[:, 0]
        levenberg_marquardt(
            model, self.x, self.y, weights=weights, steps=steps, tolerance=tolerance
        )

    @torch.no_grad()
    def _error(self, model: KAN) -> float:
        return self._rms(model(self.x) - self.y) / self.size

    def _rms(self, values: Tensor) -> float:
        return float((self.weights * values.square()).mean().sqrt())


def _nothing(like: Candidate) -> Candidate:
    """The edge left out, but for a constant."""
    return replace(like, function="0", affine=(1.0, 0.0, 0.0, 0.0), complexity=1)


def _front(laws: Sequence[Law]) -> list[Law]:
    kept: list[Law] = []
    for law in sorted(laws, key=lambda law: (law.complexity, law.error)):
        if not kept or law.error < kept[-1].error:
            kept.append(law)
    return kept


def _without_splines(model: KAN) -> KAN:
    """The network with its formulas alone, on splines that cost nothing."""
    bare = replace(
        model.config, basis="bspline", grid=1, k=1, base=None, scale=False, mask=True, options={}
    )
    with torch.random.fork_rng(devices=[]):  # weights that are not used are drawn
        lean = KAN.from_config(bare, model.functions).to(next(model.parameters()))
    state = {k: v for k, v in model.state_dict().items() if ".numeric." not in k}
    lean.load_state_dict(state, strict=False)
    for own, layer in zip(layers_of(lean), layers_of(model), strict=True):
        assert own.numeric.mask is not None
        own.numeric.mask.zero_()
        if own.numeric.bias is not None and layer.numeric.bias is not None:
            own.numeric.bias.data.copy_(layer.numeric.bias)
    return lean


def _only_formulas(model: KAN) -> None:
    """Train formulas and biases."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith(("symbolic.affine", "numeric.bias")))


def _affine_of(model: KAN, edge: Edge) -> tuple[float, float, float, float]:
    formulas = layers_of(model)[edge[0]].symbolic
    assert formulas is not None
    places = [(e.input, e.output) for e in formulas.edges]
    a, b, c, d = formulas.affine[places.index(edge[1:])].tolist()
    return a, b, c, d


@torch.no_grad()
def _copy_formulas(source: KAN, target: KAN) -> None:
    """Constants of formulas that were there before, and biases."""
    for edge in active_edges(target, "symbolic"):
        formulas = layers_of(target)[edge[0]].symbolic
        assert formulas is not None
        place = [(e.input, e.output) for e in formulas.edges].index(edge[1:])
        formulas.affine[place] = formulas.affine.new_tensor(_affine_of(source, edge))
    for mine, theirs in zip(layers_of(target), layers_of(source), strict=True):
        if mine.numeric.bias is not None and theirs.numeric.bias is not None:
            mine.numeric.bias.copy_(theirs.numeric.bias)
