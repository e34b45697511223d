"""The regions of a small ReLU network on a box of any dimension, by linear programs with proofs.

Unit by unit, a region is kept as half-spaces and a witness inside. The witness decides one side of
the next unit; a linear program (largest inscribed ball) decides the other. What it answers in
float64 is checked in integers: a witness has the claimed sign at every unit, which proves a region;
multipliers `λ >= 0, λ ≠ 0, λᵀG = 0, λᵀh <= 0` prove that `G x < h` has no solution (Motzkin).

Axes: d inputs, m half-spaces, c regions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from allmlp.errors import AllmlpError
from allmlp.theory.affine_maps import layer_bytes
from allmlp.theory.certificate import Certificate, Claim, Theorem
from allmlp.theory.elimination import eliminate
from allmlp.theory.exact_lines import ExactLines, Form
from allmlp.theory.region_bounds import least_upper, montufar_upper
from allmlp.theory.region_graph import all_distinct, merged_count
from allmlp.theory.relu_net import Array, ReluNet
from allmlp.theory.slices import Box

__all__ = ["BoxRegions", "box_regions"]

_THEOREM = Theorem(
    "A ReLU network cuts a box into convex activation regions",
    "counted by allmlp, docs/theory/regions.md; bounds: Montúfar 2017; "
    "Serra, Tjandraatmadja & Ramalingam 2018, arXiv:1711.02114",
)
# a smaller inscribed ball is no answer: the proof has to decide
_SMALL = 1e-9


@dataclass(frozen=True, eq=False)
class BoxRegions:
    """All activation regions of a network on a box.

    Args:
        net: the network.
        box: (low, high) of every input.
        patterns: (c, bytes) active units of every region, packed layer by layer.
        witnesses: (c, d) a point inside each, at which every sign was checked in integers.
        programs: linear programs solved.
        undecided: sides that neither a witness nor multipliers could prove; counted as empty.
    """

    net: ReluNet
    box: Box
    patterns: NDArray[np.uint8]
    witnesses: Array
    programs: int
    undecided: int

    @property
    def count(self) -> int:
        """Number of activation regions."""
        return len(self.patterns)

    @cached_property
    def linear_count(self) -> int:
        """Number of linear regions: neighbours across one unit with one affine map count once.

        Maps are compared in integers; that the two share a facet is found in float64. Where
        several units bend on one hyperplane (duplicates), this is an upper bound.
        """
        exact = ExactLines(self.net, _identity(self.net.in_features))
        last, known = len(self.net.slopes), {}
        maps = []
        for i, row in enumerate(self.patterns):
            known[row.tobytes()] = i
            forms, denominator = exact.forms(row.tobytes(), last)
            maps.append([Fraction(value, denominator) for value in forms.ravel().tolist()])
        pairs = []
        for i, row in enumerate(self.patterns):
            for layer, unit, other in _flips(self.net, row):
                j = known.get(other.tobytes(), -1)
                if i < j and maps[i] == maps[j] and self._facet(exact, row, layer, unit):
                    pairs.append((i, j))
        return merged_count(self.count, np.array(pairs, dtype=np.int64).reshape(-1, 2))

    def _facet(self, exact: ExactLines, row: NDArray[np.uint8], layer: int, unit: int) -> bool:
        """Whether the hyperplane of a unit bounds the region along more than an edge."""
        halves = _box_halves(self.box)
        bits, across = row.tobytes(), None
        for i, where in enumerate(layer_bytes(self.net)):
            active = np.unpackbits(row[where])
            for j in range(len(self.net.biases[i])):
                form = exact.form(exact.prefix(bits, i), i, j)
                if (i, j) == (layer, unit):
                    across = form
                elif any(form[:-1]) and self.net.slopes[i] != 1:
                    halves.append(_half(form, bool(active[j])))
        assert across is not None
        return _largest_ball(halves, equal=across)[1] > _SMALL

    def certificate(self) -> Certificate:
        """The count, the bounds, and whether every region and every gap is proved."""
        d, widths = len(self.box), self.net.widths
        bound = least_upper(d, widths, leaky=self.net.leaky)
        return Certificate(
            _THEOREM,
            (
                Claim("activation regions", self.count, promised=bound),
                Claim("bound of Montúfar 2017", montufar_upper(d, widths)),
                Claim("linear regions", self.linear_count, promised=self.count, evidence="float64"),
                Claim(
                    "distinct patterns",
                    self.count if all_distinct(self.patterns) else 0,
                    promised=self.count,
                    relation="==",
                ),
                Claim("sides left undecided", self.undecided, promised=0, relation="=="),
                Claim("linear programs", self.programs),
            ),
            ("each region has a witness whose signs were checked in integers",),
        )


def box_regions(net: ReluNet, box: Box, *, limit: int = 20_000) -> BoxRegions:
    """The regions of a network on a box (see `count_regions`).

    Args:
        net: the network.
        box: (low, high) of every input.
        limit: give up beyond so many regions; each costs some programs of 2 ms.

    Raises:
        AllmlpError: more regions than the limit.
    """
    return _Enumeration(net, box, limit).run()


# a x <= b in integers, and scaled to a unit normal in float64
_Half = tuple[Form, Array]


class _Enumeration:
    def __init__(self, net: ReluNet, box: Box, limit: int):
        self.net, self.box, self.limit = net, box, limit
        self.exact = ExactLines(net, _identity(net.in_features))
        self.programs = self.undecided = 0
        self.found: list[tuple[bytes, list[float]]] = []

    def run(self) -> BoxRegions:
        middle = [(low + high) / 2 for low, high in self.box]
        # layer, its unit, its forms, the bits so far, half-spaces, witness
        stack: list[tuple[int, int, Any, bytes, list[bool], list[_Half], list[float]]]
        stack = [(0, 0, None, b"", [], _box_halves(self.box), middle)]
        while stack:
            layer, unit, forms, bits, on, halves, witness = stack.pop()
            if layer == len(self.net.slopes):
                self._keep(bits, witness)
                continue
            if forms is None:
                forms = [tuple(row) for row in self.exact.forms(bits, layer)[0].tolist()]
            if unit == len(forms):
                packed = np.packbits(np.array(on, dtype=bool)).tobytes()
                stack.append((layer + 1, 0, None, bits + packed, [], halves, witness))
                continue
            form = forms[unit]
            if self.net.slopes[layer] == 1:
                stack.append((layer, unit + 1, forms, bits, [*on, False], halves, witness))
                continue
            value = _value(form, witness)
            low, high = self._range(form)
            if low >= 0 or high <= 0:  # no sign change on the box
                stack.append((layer, unit + 1, forms, bits, [*on, high > 0], halves, witness))
                continue
            for side in (True, False):
                cut = [*halves, _half(form, side)]
                inside: list[float] | None = witness
                if value == 0 or (value > 0) != side:
                    inside = self._inside(cut)
                if inside is not None:
                    stack.append((layer, unit + 1, forms, bits, [*on, side], cut, inside))
        patterns = np.frombuffer(b"".join(bits for bits, _ in self.found), np.uint8)
        return BoxRegions(
            self.net,
            self.box,
            patterns.reshape(len(self.found), -1),
            np.array([witness for _, witness in self.found]),
            self.programs,
            self.undecided,
        )

    def _keep(self, bits: bytes, witness: list[float]) -> None:
        self.found.append((bits, witness))
        if len(self.found) > self.limit:
            raise AllmlpError(
                f"linear programs count regions of small networks, but this one has more than "
                f"{self.limit:,} on the box; count on a plane (slice=) or shrink the box"
            )

    def _range(self, form: Form) -> tuple[Fraction, Fraction]:
        """Smallest and largest value of a form on the box."""
        low = high = Fraction(form[-1])
        for factor, (left, right) in zip(form[:-1], self.box, strict=True):
            ends = sorted((factor * Fraction(left), factor * Fraction(right)))
            low, high = low + ends[0], high + ends[1]
        return low, high

    def _inside(self, halves: list[_Half]) -> list[float] | None:
        """A point strictly inside all half-spaces, proved; None if there is none."""
        self.programs += 1
        point, radius, multipliers = _largest_ball(halves)
        if point is not None and all(_value(half, point) < 0 for half, _ in halves):
            return point
        if radius > _SMALL or not _none_inside([half for half, _ in halves], multipliers):
            self.undecided += 1
        return None


def _identity(dim: int) -> Array:
    return np.eye(dim, dim + 1)


def _box_halves(box: Box) -> list[_Half]:
    halves = []
    for i, (low, high) in enumerate(box):
        for end, sign in ((low, -1), (high, 1)):
            numerator, denominator = end.as_integer_ratio()
            form = [0] * (len(box) + 1)
            form[i], form[-1] = denominator, -numerator
            halves.append(_half(tuple(form), sign < 0))
    return halves


def _half(form: Form, active: bool) -> _Half:
    """`form >= 0` or `form <= 0`, written as `a x + b <= 0`."""
    signed = tuple(-value for value in form) if active else form
    largest = max(map(abs, signed[:-1]))
    scaled = np.array([value / largest for value in signed])  # int / int rounds once
    return signed, scaled / np.linalg.norm(scaled[:-1])


def _value(form: Form, point: Sequence[float]) -> Fraction:
    return sum((Fraction(x) * a for x, a in zip(point, form, strict=False)), Fraction(form[-1]))


def _largest_ball(
    halves: list[_Half], equal: Form | None = None
) -> tuple[list[float] | None, float, Array]:
    """Centre and radius of the largest ball in all half-spaces, and the multipliers.

    The radius is negative where the half-spaces have no common point. With `equal`, the centre
    lies on that hyperplane.
    """
    rows = np.array([scaled for _, scaled in halves])
    d = rows.shape[1] - 1
    ones = np.ones((len(rows), 1))
    plane: dict[str, Any] = {}
    if equal is not None:
        scaled = _half(equal, active=False)[1]
        # only what a half-space takes within the hyperplane
        along = rows[:, :-1] @ scaled[:-1]
        ones = np.sqrt(np.maximum(1 - along**2, 0))[:, None]
        plane = {"A_eq": np.append(scaled[:-1], 0)[None], "b_eq": [-scaled[-1]]}
    result = linprog(
        np.append(np.zeros(d), -1.0),
        A_ub=np.concatenate([rows[:, :-1], ones], axis=1),
        b_ub=-rows[:, -1],
        bounds=(None, None),
        method="highs",
        **plane,
    )
    if result.status != 0:
        return None, -np.inf, np.zeros(len(rows))
    return result.x[:-1].tolist(), float(result.x[-1]), -result.ineqlin.marginals


def _none_inside(forms: list[Form], multipliers: Array) -> bool:
    """Whether multipliers near the given ones prove that `form < 0` for all has no solution.

    The solver's are true to 1e-7 only: it may drop one that is small, or keep one that should be
    0. So the exact ones are solved for on its support, with up to two more half-spaces if need be.
    """
    largest = multipliers.max(initial=0.0)
    for threshold in (1e-9, 1e-5):
        support = np.flatnonzero(multipliers > threshold * largest).tolist()
        others = [i for i in range(len(forms)) if i not in support]
        for more in range(3):
            for added in combinations(others, more):
                if _proves(forms, [*support, *added], multipliers):
                    return True
    return False


def _proves(forms: list[Form], chosen: list[int], multipliers: Array) -> bool:
    """Whether exact multipliers of the chosen half-spaces are a proof.

    The rows in integers are multiples of the solver's, so their multipliers differ by factors.
    """
    if not chosen:
        return False
    rows = [forms[i] for i in chosen]
    small = 1e-9 * float(multipliers.max()) or 1.0  # for one that the solver dropped
    start = [
        Fraction(max(float(multipliers[i]), small)) / max(map(abs, row[:-1]))
        for i, row in zip(chosen, rows, strict=True)
    ]
    columns = list(zip(*(row[:-1] for row in rows), strict=True))
    weights = _near_kernel([[Fraction(v) for v in column] for column in columns], start)
    total = sum((w * row[-1] for w, row in zip(weights, rows, strict=True)), Fraction(0))
    return min(weights) >= 0 and max(weights) > 0 and total >= 0


def _near_kernel(rows: list[list[Fraction]], start: list[Fraction]) -> list[Fraction]:
    """The solution of `rows x = 0` whose free unknowns are those of `start`."""
    n = len(start)
    # the largest unknowns are the best pivots: small ones may have to be exactly 0
    pivots = eliminate(rows, sorted(range(n), key=lambda i: -start[i]))
    solution = list(start)
    for row, pivot in zip(rows, pivots, strict=False):
        others = (row[j] * start[j] for j in range(n) if j != pivot and j not in pivots)
        solution[pivot] = -sum(others, Fraction(0))
    return solution


def _flips(net: ReluNet, row: NDArray[np.uint8]) -> Any:
    """Every hidden unit, and the pattern with that unit turned."""
    for layer, where in enumerate(layer_bytes(net)):
        for unit in range(len(net.biases[layer])):
            other = row.copy()
            other[where.start + unit // 8] ^= np.uint8(128 >> unit % 8)
            yield layer, unit, other
