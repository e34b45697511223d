"""Depth separation: the tent map's iterates need depth or exponentially many units.

The tent map is `T(x) = 2 relu(x) - 4 relu(x - 1/2)`: 2x up to 1/2, then 2 - 2x. Its n-th iterate
`T^n` has 2^n pieces on [0, 1]. (The often quoted `2 relu(2f) - 1` is monotone and folds nothing.)
"""

from collections.abc import Sequence
from fractions import Fraction

from allmlp.errors import AllmlpError, check_integers
from allmlp.theory.certificate import Claim, Theorem
from allmlp.theory.exact_net import ExactNet
from allmlp.theory.pieces import graph

__all__ = ["sawtooth", "shallow_l1_bound", "units_for_l1_error"]

_THEOREM = Theorem(
    "Depth separation: the iterated tent map at width 2",
    "Telgarsky 2015, arXiv:1509.08101; Telgarsky 2016, arXiv:1602.04485",
)
# counting 2^n pieces takes 2^n rational operations for each layer
_COUNTED_UP_TO = 12


def sawtooth(n: int) -> ExactNet:
    """The network of `T^n`: width 2, depth n + 1, 6n + 1 parameters, 2^n pieces on [0, 1].

    All weights are small integers and halves, so that float64 evaluates it without rounding at
    dyadic inputs, for n up to 50.

    Args:
        n: number of iterates, at least 1.

    Raises:
        AllmlpError: n is not a positive integer.

    Example:
        >>> net = sawtooth(2)
        >>> net([0.0, 0.25, 0.5, 0.75, 1.0])
        array([0., 1., 0., 1., 0.])
    """
    check_integers("sawtooth", minimum=1, n=n)
    half = Fraction(1, 2)
    # the two units of a layer are relu(t) and relu(t - 1/2), t the iterate so far
    first = ([[1], [1]], [0, -half])
    fold = ([[2, -4], [2, -4]], [0, -half])
    return ExactNet(
        [first, *[fold] * (n - 1), ([[2, -4]], [0])],
        theorem=_THEOREM,
        checks=[lambda net: _claims(net, n)],
        notes=["pieces are those on [0, 1]; on the whole line there are 2^n + 2 for n >= 2"],
    )


def _claims(net: ExactNet, n: int) -> Sequence[Claim]:
    claims = [
        Claim("width", attained=net.width, promised=2, relation="=="),
        Claim("depth", attained=net.depth, promised=n + 1, relation="=="),
        Claim("parameters", attained=net.parameters, promised=6 * n + 1, relation="=="),
    ]
    if n <= _COUNTED_UP_TO:
        pieces = graph(net).num_pieces
        claims.append(Claim("pieces", attained=pieces, promised=2**n, relation="=="))
    # T^n(i / 2^n) = i mod 2, on the whole grid or on its 1024 leftmost points
    indices = range(min(2**n, 1024) + 1)
    values = net.exact([Fraction(i, 2**n) for i in indices])
    right = sum(value == i % 2 for i, value in zip(indices, values, strict=True))
    claims.append(
        Claim("alternating grid values", attained=right, promised=len(indices), relation="==")
    )
    return claims


def shallow_l1_bound(n: int, pieces: int) -> Fraction:
    """No continuous function of `pieces` affine pieces is closer to `T^n` in L1[0, 1] than this.

    `‖T^n - g‖_1 >= 1/8 - (p + 1) / 2^(n+2)`. Proof: `T^n - 1/2` has 2^n - 1 whole lobes of
    alternating sign and area 2^-n / 4 each. `g - 1/2` changes sign at most p times, so at most p
    lobes see a change and the others fall into at most p + 1 runs of one sign of g, in which
    every second lobe is wrong: at least `(2^n - 1 - p - (p + 1)) / 2` lobes, each costing its
    area.

    Args:
        n: iterates of the tent map, at least 1.
        pieces: p, at least 1. One hidden layer of m ReLU units gives p <= m + 1; L layers of m
            units give p <= (m + 1)^L.

    Returns:
        The bound, 0 where it says nothing.

    Source: allmlp (docs/theory/depth.md), constants explicit; the idea is Telgarsky's.

    Example:
        >>> shallow_l1_bound(8, pieces=33)
        Fraction(47, 512)
    """
    check_integers("shallow_l1_bound", minimum=1, n=n, pieces=pieces)
    return max(Fraction(1, 8) - Fraction(pieces + 1, 2 ** (n + 2)), Fraction(0))


def units_for_l1_error(n: int, error: Fraction = Fraction(1, 16), *, layers: int = 1) -> int:
    """Fewest units in each of `layers` hidden layers that could bring the L1 error below `error`.

    Inverts `shallow_l1_bound`: the smallest m with `(m + 1)^layers > 2^(n+2) (1/8 - error) - 1`.
    The network of `sawtooth(n)` does it with error 0 and 2n units in all.

    Args:
        n: iterates of the tent map.
        error: below 1/8, where the bound begins to speak.
        layers: hidden layers.

    Raises:
        AllmlpError: error is not in [0, 1/8), n or layers are not positive integers.

    Example:
        >>> units_for_l1_error(20), 2 * 20
        (262143, 40)
    """
    check_integers("units_for_l1_error", minimum=1, n=n, layers=layers)
    if not 0 <= error < Fraction(1, 8):
        raise AllmlpError(
            f"the bound speaks about errors in [0, 1/8), but got {error}; the constant 1/2 "
            "already reaches 1/4"
        )
    # error > 1/8 - (p+1)/2^(n+2) is what a net with less error must satisfy
    pieces = 2 ** (n + 2) * (Fraction(1, 8) - Fraction(error)) - 1
    low, high = -1, 1  # (low + 1)^layers <= pieces < (high + 1)^layers, in integers
    while (high + 1) ** layers <= pieces:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if (middle + 1) ** layers <= pieces else (low, middle)
    return high
