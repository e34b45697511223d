"""Exact graphs of networks with one input: breakpoints, pieces, integrals."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from allmlp.errors import AllmlpError
from allmlp.theory.exact_net import ExactNet, Rational

__all__ = ["PiecewiseLinear", "graph", "l1_distance", "on_segment", "simplified", "sup_distance"]


@dataclass(frozen=True)
class PiecewiseLinear:
    """A continuous piecewise-linear function on an interval, without redundant knots.

    Args:
        knots: the interval's ends and every point where the slope changes, ascending.
        values: the function there.
    """

    knots: tuple[Fraction, ...]
    values: tuple[Fraction, ...]

    @property
    def num_pieces(self) -> int:
        """Number of maximal affine pieces."""
        return len(self.knots) - 1

    def __call__(self, x: Rational) -> Fraction:
        """The value at a point of the interval (linear search; for tests and small graphs)."""
        for (a, b), (fa, fb) in zip(pairwise(self.knots), pairwise(self.values), strict=True):
            if a <= x <= b:
                return fa + (fb - fa) * (x - a) / (b - a)
        raise AllmlpError(
            f"x must lie in [{self.knots[0]}, {self.knots[-1]}], but is {x}; "
            "ask for the graph on a wider interval"
        )


def graph(net: ExactNet, low: Rational = 0, high: Rational = 1) -> PiecewiseLinear:
    """The function of a one-input, one-output network on [low, high], exactly.

    Knots are carried through the layers with the features at them; between two neighbours every
    unit is affine, so it can cross a kink of the activation once, at a point found by division.

    Raises:
        AllmlpError: the network has several inputs or outputs, or low is not below high.

    Example:
        >>> from allmlp.theory import sawtooth
        >>> [graph(sawtooth(n)).num_pieces for n in (1, 3, 6)]
        [2, 8, 64]
    """
    if (net.in_features, net.out_features) != (1, 1):
        raise AllmlpError(
            f"a graph needs one input and one output, but the network has {net.in_features} and "
            f"{net.out_features}; restrict it to a line first"
        )
    if not low < high:
        raise AllmlpError(f"the interval needs low < high, but got [{low}, {high}]; swap them")
    knots = [Fraction(low), Fraction(high)]
    features = [[knots[0]], [knots[1]]]
    for i, (weight, bias) in enumerate(net.layers):
        features = [_layer(weight, bias, feature) for feature in features]
        if i < net.depth - 1:
            knots, features = _split(knots, features, net.activation.kinks)
            features = [[net.activation(z) for z in feature] for feature in features]
    return simplified(knots, [feature[0] for feature in features])


def _layer(
    weight: Sequence[Sequence[Rational]], bias: Sequence[Rational], feature: list[Fraction]
) -> list[Fraction]:
    return [
        sum((w * h for w, h in zip(row, feature, strict=True) if w), Fraction(b))
        for row, b in zip(weight, bias, strict=True)
    ]


def _split(
    knots: list[Fraction], features: list[list[Fraction]], kinks: tuple[Fraction, ...]
) -> tuple[list[Fraction], list[list[Fraction]]]:
    """Adds every point between two knots at which a unit crosses a kink."""
    new_knots, new_features = [knots[0]], [features[0]]
    for (a, b), (left, right) in zip(pairwise(knots), pairwise(features), strict=True):
        shares = {
            (kink - p) / (q - p)
            for p, q in zip(left, right, strict=True)
            for kink in kinks
            if (p - kink) * (q - kink) < 0
        }
        for share in sorted(shares):
            new_knots.append(a + share * (b - a))
            new_features.append([p + share * (q - p) for p, q in zip(left, right, strict=True)])
        new_knots.append(b)
        new_features.append(right)
    return new_knots, new_features


def simplified(knots: Sequence[Fraction], values: Sequence[Fraction]) -> PiecewiseLinear:
    """The same function without the knots at which the slope stays."""
    kept_x, kept_y = [knots[0]], [values[0]]
    slopes = [
        (v - u) / (b - a) for (a, b), (u, v) in zip(pairwise(knots), pairwise(values), strict=True)
    ]
    for x, y, (left, right) in zip(knots[1:-1], values[1:-1], pairwise(slopes), strict=True):
        if left != right:
            kept_x.append(x)
            kept_y.append(y)
    return PiecewiseLinear((*kept_x, knots[-1]), (*kept_y, values[-1]))


def _common(f: PiecewiseLinear, g: PiecewiseLinear) -> tuple[list[Fraction], list[Fraction]]:
    """The union of the knots, and f - g there."""
    if (f.knots[0], f.knots[-1]) != (g.knots[0], g.knots[-1]):
        raise AllmlpError(
            f"two functions are compared on one interval, but these live on [{f.knots[0]}, "
            f"{f.knots[-1]}] and [{g.knots[0]}, {g.knots[-1]}]; ask for both graphs on one of them"
        )
    knots = sorted({*f.knots, *g.knots})
    return knots, [a - b for a, b in zip(_values_at(f, knots), _values_at(g, knots), strict=True)]


def _values_at(f: PiecewiseLinear, points: list[Fraction]) -> list[Fraction]:
    """F at ascending points that include its knots."""
    values, i = [], 0
    for x in points:
        while i < f.num_pieces - 1 and x > f.knots[i + 1]:
            i += 1
        a, b, fa, fb = f.knots[i], f.knots[i + 1], f.values[i], f.values[i + 1]
        values.append(fa + (fb - fa) * (x - a) / (b - a))
    return values


def l1_distance(f: PiecewiseLinear, g: PiecewiseLinear) -> Fraction:
    """`∫ |f - g|` over their common interval, exactly."""
    knots, gaps = _common(f, g)
    total = Fraction(0)
    for (a, b), (p, q) in zip(pairwise(knots), pairwise(gaps), strict=True):
        if p * q >= 0:
            total += (b - a) * (abs(p) + abs(q)) / 2
        else:  # two triangles that meet at the crossing
            total += (b - a) * (p * p + q * q) / (2 * (abs(p) + abs(q)))
    return total


def sup_distance(f: PiecewiseLinear, g: PiecewiseLinear) -> Fraction:
    """`max |f - g|` over their common interval, exactly."""
    return max(abs(gap) for gap in _common(f, g)[1])


def on_segment(net: ExactNet, start: Sequence[Rational], end: Sequence[Rational]) -> ExactNet:
    """The network along a segment, as one of a single input t in [0, 1].

    Example:
        >>> from allmlp.theory import pyramid_net
        >>> along = on_segment(pyramid_net(), (-1, 0), (1, 0))
        >>> graph(along).num_pieces
        2
    """
    if len(start) != net.in_features or len(end) != net.in_features:
        raise AllmlpError(
            f"the ends of the segment need {net.in_features} coordinates, but have {len(start)} "
            f"and {len(end)}; give points of the input space"
        )
    weight, bias = net.layers[0]
    step = [Fraction(b) - Fraction(a) for a, b in zip(start, end, strict=True)]
    first = (
        [[sum((w * s for w, s in zip(row, step, strict=True)), Fraction(0))] for row in weight],
        [
            sum((w * Fraction(a) for w, a in zip(row, start, strict=True)), Fraction(b))
            for row, b in zip(weight, bias, strict=True)
        ],
    )
    return ExactNet([first, *net.layers[1:]], activation=net.activation)
