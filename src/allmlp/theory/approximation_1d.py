"""Universal approximation on an interval, with the number of units known beforehand."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.theory.activation import HARD_SIGMOID, leaky_relu
from allmlp.theory.certificate import Claim, Theorem
from allmlp.theory.exact_net import ExactNet, Rational
from allmlp.theory.shallow_net import ShallowNet
from allmlp.theory.sup_error import Bracket, Function, sup_on_interval

__all__ = ["approximate", "relu_interpolant"]

_PIECEWISE = ("relu", "leaky_relu", "hard_sigmoid")
_SMOOTH = ("sigmoid", "tanh")
_LEAK = Fraction(1, 100)  # torch's default slope
_TOLERANCE = 0.01  # relative width of the bracket around the sup error

_KNOTS_CHECKED = 2000
_MOST_UNITS = 1 << 16  # beyond, sup_on_interval's budget no longer covers the gaps

_THEOREM = Theorem(
    "Universal approximation on an interval by one hidden layer",
    "constructive, allmlp docs/theory/approximation.md; "
    "existence: Cybenko 1989, Hornik 1991, Leshno et al. 1993",
)


def relu_interpolant(
    knots: Sequence[Rational | float], values: Sequence[Rational | float]
) -> ExactNet:
    """The ReLU network through given points, one unit for each piece.

    `g(x) = y_0 + s_0 relu(x - x_0) + Σ_i (s_i - s_{i-1}) relu(x - x_i)` with the slopes s_i;
    constant left of x_0, of the last slope right of x_N.

    Args:
        knots: x_0 < … < x_N, at least two; floats are read as the rationals they are.
        values: y_0, …, y_N, likewise.

    Raises:
        AllmlpError: knots that do not ascend, or another number of values.

    Example:
        >>> hat = relu_interpolant([0, 1, 2], [0, 1, 0])
        >>> hat([-1.0, 0.5, 1.0, 2.0]), hat.width
        (array([0. , 0.5, 1. , 0. ]), 2)
    """
    x, y = [Fraction(knot) for knot in knots], [Fraction(value) for value in values]
    if len(x) < 2 or len(x) != len(y) or any(b <= a for a, b in pairwise(x)):
        raise AllmlpError(
            f"an interpolant needs two or more ascending knots and a value for each, but got "
            f"{len(x)} knots and {len(y)} values; sort the knots and drop duplicates"
        )
    jumps = _slope_jumps(x, y)
    return ExactNet(
        [([[1]] * len(jumps), [-knot for knot in x[:-1]]), ([jumps], [y[0]])],
        theorem=_THEOREM,
        checks=[_interpolates(x, y)],
    )


def _slope_jumps(knots: Sequence[Rational], values: Sequence[Rational]) -> list[Fraction]:
    """The first slope, then every change of slope."""
    slopes = [
        Fraction(v - u) / (b - a)
        for (a, b), (u, v) in zip(pairwise(knots), pairwise(values), strict=True)
    ]
    return [slopes[0], *(b - a for a, b in pairwise(slopes))]


def _interpolates(
    knots: Sequence[Rational], values: Sequence[Rational]
) -> Callable[[ExactNet], list[Claim]]:
    def check(net: ExactNet) -> list[Claim]:
        # every unit at every knot is quadratic: of many knots, evenly spread ones
        some = slice(None, None, -(-len(knots) // _KNOTS_CHECKED))
        met = net.exact(list(knots[some])) == np.array(values[some], dtype=object)
        return [Claim("knots met", int(met.sum()), promised=len(met), relation="==")]

    return check


def approximate(
    f: Function,
    interval: tuple[Rational | float, Rational | float] = (0, 1),
    *,
    lipschitz: float,
    error: float | None = None,
    units: int | None = None,
    curvature: float | None = None,
    activation: str = "relu",
) -> ExactNet | ShallowNet:
    """A network with one hidden layer near f on an interval, and the proof in its certificate.

    N units on a uniform grid of spacing h. ReLU, leaky ReLU and hard sigmoid give the
    piecewise-linear interpolant, exactly: error at most `L h / 2`, or `h² max|f''| / 8`. Sigmoid
    and tanh of steepness `k = 4 ln N / h` give smoothed steps between the knots: error at most
    `L h (1 + 2 e^{-kh/2} / (1 - e^{-kh}))`. The certificate adds the error found, and a
    bound 1 % above it that covers the gaps between samples by the Lipschitz constants.

    Args:
        f: vectorised, float64 (n,) -> (n,).
        interval: ends, low < high.
        lipschitz: L, a Lipschitz constant of f on the interval.
        error: the largest error allowed; this or `units`.
        units: N; this or `error`.
        curvature: a bound on `|f''|`, if there is one; used by the piecewise-linear activations.
        activation: `relu`, `leaky_relu` (slope 1/100), `hard_sigmoid`, `sigmoid` or `tanh`.

    Returns:
        `ExactNet` for the piecewise-linear activations, `ShallowNet` for the smooth ones.

    Raises:
        AllmlpError: an unknown activation, an empty interval, neither or both of `error` and
            `units`, constants that are not positive, an error that needs more than 65,536
            units, or values of f that are not finite.

    Source: allmlp, docs/theory/approximation.md (proofs of all bounds).

    Example:
        >>> net = approximate(np.sin, (0, 3), lipschitz=1.0, curvature=1.0, error=1e-3)
        >>> net.width, net.certificate().holds
        (34, True)
    """
    check_choice("activation", activation, (*_PIECEWISE, *_SMOOTH))
    low, high = Fraction(interval[0]), Fraction(interval[1])
    if not low < high:
        raise AllmlpError(f"the interval needs low < high, but got {interval}; swap them")
    if (error is None) == (units is None):
        raise AllmlpError(
            "give either the error allowed or the number of units, but "
            f"{'neither' if error is None else 'both'} came; drop or add one"
        )
    for name, value in (("lipschitz", lipschitz), ("error", error), ("curvature", curvature)):
        if value is not None and not 0 < value < math.inf:
            raise AllmlpError(
                f"{name} must be positive and finite, but is {value}; use a positive number"
            )
    length = float(high - low)
    bound = _step_bound if activation in _SMOOTH else _interpolation_bound

    if units is None:
        assert error is not None
        units = _fewest_units(lambda n: bound(n, length, lipschitz, curvature), error)
    check_integers("approximate", minimum=1, units=units)
    promised = bound(units, length, lipschitz, curvature)

    knots = [low + (high - low) * i / units for i in range(units + 1)]
    samples = np.asarray(f(np.array([float(x) for x in knots])), dtype=np.float64)
    if samples.shape != (units + 1,) or not np.isfinite(samples).all():
        raise AllmlpError(
            "f must return one finite value for each of its points, but for an array of shape "
            f"{(units + 1,)} it returned {samples.shape} "
            f"with {int((~np.isfinite(samples)).sum())} values not finite; vectorise it"
        )
    if activation in _SMOOTH:
        return _smooth_steps(f, knots, samples, lipschitz, promised, activation)
    return _piecewise(f, knots, samples, lipschitz, curvature, promised, activation)


def _interpolation_bound(
    units: int, length: float, lipschitz: float, curvature: float | None
) -> float:
    # barycentric weights t, 1-t: |f - g| <= 2 t (1-t) L h <= L h / 2
    h = length / units
    return min(lipschitz * h / 2, math.inf if curvature is None else h * h * curvature / 8)


def _steepness(units: int, h: float) -> float:
    return 4 * math.log(max(units, 2)) / h


def _tail(units: int) -> float:
    """`2 Σ_j e^{-k (j - 1/2) h}`: what the sigmoids away from the nearest midpoint add up to."""
    decay = math.exp(-_steepness(units, 1.0))
    return 2 * math.sqrt(decay) / (1 - decay)


def _step_bound(units: int, length: float, lipschitz: float, curvature: float | None) -> float:
    # nearest knot: L h / 2; the nearest sigmoid is off by half a jump <= L h; then the tails
    return lipschitz * length / units * (1 + _tail(units))


def _fewest_units(bound: Callable[[int], float], error: float) -> int:
    """The least N whose bound is within the error; the bound falls with N."""
    high = 1
    while bound(high) > error:
        high *= 2
        if high > _MOST_UNITS:
            raise AllmlpError(
                f"networks of this kind are built for at most {_MOST_UNITS:,} units, but an error "
                f"of {error} would need more; allow a larger one"
            )
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if bound(middle) <= error else (middle, high)
    return high


def _piecewise(
    f: Function,
    knots: list[Fraction],
    samples: NDArray[np.float64],
    lipschitz: float,
    curvature: float | None,
    promised: float,
    activation: str,
) -> ExactNet:
    values = [Fraction(value) for value in samples.tolist()]

    def error_claim(net: ExactNet) -> list[Claim]:
        h = float(knots[1] - knots[0])
        slope = lipschitz + float(np.abs(np.diff(samples)).max()) / h
        if curvature is not None:  # a chord's slope is that of f somewhere in the cell
            slope = min(slope, curvature * h)
        at = np.array([float(x) for x in knots])
        # the interpolant equals the network (tests compare graphs with ==) and is much faster
        bracket = _certified_error(f, lambda x: np.interp(x, at, samples), slope, at[0], at[-1])
        return _error_claims(bracket, promised, samples)

    checks = [_interpolates(knots, values), error_claim]
    interpolant = relu_interpolant(knots, values)
    if activation == "relu":
        return ExactNet(interpolant.layers, theorem=_THEOREM, checks=checks)
    h = knots[1] - knots[0]
    if activation == "hard_sigmoid":
        # one unit climbs from 0 to 1 exactly between two knots
        inner = [[6 / h]] * (len(knots) - 1)
        bias = [-6 * (a + b) / 2 / h for a, b in pairwise(knots)]
        rises = [b - a for a, b in pairwise(values)]
        return ExactNet(
            [(inner, bias), ([rises], [values[0]])],
            activation=HARD_SIGMOID,
            theorem=_THEOREM,
            checks=checks,
        )
    # relu(t) = (leaky(t) - a t) / (1 - a); all linear parts together are one multiple of
    # x - x_0, which the first unit is on the whole interval
    hidden, (jumps, _) = interpolant.layers[0], _only_row(interpolant)
    outer = [jump / (1 - _LEAK) for jump in jumps]
    outer[0] = jumps[0] - _LEAK * sum(outer[1:], Fraction(0))
    constant = values[0] + _LEAK * sum(
        (w * (x - knots[0]) for w, x in zip(outer[1:], knots[1:-1], strict=True)), Fraction(0)
    )
    return ExactNet(
        [hidden, ([outer], [constant])],
        activation=leaky_relu(_LEAK),
        theorem=_THEOREM,
        checks=checks,
    )


def _only_row(net: ExactNet) -> tuple[list[Fraction], Fraction]:
    weight, bias = net.layers[-1]
    return [Fraction(value) for value in weight[0]], Fraction(bias[0])


def _smooth_steps(
    f: Function,
    knots: list[Fraction],
    samples: NDArray[np.float64],
    lipschitz: float,
    promised: float,
    activation: str,
) -> ShallowNet:
    units, h = len(knots) - 1, float(knots[1] - knots[0])
    k = _steepness(units, h)
    middles = np.array([float((a + b) / 2) for a, b in pairwise(knots)])
    rises = np.diff(samples)
    # σ(t) = (1 + tanh(t/2)) / 2
    halves = activation == "tanh"
    inner = np.full((units, 1), k / 2 if halves else k)
    weights = (
        inner,
        -inner[:, 0] * middles,
        rises / 2 if halves else rises,
        float(samples[0]) + (float(rises.sum()) / 2 if halves else 0.0),
    )
    bare = ShallowNet(*weights, activation=activation)
    # |σ'(t)| <= e^{-|t|} and <= 1/4: the slopes of all units add up to this
    steepest = lipschitz * h * k * (0.25 + _tail(units))
    bracket = _certified_error(f, bare, lipschitz + steepest, float(knots[0]), float(knots[-1]))
    return ShallowNet(
        *weights,
        activation=activation,
        theorem=_THEOREM,
        claims=_error_claims(bracket, promised, samples),
        notes=[f"steepness k = 4 ln N / h = {k:.4g}"],
    )


def _error_claims(bracket: Bracket, promised: float, samples: NDArray[np.float64]) -> list[Claim]:
    # f and the network are evaluated in float64, which a bound that is attained must survive
    rounding = 2.0**-40 * float(np.abs(samples).max())
    return [
        Claim("error", bracket.found, promised=promised + rounding, evidence="float64"),
        Claim(
            "error, gaps covered",
            bracket.certified,
            promised=promised * (1 + _TOLERANCE) + rounding,
            evidence="float64",
        ),
    ]


def _certified_error(
    f: Function, g: Function, lipschitz: float, low: float, high: float
) -> Bracket:
    return sup_on_interval(lambda x: f(x) - g(x), lipschitz, low, high, tolerance=_TOLERANCE)
