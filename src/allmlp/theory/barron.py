"""Approximation without the curse of dimension: Barron's rate by a greedy algorithm.

Statistical, not exact: the error is a mean over samples, and the best unit of a step is the best
of a random pool.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from allmlp.errors import AllmlpError, check_integers
from allmlp.theory.certificate import Claim, Theorem
from allmlp.theory.shallow_net import ShallowNet

__all__ = ["BarronRun", "barron_greedy", "gaussian_barron_constant"]

_THEOREM = Theorem(
    "Approximation at a rate free of the dimension",
    "Barron 1993, IEEE Trans. Inf. Theory 39(3); greedy steps after Jones 1992",
)


@dataclass(frozen=True)
class BarronRun:
    """The network after the last step, and the error along the way.

    Args:
        net: sigmoidal, as many units as steps.
        errors: mean square error after 1, 2, …, n units, on samples not used for fitting.
        bounds: Barron's `(2 r C_f)² / n`.
    """

    net: ShallowNet
    errors: Float[np.ndarray, " n"]
    bounds: Float[np.ndarray, " n"]


def gaussian_barron_constant(dim: int) -> float:
    """`C_f = ∫ |ω| |f̂(ω)| dω` of `f(x) = exp(-|x|²/2)`: the mean length of a normal vector.

    Example:
        >>> round(gaussian_barron_constant(1) ** 2 * math.pi, 12)  # sqrt(2 / pi)
        2.0
    """
    return math.sqrt(2) * math.exp(math.lgamma((dim + 1) / 2) - math.lgamma(dim / 2))


def barron_greedy(
    dim: int, units: int, *, radius: float = 1.0, seed: int = 0, samples: int = 4000
) -> BarronRun:
    """Fits the Gaussian bump `exp(-|x|²/2)` on a ball, one sigmoid at a time.

    Step n takes `f_n = (1 - s) f_{n-1} + c σ(k (a·x - b))` with the best share s <= 1/n, the best
    of a pool of random directions, biases and steepnesses, and the best `|c| <= s · 2 r C_f`: what
    Barron's convex hull allows. The constant f(0) is the start.

    Args:
        dim: dimension of the ball.
        units: steps.
        radius: r of the ball.
        seed: of the local generator.
        samples: uniform points to fit; as many others measure the error.

    Raises:
        AllmlpError: sizes that are not positive.

    Example:
        >>> run = barron_greedy(5, 20)
        >>> run.net.width, bool((run.errors <= run.bounds).all())
        (20, True)
    """
    check_integers("barron_greedy", minimum=1, dim=dim, units=units, samples=samples)
    if not radius > 0:
        raise AllmlpError(f"barron_greedy needs a positive radius, got {radius}")
    rng = np.random.default_rng(seed)
    fitted, measured = (_ball(rng, samples, dim, radius) for _ in range(2))
    target, truth = (np.exp(-(x**2).sum(axis=1) / 2) for x in (fitted, measured))
    limit = 2 * radius * gaussian_barron_constant(dim)

    fit, test = np.ones(samples), np.ones(samples)  # f(0) = 1
    weight, bias, outer = np.empty((units, dim)), np.empty(units), np.zeros(units)
    errors = np.empty(units)
    for n in range(1, units + 1):
        pool = rng.standard_normal((256, dim))
        pool /= np.linalg.norm(pool, axis=1, keepdims=True)
        steepness = 10 ** rng.uniform(0, 2, 256) / radius
        pool_weight = pool * steepness[:, None]
        pool_bias = -steepness * rng.uniform(-radius, radius, 256)
        hidden = _sigmoid(fitted @ pool_weight.T + pool_bias)
        # f_n = (1 - s) f_{n-1} + c σ, |c| <= s · 2 r C_f: s = 1/n proves the rate, smaller shares
        # often do better. For every share the best c of every unit, and the best of them all.
        power = (hidden**2).mean(axis=0)
        trials = []
        for share in (2.0 ** -np.arange(8)) / n:
            rest = (target - 1) - (1 - share) * (fit - 1)
            match = rest @ hidden / samples
            c = np.clip(match / power, -share * limit, share * limit)
            loss = (rest**2).mean() - 2 * c * match + c**2 * power
            unit = int(np.argmin(loss))
            trials.append((float(loss[unit]), float(share), unit, float(c[unit])))
        _, share, best, scale = min(trials)
        weight[n - 1], bias[n - 1] = pool_weight[best], pool_bias[best]
        outer[: n - 1] *= 1 - share
        outer[n - 1] = scale
        fit = 1 + (1 - share) * (fit - 1) + scale * hidden[:, best]
        unit_at_test = _sigmoid(measured @ weight[n - 1] + bias[n - 1])
        test = 1 + (1 - share) * (test - 1) + scale * unit_at_test
        errors[n - 1] = ((test - truth) ** 2).mean()
    bounds = limit**2 / np.arange(1, units + 1)
    net = ShallowNet(
        weight,
        bias,
        outer,
        1.0,
        activation="sigmoid",
        theorem=_THEOREM,
        claims=[
            Claim("mean square error", float(errors[-1]), float(bounds[-1]), evidence="statistical")
        ],
        notes=[f"mean over {samples} fresh points of the ball; the best of 256 units at each step"],
    )
    return BarronRun(net, errors, bounds)


def _ball(
    rng: np.random.Generator, count: int, dim: int, radius: float
) -> Float[np.ndarray, "n d"]:
    points = rng.standard_normal((count, dim))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    scaled: Float[np.ndarray, "n d"] = points * radius * rng.uniform(size=(count, 1)) ** (1 / dim)
    return scaled


def _sigmoid(z: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    halved: Float[np.ndarray, ...] = (1 + np.tanh(z / 2)) / 2
    return halved
