"""Where the basis of a tile comes from: the family's formula, or machine code for it.

B-splines on a processor are computed by `ops.spline_kernels` where numba is installed, by torch
otherwise; the results are the same to rounding. `NUMBA_DISABLE_JIT=1` switches the kernels off.

Axes: b samples, i inputs, m functions per input, t knots, c cells, r functions of a cell, p powers.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from allmlp.ops import machine_code
from allmlp.ops.bspline import uniform_matrix
from allmlp.ops.expansion import Expansion
from allmlp.ops.machine_code import array_of, reads
from allmlp.ops.outside import check_inside
from allmlp.ops.threads import in_threads

__all__ = [
    "FormulaTiles",
    "SiluTiles",
    "SplineTiles",
    "Tiles",
    "kernels",
    "of_uniform_knots",
    "outputs_of",
    "prefers_local",
    "tiles_of",
]

# Numbers that the formula computes at once.
CHUNK = 2**18
# Inputs that are worth a thread: about 50 microseconds.
LEAST = 2**14
# Samples for which weights are turned.
LEAST_SAMPLES = 64


class Tiles(ABC):
    """The `order`-th derivative of the functions, for some of the samples."""

    @abstractmethod
    def fill(self, basis: Tensor, rows: slice, s: Tensor | None) -> None:
        """Write the values of x[rows], times s[rows] if there is an s, to basis (b, m, i)."""

    @abstractmethod
    def contract(self, result: Tensor, rows: slice, factors: Tensor) -> None:
        """Write sum_m values factors to result[rows]; factors (b, m, i) may be overwritten."""


def prefers_local(
    expansion: Expansion, x: Tensor, y: Tensor | None, w: Tensor | None, size: int
) -> bool:
    """Whether k + 1 functions of every cell are found faster than a product over all m is made.

    In products' time, a tile costs m (o + 7.5) per input of a sample, 7.5 for filling it; the other
    way (k + 1) (2.2 o + 56): its sums run at less than half of a product's speed, and finding the
    cell costs as much as 25 outputs. Measured for a step of cubics in float32, both take as long at
    m = 19, 11.3 and 9.4 for o = 8, 64 and 256 on one core, at 12.5, 10.8 and 9.5 on two; the rule
    says 18.9, 11.0 and 9.4. Weights have to be turned first, hence a least number of samples.
    """
    k, other = expansion.constants.get("k"), y if w is None else w
    if not isinstance(k, int) or other is None or other.dtype != x.dtype or not _fits(x):
        return False
    outputs = outputs_of(y, w)
    return len(x) >= LEAST_SAMPLES and size * (outputs + 7.5) >= (k + 1) * (2.2 * outputs + 56)


def tiles_of(expansion: Expansion, order: int, x: Tensor, tensors: Sequence[Tensor]) -> Tiles:
    """The fastest way to the basis of x that this machine has."""
    same = all(tensor.dtype == x.dtype for tensor in tensors)
    if expansion.kind == "bspline" and same and _fits(x):
        return SplineTiles(expansion, order, x, *tensors)
    if expansion.kind == "silu" and order < 2:
        return SiluTiles(order, x)
    return FormulaTiles(expansion, order, x, tensors)


def _fits(x: Tensor) -> bool:
    return reads(x) and kernels() is not None


def kernels() -> ModuleType | None:
    """`ops.spline_kernels`, where there is machine code."""
    return machine_code.kernels("spline_kernels")


def kernel(name: str) -> Callable[..., None]:
    """One of `ops.spline_kernels`."""
    function: Callable[..., None] = getattr(kernels(), name)
    return function


@final
class FormulaTiles(Tiles):
    """By torch, for every family, dtype and device."""

    def __init__(self, expansion: Expansion, order: int, x: Tensor, tensors: Sequence[Tensor]):
        self.expansion, self.order, self.x, self.tensors = expansion, order, x, tensors

    def fill(self, basis: Tensor, rows: slice, s: Tensor | None) -> None:
        # the formula makes a dozen passes over its operands: in pieces that stay in a core's cache
        x, step = self.x[rows], max(CHUNK // max(basis[:1].numel(), 1), 1)
        for start in range(0, x.shape[0], step):
            piece = slice(start, start + step)
            basis[piece] = self.expansion(x[piece], *self.tensors, order=self.order)
        if s is not None:
            basis.mul_(s[rows, None])

    def contract(self, result: Tensor, rows: slice, factors: Tensor) -> None:
        basis = torch.empty_like(factors, dtype=self.x.dtype)
        self.fill(basis, rows, None)
        torch.sum(basis.mul_(factors), dim=1, out=result[rows])


@final
class SiluTiles(Tiles):
    """SiLU and its slope in one pass each, as torch's own layer and its backward pass have them."""

    def __init__(self, order: int, x: Tensor):
        self.order, self.x = order, x

    def fill(self, basis: Tensor, rows: slice, s: Tensor | None) -> None:
        x, into = self.x[rows], basis[:, 0]
        if self.order:
            ones = torch.ones_like(x) if s is None else s[rows].to(x.dtype)
            torch.ops.aten.silu_backward.grad_input(ones, x, grad_input=into)
            return
        torch.ops.aten.silu.out(x, out=into)
        if s is not None:
            into.mul_(s[rows])

    def contract(self, result: Tensor, rows: slice, factors: Tensor) -> None:
        x, factor = self.x[rows], factors[:, 0].to(self.x.dtype)
        if self.order:
            torch.ops.aten.silu_backward.grad_input(factor, x, grad_input=result[rows])
        else:
            torch.mul(torch.ops.aten.silu(x), factor, out=result[rows])


@final
class SplineTiles(Tiles):
    """By `ops.spline_kernels`: float32 and float64 in a processor's memory."""

    def __init__(
        self,
        expansion: Expansion,
        order: int,
        x: Tensor,
        knots: Tensor,
        polynomials: Tensor | None = None,
    ):
        k, outside = expansion.constants["k"], expansion.constants.get("outside", "linear")
        assert isinstance(k, int)
        if outside == "error":
            check_inside(x, knots[:, k], knots[:, -k - 1])
        cells = knots.shape[1] - 1
        tails = outside == "zero"
        places = array_of(knots)
        if polynomials is None:
            first, last = places[:, 0], places[:, -1]
            places = np.empty((2, len(first)), places.dtype)
            places[0], places[1] = first, (last - first) / cells
            scale = places[1] ** -order
            table, edges = of_uniform_knots(k, order, x.dtype)
        else:
            scale, edges = np.ones_like(places[:, 0]), places[:0, :0]
            coefficients = _differentiated(polynomials, order)
            if order:
                coefficients = coefficients * (knots.diff(dim=1) ** -order)[..., None, None]
            table = array_of(coefficients.mT)
        self.x, self.tails = x, tails
        self._inputs = array_of(x)
        self._ones = self._inputs[:0, :0]
        self._ramps = ramps_of(k, order, x.dtype) if polynomials is None else _NO_RAMPS
        self.arguments: list[Any] = [tuple(range(k + 1)), places, table, edges, scale]
        self.arguments += [0, cells - 1] if tails else [k, cells - 1 - k]
        linear = outside == "linear"
        self.arguments.append((linear and order == 0, tails or order > int(linear), tails))

    def fill(self, basis: Tensor, rows: slice, s: Tensor | None) -> None:
        factors = self._ones if s is None else array_of(s[rows].to(self.x.dtype))
        self._call("fill", rows, factors, basis)

    def contract(self, result: Tensor, rows: slice, factors: Tensor) -> None:
        self._call("contract", rows, array_of(factors.to(self.x.dtype)), result[rows])

    def _call(self, name: str, rows: slice, operand: Any, target: Tensor) -> None:
        x, into, function = self._inputs[rows], target.numpy(), kernel(name)
        powers, *rest = self.arguments

        def work(piece: slice) -> None:
            function(x[piece], powers, *self._ramps, *rest, operand[piece], into[piece])

        in_threads(work, x.shape[0], LEAST // max(x.shape[1], 1))

    def local(self, s: Tensor | None, y: Tensor | None, w: Tensor | None, size: int) -> Tensor:
        """The one of s (b, i), y (b, o) and w (o, m, i) that is wanted, without any tile.

        Args:
            s: None where it is wanted, or 1.
            y: None where it is wanted.
            w: None where it is wanted.
            size: m.
        """
        x, arguments = self._inputs, self.arguments
        samples, inputs = x.shape
        scaled = self._ones if s is None else array_of(s)
        few = max(LEAST // (8 * max(inputs, 1)), 1)
        # with functions before and after those that exist, every cell has k + 1
        missing = len(arguments[0]) - 1 if self.tails else 0
        make = self.x.new_zeros if missing or w is None else self.x.new_empty
        turned = make(inputs, size + 2 * missing, outputs_of(y, w))
        held = turned[:, missing : missing + size]
        if w is None:
            assert y is not None
            given, total = array_of(y), turned.numpy()

            def add(piece: slice) -> None:
                bounds = piece.start, piece.stop
                kernel("local_weights")(x, *arguments, scaled, given, bounds, total)

            in_threads(add, inputs, max(LEAST // (8 * max(samples, 1)), 1))
            weights = self.x.new_empty(y.shape[1], size, inputs)
            _turn(held, weights)
            return weights
        _turn(w, held)
        weight = turned.numpy()
        if y is None:
            outputs = self.x.new_zeros(samples, w.shape[0])
            into = outputs.numpy()

            def multiply(piece: slice) -> None:
                factors = scaled if s is None else scaled[piece]
                kernel("local_outputs")(x[piece], *arguments, factors, weight, into[piece])

            in_threads(multiply, samples, few)
            return outputs
        slopes, given = torch.empty(samples, inputs, dtype=self.x.dtype), array_of(y)
        onto = slopes.numpy()

        def descend(piece: slice) -> None:
            kernel("local_inputs")(x[piece], *arguments, given[piece], weight, onto[piece])

        in_threads(descend, samples, few)
        return slopes


def _turn(source: Tensor, target: Tensor) -> None:
    # torch's own copy of (o, m, i) to (i, m, o) misses the cache at every number
    given, into = source.detach().numpy(), target.numpy()

    def copy(piece: slice) -> None:
        kernel("turn")(given, piece.start, piece.stop, into)

    in_threads(copy, source.shape[1], max(LEAST // max(source[:, 0].numel(), 1), 1))


def outputs_of(y: Tensor | None, w: Tensor | None) -> int:
    """The number of outputs o, of y (b, o) or w (o, m, i), whichever there is."""
    if w is not None:
        return w.shape[0]
    assert y is not None
    return y.shape[1]


@cache
def of_uniform_knots(k: int, order: int, dtype: torch.dtype) -> tuple[Any, Any]:
    """Polynomials (1, 1, p, r) of every cell, differentiated; slopes (2, r) at its ends."""
    taps = torch.tensor(uniform_matrix(k), dtype=torch.float64)
    edges = torch.stack([taps[:, 1], taps @ torch.arange(k + 1.0, dtype=taps.dtype)])
    edges = edges.masked_fill(edges.abs() < 1e-15, 0.0)
    table = _differentiated(taps, order).mT[None, None]
    return array_of(table.to(dtype)), array_of(edges.to(dtype))


@cache
def ramps_of(k: int, order: int, dtype: torch.dtype) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """What `ops.spline_kernels.fill` takes as exponents and ramps; none for higher degrees.

    A B-spline of degree k on uniform knots is, t knots from its middle and with h = (k + 1) / 2, a
    sum of truncated powers, sum_j (-1)^j C(k+1, j) max(h - j - |t|, 0)^k / k!. Up to k = 3 only the
    first two of them are ever above 0; of higher degrees more would have to cancel.
    """
    p = k - order
    if k > 3 or p < 1:
        return _NO_RAMPS
    number = np.float64 if dtype == torch.float64 else np.float32
    # the factor of each goes into its power
    slopes = [(math.comb(k + 1, j) / math.factorial(p)) ** (1 / p) for j in range(2)]
    ramps = [(number(g * ((k + 1) / 2 - j)), number(g)) for j, g in enumerate(slopes)]
    return tuple(range(p)), tuple(ramps)


_NO_RAMPS: tuple[tuple[int, ...], tuple[Any, ...]] = (), ((0.0, 0.0), (0.0, 0.0))


def _differentiated(polynomials: Tensor, order: int) -> Tensor:
    # (..., p) coefficients of powers to those of the derivative, as many
    degree = polynomials.shape[-1] - 1
    factors = [float(math.perm(p, order)) for p in range(min(order, degree + 1), degree + 1)]
    kept = polynomials[..., min(order, degree + 1) :] * polynomials.new_tensor(factors)
    return torch.nn.functional.pad(kept, (0, degree + 1 - len(factors)))
