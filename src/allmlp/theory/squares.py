"""Squares, products and polynomials on [0, 1]: what depth buys against width.

Between two neighbours of the grid with m^L cells, x² lies `h² t (1 - t)` below its interpolant, t
the local coordinate. That defect is again a parabola, symmetric in t, so that the folded
coordinate serves as well: with the m-tooth zigzag Z and `φ(t) = t - I_m(t)`,

    I_{m^L}(x) = x - Σ_{k<L} m^{-2k} φ(Z^k(x)).

Z and φ are combinations of the same m ReLUs. Fold m = 2 is Yarotsky's network, L = 1 the shallow
one; everything between trades depth for width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from allmlp.errors import AllmlpError, check_integers
from allmlp.theory.certificate import Claim, Theorem
from allmlp.theory.exact_net import ExactNet, Layer, Rational
from allmlp.theory.pieces import graph

__all__ = [
    "SquareSize",
    "best_square",
    "polynomial_net",
    "product_net",
    "square_net",
    "square_sizes",
]

_THEOREM = Theorem(
    "Smooth functions: error exponentially small in the depth",
    "Yarotsky 2017, arXiv:1610.01145; folds of any size: allmlp, docs/theory/depth.md",
)
_COUNTED_UP_TO = 4096


@dataclass(frozen=True)
class SquareSize:
    """One way to reach an error for x²: `levels` hidden layers of `fold` (+ 1) units."""

    levels: int
    fold: int

    @property
    def error(self) -> Fraction:
        """Sup error on [0, 1], exactly: a quarter of the squared grid spacing."""
        return Fraction(1, 4 * self.fold ** (2 * self.levels))

    @property
    def parameters(self) -> int:
        """Weights and biases of `square_net(levels, fold)`."""
        m, width = self.fold, self.fold + 1
        if self.levels == 1:
            return 2 * m + width
        return 2 * m + width * width + (self.levels - 2) * width * (width + 1) + width + 1


def square_net(levels: int, fold: int = 2) -> ExactNet:
    """The interpolant of x² on `fold^levels` cells of [0, 1]; sup error `fold^(-2 levels) / 4`.

    Args:
        levels: hidden layers, at least 1.
        fold: teeth of each layer's zigzag, at least 2; width fold + 1 (fold for one level).

    Raises:
        AllmlpError: levels or fold too small.

    Example:
        >>> net = square_net(3)
        >>> net.width, net.depth, net.certificate().error
        (3, 4, Fraction(1, 256))
    """
    size = _checked(levels, fold)

    def checks(net: ExactNet) -> list[Claim]:
        cells = fold**levels
        claims = [
            Claim("depth", net.depth, promised=levels + 1, relation="=="),
            Claim("width", net.width, promised=fold + (levels > 1), relation="=="),
            Claim("parameters", net.parameters, promised=size.parameters, relation="=="),
        ]
        if cells <= _COUNTED_UP_TO:
            # the graph is the interpolant: its knots are the grid, its values the squares. The
            # error is then the defect at the middle of a cell.
            f = graph(net)
            right = sum(
                (x, y) == (Fraction(i, cells), Fraction(i, cells) ** 2)
                for i, (x, y) in enumerate(zip(f.knots, f.values, strict=True))
            )
            claims.append(Claim("knots on x²", right, promised=cells + 1, relation="=="))
        step = max(cells // 512, 1)
        middles = [Fraction(2 * i + 1, 2 * cells) for i in range(0, cells, step)]
        error = max(g - x * x for g, x in zip(net.exact(middles), middles, strict=True))
        return [*claims, Claim("error", error, promised=size.error, relation="==")]

    many = fold**levels > _COUNTED_UP_TO
    return ExactNet(
        _square_layers(levels, fold),
        theorem=_THEOREM,
        checks=[checks],
        notes=["the error is that of some 512 cells; the promise is a proof"] if many else [],
    )


def _checked(levels: int, fold: int) -> SquareSize:
    check_integers("a square", minimum=1, levels=levels)
    check_integers("a square", minimum=2, fold=fold)
    return SquareSize(levels, fold)


def _square_layers(levels: int, fold: int) -> list[Layer]:
    m = fold
    zigzag: list[Rational] = [m, *(2 * m * (-1) ** i for i in range(1, m))]
    defect = [1 - Fraction(1, m), *[Fraction(-2, m)] * (m - 1)]
    kinks: list[Rational] = [Fraction(-i, m) for i in range(m)]
    layers: list[Layer] = [([[1]] * m, kinks)]
    for k in range(levels):
        # after the first layer the accumulator is unit 0, which is x itself
        kept = [1, *[0] * (m - 1)] if k == 0 else [0] * m
        own = [] if k == 0 else [1]
        accumulator: list[Rational] = [
            *(a - Fraction(1, m ** (2 * k)) * d for a, d in zip(kept, defect, strict=True)),
            *own,
        ]
        if k == levels - 1:
            layers.append(([accumulator], [0]))
        else:
            fold_row: list[Rational] = [*zigzag, *([0] * len(own))]
            layers.append(([*[fold_row] * m, accumulator], [*kinks, 0]))
    return layers


def square_sizes(error: float | Fraction) -> list[SquareSize]:
    """For every useful depth the narrowest `square_net` within an error, shallow to deep.

    Args:
        error: sup error on [0, 1], between 0 and 1.

    Raises:
        AllmlpError: an error outside (0, 1).

    Example:
        >>> [(s.levels, s.fold, s.parameters) for s in square_sizes(Fraction(1, 4 * 64**2))]
        [(1, 64, 193), (2, 8, 107), (3, 4, 69), (4, 3, 67), (5, 3, 87), (6, 2, 65)]
    """
    if not 0 < error < 1:
        raise AllmlpError(f"the error must lie between 0 and 1, but is {error}; use 0.001")
    sizes: list[SquareSize] = []
    levels, fold = 1, 0
    while fold != 2:
        fold = 2
        if SquareSize(levels, 2).error > error:  # the least fold, by bisection
            low, high = 2, 4
            while SquareSize(levels, high).error > error:
                low, high = high, 2 * high
            while high - low > 1:
                middle = (low + high) // 2
                if SquareSize(levels, middle).error > error:
                    low = middle
                else:
                    high = middle
            fold = high
        sizes.append(SquareSize(levels, fold))
        levels += 1
    return sizes


def best_square(parameters: int) -> SquareSize:
    """The depth and fold of least error that `square_net` reaches with so many parameters.

    Raises:
        AllmlpError: fewer than the 7 parameters of the smallest network.

    Example:
        >>> [(best_square(p).levels, best_square(p).fold) for p in (20, 100, 1000)]
        [(1, 6), (8, 2), (83, 2)]
    """
    smallest = SquareSize(1, 2).parameters
    if parameters < smallest:
        raise AllmlpError(
            f"the smallest network has {smallest} parameters, but {parameters} were given; "
            "allow more"
        )
    candidates = []
    fold = 2
    while SquareSize(1, fold).parameters <= parameters:
        levels = 1
        while SquareSize(levels + 1, fold).parameters <= parameters:
            levels += 1
        candidates.append(SquareSize(levels, fold))
        fold += 1
    return min(candidates, key=lambda size: (size.error, size.parameters))


def product_net(levels: int, fold: int = 2) -> ExactNet:
    """`x y` on [0, 1]² from three squares: `2 s((x+y)/2) - s(x)/2 - s(y)/2`.

    Sup error at most `2 ε` with the ε of `square_net`, and values in [0, 1]: s is convex, s(0) =
    0 and s(x) <= x, and a grid twice as coarse gives a larger interpolant.

    Args:
        levels: hidden layers.
        fold: as in `square_net`.

    Example:
        >>> product_net(2).exact([[Fraction(1, 2), Fraction(1, 2)]]).tolist()
        [Fraction(1, 4)]
    """
    size = _checked(levels, fold)
    half = Fraction(1, 2)
    forms: list[list[Rational]] = [[half, half], [1, 0], [0, 1]]
    layers = _side_by_side(forms, levels, fold)
    weight, bias = layers[-1]
    layers[-1] = (_combined(weight), [_PRODUCT[0] * bias[0]])

    def checks(net: ExactNet) -> list[Claim]:
        points = [(Fraction(i, 37), Fraction(j, 41)) for i in range(38) for j in range(42)]
        values = net.exact(points)
        error = max(abs(g - x * y) for g, (x, y) in zip(values, points, strict=True))
        inside = sum(0 <= g <= 1 for g in values)
        return [
            Claim("error", error, promised=2 * size.error),
            Claim("values in [0, 1]", inside, promised=len(points), relation="=="),
        ]

    return ExactNet(
        layers,
        theorem=_THEOREM,
        checks=[checks],
        notes=["the error is the largest at 1,596 rational points; the promise is a proof"],
    )


_PRODUCT = (Fraction(2), Fraction(-1, 2), Fraction(-1, 2))


def _side_by_side(forms: Sequence[Sequence[Rational]], levels: int, fold: int) -> list[Layer]:
    """One square for every linear form of the inputs; the outputs stay apart."""
    square = _square_layers(levels, fold)
    first_bias = square[0][1]
    layers: list[Layer] = [
        ([list(form) for form in forms for _ in first_bias], list(first_bias) * len(forms))
    ]
    for weight, bias in square[1:]:
        inputs = len(weight[0])
        rows = [
            [0] * (inputs * i) + list(row) + [0] * (inputs * (len(forms) - 1 - i))
            for i in range(len(forms))
            for row in weight
        ]
        layers.append((rows, list(bias) * len(forms)))
    return layers


def _combined(rows: Sequence[Sequence[Rational]]) -> list[list[Rational]]:
    """`2 s((x+y)/2) - s(x)/2 - s(y)/2` of three output rows, as one row."""
    columns = zip(*rows, strict=True)
    return [[sum((c * v for c, v in zip(_PRODUCT, column, strict=True)), Fraction(0))
             for column in columns]]  # fmt: skip


def polynomial_net(coefficients: Sequence[Rational], levels: int, fold: int = 2) -> ExactNet:
    """A polynomial on [0, 1], its powers by one `product_net` with x after another.

    Sup error at most `Σ_k |c_k| (k - 1) 2 ε`: a product adds 2ε and does not enlarge the error of
    its factor.

    Args:
        coefficients: c_0, c_1, …, c_K, rationals; K at least 2.
        levels: hidden layers of each product; depth (K - 1) levels + 1.
        fold: as in `square_net`.

    Raises:
        AllmlpError: a degree below 2, which needs no hidden layer.

    Example:
        >>> net = polynomial_net([0, 1, -3, 2], levels=6)
        >>> net.depth, net.certificate().holds
        (13, True)
    """
    size = _checked(levels, fold)
    degree = len(coefficients) - 1
    if degree < 2:
        raise AllmlpError(
            f"a polynomial needs degree 2 or more here, but got {degree}; below that it is affine"
        )
    # The sum so far is carried in two non-negative parts, which pass through the ReLUs. `forms`
    # read x, the last power and both parts off the units of the layer before.
    x, power = [Fraction(1)], [Fraction(1)]
    rises = [max(Fraction(coefficients[1]), Fraction(0))]
    falls = [max(-Fraction(coefficients[1]), Fraction(0))]
    layers: list[Layer] = []
    for k in range(2, degree + 1):
        mean = [(a + b) / 2 for a, b in zip(x, power, strict=True)]
        squares = _side_by_side([mean, x, power], levels, fold)
        for i, (weight, bias) in enumerate(squares[:-1]):
            carried = [x, rises, falls] if i == 0 else _identity_after(len(weight[0]), 3)
            padding = 0 if i == 0 else 3
            layers.append(
                (
                    [*([*row, *[0] * padding] for row in weight), *carried],
                    [*bias, 0, 0, 0],
                )
            )
        read = squares[-1][0]
        power = [Fraction(value) for value in _combined(read)[0]] + [Fraction(0)] * 3
        x, rises, falls = _identity_after(len(read[0]), 3)
        c = Fraction(coefficients[k])
        target = rises if c > 0 else falls
        target[:] = [a + abs(c) * p for a, p in zip(target, power, strict=True)]
    layers.append(
        ([[a - b for a, b in zip(rises, falls, strict=True)]], [Fraction(coefficients[0])])
    )
    promised = sum(
        (abs(Fraction(c)) * (k - 1) * 2 * size.error for k, c in enumerate(coefficients) if k > 1),
        Fraction(0),
    )

    def checks(net: ExactNet) -> list[Claim]:
        points = [Fraction(i, 997) for i in range(998)]
        exact = [sum((c * t**k for k, c in enumerate(coefficients)), Fraction(0)) for t in points]
        error = max(abs(g - y) for g, y in zip(net.exact(points), exact, strict=True))
        return [
            Claim("depth", net.depth, promised=(degree - 1) * levels + 1, relation="=="),
            Claim("error", error, promised=promised),
        ]

    return ExactNet(
        layers,
        theorem=_THEOREM,
        checks=[checks],
        notes=["the error is the largest at 998 rational points; the promise is a proof"],
    )


def _identity_after(zeros: int, size: int) -> list[list[Fraction]]:
    return [[Fraction(j == zeros + i) for j in range(zeros + size)] for i in range(size)]
