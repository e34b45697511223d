"""Narrow networks let every value escape: a constant path from any point to the boundary."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from allmlp.errors import AllmlpError
from allmlp.theory.certificate import Certificate, Claim, Theorem
from allmlp.theory.elimination import eliminate
from allmlp.theory.exact_net import ExactNet, Rational
from allmlp.theory.pieces import graph, on_segment

__all__ = ["EscapePath", "escape_path", "narrow_limit"]

_THEOREM = Theorem(
    "A ReLU network no wider than its input has no closed level sets",
    "allmlp, docs/theory/width.md; in the spirit of Hanin & Sellke 2017, arXiv:1710.11278",
)

Point = tuple[Fraction, ...]
Matrix = list[list[Fraction]]


@dataclass(frozen=True)
class EscapePath:
    """A polyline from a point to the boundary of a cube on which the network is constant.

    Args:
        net: the narrow network.
        vertices: from the start to the boundary.
        radius: of the cube [-radius, radius]^d.
    """

    net: ExactNet
    vertices: tuple[Point, ...]
    radius: Fraction

    def certificate(self) -> Certificate:
        """Proves constancy: the exact graph along every leg has one value."""
        value = self.net.exact([self.vertices[0]])[0]
        constant = sum(
            set(graph(on_segment(self.net, a, b)).values) == {value}
            for a, b in pairwise(self.vertices)
        )
        legs = len(self.vertices) - 1
        end = max(abs(x) for x in self.vertices[-1])
        return Certificate(
            _THEOREM,
            (
                Claim("width", self.net.width, promised=self.net.in_features),
                Claim("legs", legs, promised=self.net.depth),
                Claim("constant legs", constant, promised=legs, relation="=="),
                Claim("end on the boundary", end, promised=self.radius, relation="=="),
            ),
        )


def escape_path(net: ExactNet, start: Sequence[Rational], *, radius: Rational = 1) -> EscapePath:
    """Walks from a point to the boundary of [-radius, radius]^d without changing the output.

    In the cube, let l be the first layer with a unit at or below 0. Before it everything is
    affine with square matrices. Move so that this unit sinks and the others of layer l stay (or
    along a kernel): the output stays. Stop at the boundary, or where a unit of an *earlier* layer
    reaches 0; then l falls, so there are at most depth legs. If no unit is inactive, move within
    a level plane: that counts as one layer more than the hidden ones.

    Args:
        net: ReLU, hidden widths at most d, one output.
        start: a point inside the cube.
        radius: of the cube.

    Raises:
        AllmlpError: d = 1 (see `monotone_limit`), a wider network, another activation, several
            outputs, or a start outside the cube.
    """
    d = net.in_features
    if d < 2 or net.width > d or net.out_features != 1 or net.activation.name != "relu":
        raise AllmlpError(
            f"an escape path needs a ReLU network with d >= 2 inputs, hidden width at most d and "
            f"one output, but got {net}; wider networks can have closed level sets"
        )
    point = tuple(Fraction(x) for x in start)
    edge = Fraction(radius)
    if len(point) != d or max(abs(x) for x in point) > edge:
        raise AllmlpError(
            f"the start must be a point of [-{edge}, {edge}]^{d}, but is {list(map(str, point))}; "
            "move it inside"
        )
    hidden = [_padded(weight, bias, d) for weight, bias in net.layers[:-1]]
    outer = [Fraction(w) for w in net.layers[-1][0][0]]
    outer += [Fraction(0)] * (d - len(outer))
    vertices = [point]
    while max(abs(x) for x in point) < edge:
        point = _leg(hidden, outer, point, edge)
        vertices.append(point)
    return EscapePath(net, tuple(vertices), edge)


def _padded(weight: Any, bias: Any, d: int) -> tuple[Matrix, list[Fraction]]:
    """The layer with d units of d inputs; the added ones are always 0."""
    rows = [[Fraction(w) for w in row] + [Fraction(0)] * (d - len(row)) for row in weight]
    rows += [[Fraction(0)] * d for _ in range(d - len(rows))]
    return rows, [Fraction(b) for b in bias] + [Fraction(0)] * (d - len(bias))


def _leg(
    hidden: list[tuple[Matrix, list[Fraction]]], outer: list[Fraction], x: Point, edge: Fraction
) -> Point:
    """The next vertex."""
    d = len(x)
    jacobian = [[Fraction(i == j) for j in range(d)] for i in range(d)]
    features = list(x)
    ahead: list[tuple[list[Fraction], Matrix]] = []  # of the strictly active layers
    direction = None
    for weight, bias in hidden:
        z = [_dot(row, features) + b for row, b in zip(weight, bias, strict=True)]
        jacobian = [[_dot(row, column) for column in zip(*jacobian, strict=True)] for row in weight]
        if min(z) <= 0:
            sinking = z.index(min(z))
            direction = _solution_or_kernel(jacobian, [-Fraction(j == sinking) for j in range(d)])
            break
        ahead.append((z, jacobian))
        features = z
    if direction is None:  # affine here
        gradient = [_dot(outer, column) for column in zip(*jacobian, strict=True)]
        direction = [Fraction(0)] * d
        i = next((i for i in range(d) if gradient[i]), None)
        if i is None:
            direction[0] = Fraction(1)
        else:
            j = (i + 1) % d
            direction[j], direction[i] = gradient[i], -gradient[j]
    step = min(((edge if v > 0 else -edge) - a) / v for a, v in zip(x, direction, strict=True) if v)
    for z, matrix in ahead:
        for value, row in zip(z, matrix, strict=True):
            change = _dot(row, direction)
            if change < 0:
                step = min(step, -value / change)
    return tuple(a + step * v for a, v in zip(x, direction, strict=True))


def _dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True) if x), Fraction(0))


def _solution_or_kernel(matrix: Matrix, right: list[Fraction]) -> list[Fraction]:
    """X with `matrix x = right`, or a kernel vector if the matrix is singular."""
    n = len(matrix)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    pivots = eliminate(rows, range(n))
    if len(pivots) == n:
        return [row[n] for row in rows]
    free = next(c for c in range(n) if c not in pivots)
    kernel = [Fraction(0)] * n
    kernel[free] = Fraction(1)
    for row, pivot in zip(rows, pivots, strict=False):
        kernel[pivot] = -row[free]
    return kernel


def narrow_limit(inside: Rational, highest_on_boundary: Rational) -> Fraction:
    """No ReLU network of width <= d is nearer to f in the sup norm on the cube than this.

    `(f(c) - max over the boundary of f) / 2`: the network takes its value at c on the boundary
    too.

    Args:
        inside: f(c) at some point of the cube.
        highest_on_boundary: the maximum of f on its boundary.

    Example:
        >>> narrow_limit(1, 0)  # the pyramid relu(1 - |x|_1), at any depth
        Fraction(1, 2)
    """
    return max(Fraction(inside) - Fraction(highest_on_boundary), Fraction(0)) / 2
