"""How narrow a network may be: statements with their norms, and conversions."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from allmlp.errors import AllmlpError, check_integers
from allmlp.theory.certificate import Claim, Theorem
from allmlp.theory.exact_net import ExactNet, Layer, Rational, random_points

__all__ = ["MinimalWidth", "minimal_widths", "monotone_limit", "pyramid_net", "shallow_to_narrow"]

_PYRAMID = Theorem(
    "Width d + 1 reaches what width d cannot: the pyramid in the plane",
    "allmlp, docs/theory/width.md",
)
_NARROW = Theorem(
    "Any shallow ReLU network as a deep one of width d + 2",
    "allmlp, docs/theory/width.md; after Hanin & Sellke 2017, arXiv:1710.11278",
)


@dataclass(frozen=True)
class MinimalWidth:
    """One published statement about the least width that is dense.

    Args:
        space: functions and norm.
        activation: of the networks.
        lower: no smaller width is dense.
        upper: this width is dense; None if the source gives a lower bound only.
        source: authors and year.
    """

    space: str
    activation: str
    lower: int
    upper: int | None
    source: str


def minimal_widths(dim_in: int, dim_out: int) -> tuple[MinimalWidth, ...]:
    """The known least widths for functions from R^dim_in to R^dim_out.

    The norm matters: "width d cannot approximate" is true uniformly on compacts and in L^p(R^d),
    and false in L^p on a cube, where max(dim_in, dim_out, 2) suffices.

    Args:
        dim_in: inputs, at least 1.
        dim_out: outputs, at least 1.

    Raises:
        AllmlpError: sizes that are not positive integers.

    Example:
        >>> [(w.lower, w.upper) for w in minimal_widths(3, 1)]
        [(4, 4), (4, 4), (3, 3), (3, None), (4, 4)]
        >>> minimal_widths(3, 4)[-1].lower, minimal_widths(3, 4)[-1].upper
        (5, 7)
    """
    check_integers("minimal_widths", minimum=1, dim_in=dim_in, dim_out=dim_out)
    a, b = max(dim_in + 1, dim_out), max(dim_in, dim_out, 2)
    park, kim = "Park, Yun, Lee & Shin 2021", "Kim, Min & Park 2024"
    rows = [
        MinimalWidth("L^p on R^d", "ReLU", a, a, park),
        MinimalWidth("uniform on compacts", "ReLU and step", a, a, park),
        MinimalWidth("L^p on the unit cube", "ReLU-like", b, b, kim),
        MinimalWidth("L^p or uniform on compacts", "any", max(dim_in, dim_out), None, "Cai 2023"),
    ]
    # Hanin and Sellke: d_in + 1 to d_in + d_out, which is exact for one output
    lower, source = max(dim_in + 1, dim_out), "Hanin & Sellke 2017"
    if dim_in < dim_out <= 2 * dim_in:
        lower, source = dim_out + 1, f"{source}; {kim}"
    rows.append(MinimalWidth("uniform on compacts", "ReLU", lower, dim_in + dim_out, source))
    return tuple(rows)


def monotone_limit(values: Sequence[Rational]) -> Fraction:
    """No network of width 1 is nearer than this to the given values at points along a line.

    A composition of monotone maps is monotone, so a width-1 network is a monotone function of one
    linear form, with any monotone activation. The nearest increasing sequence is half the largest
    fall away, the nearest decreasing one half the largest rise.

    Args:
        values: at points in their order on a line.

    Example:
        >>> monotone_limit([0, 1, 0])
        Fraction(1, 2)
    """
    fall = rise = Fraction(0)
    highest = lowest = Fraction(values[0]) if values else Fraction(0)
    for value in map(Fraction, values):
        highest, lowest = max(highest, value), min(lowest, value)
        fall, rise = max(fall, highest - value), max(rise, value - lowest)
    return min(fall, rise) / 2


def pyramid_net() -> ExactNet:
    """`relu(1 - |x| - |y|)` on [-1, 1]² at width 3, exactly.

    No network of width 2 comes nearer than 1/2 at any depth (`narrow_limit`).

    Example:
        >>> pyramid_net()([[0.0, 0.0], [0.5, -0.25], [1.0, 1.0]])
        array([1.  , 0.25, 0.  ])
    """
    layers: list[Layer] = [
        ([[1, 0], [-1, 0], [0, 1]], [0, 0, 1]),  # relu(x), relu(-x), y + 1 >= 0
        ([[1, 1, 0], [0, 0, 1], [0, 0, -1]], [0, -1, 1]),  # |x|, relu(y), relu(-y)
        ([[-1, -1, -1]], [1]),
        ([[1]], [0]),
    ]

    def checks(net: ExactNet) -> list[Claim]:
        grid = [Fraction(i, 10) for i in range(-10, 11)]
        points = [(x, y) for x in grid for y in grid]
        right = sum(
            g == max(1 - abs(x) - abs(y), Fraction(0))
            for g, (x, y) in zip(net.exact(points), points, strict=True)
        )
        return [
            Claim("width", net.width, promised=3, relation="=="),
            Claim("points met", right, promised=len(points), relation="=="),
        ]

    return ExactNet(layers, theorem=_PYRAMID, checks=[checks])


def shallow_to_narrow(net: ExactNet, *, radius: Rational) -> ExactNet:
    """A one-hidden-layer network of n units as one of width d + 2 and depth n + 2.

    Each layer carries the inputs as `x + radius`, computes one unit and adds the one before to an
    accumulator that starts high enough to stay non-negative.

    Args:
        net: ReLU, depth 2, one output, n units.
        radius: the two agree on [-radius, radius]^d.

    Raises:
        AllmlpError: another shape of network, or a radius that is not positive.

    Example:
        >>> from allmlp.theory import relu_interpolant
        >>> wide = relu_interpolant([-1, 0, 1], [1, 0, 1])
        >>> narrow = shallow_to_narrow(wide, radius=1)
        >>> narrow.width, narrow.depth, bool((narrow([-0.5, 0.5]) == wide([-0.5, 0.5])).all())
        (3, 4, True)
    """
    if net.depth != 2 or net.out_features != 1 or net.activation.name != "relu" or radius <= 0:
        raise AllmlpError(
            "the conversion takes a ReLU network of depth 2 with one output and a positive radius, "
            f"but got {net} and {radius}; split the network first"
        )
    (weight, bias), (outer_rows, constant) = net.layers
    outer = outer_rows[0]
    n, d = len(bias), net.in_features
    carry = [[int(i == j) for j in range(d)] for i in range(d)]
    # the accumulator can fall by no more than this
    reserve = sum(
        (
            _size(a) * (radius * sum(map(_size, row), Fraction(0)) + _size(b))
            for a, row, b in zip(outer, weight, bias, strict=True)
        ),
        Fraction(0),
    )
    layers: list[Layer] = [
        ([*carry, weight[0], [0] * d], [*[radius] * d, bias[0], reserve]),
    ]
    for i in range(1, n + 1):
        shifted = bias[i] - radius * sum(weight[i]) if i < n else 0
        unit = [*weight[i], 0, 0] if i < n else [0] * (d + 2)
        rows = [[*row, 0, 0] for row in carry]
        layers.append(
            ([*rows, unit, [*[0] * d, outer[i - 1], 1]], [*[0] * d, shifted, 0]),
        )
    layers.append(([[*[0] * (d + 1), 1]], [constant[0] - reserve]))

    def check(narrow: ExactNet) -> list[Claim]:
        points = random_points(d, 100, radius=radius)
        equal = int((narrow.exact(points) == net.exact(points)).sum())
        return [
            Claim("width", narrow.width, promised=d + 2, relation="=="),
            Claim("depth", narrow.depth, promised=n + 2, relation="=="),
            Claim("values equal", equal, promised=len(points), relation="=="),
            Claim("parameters of the shallow network", net.parameters),
        ]

    return ExactNet(
        layers,
        theorem=_NARROW,
        checks=[check],
        notes=[f"equal to the shallow network on [-{radius}, {radius}]^{d}"],
    )


def _size(value: Rational) -> Fraction:
    return abs(Fraction(value))
