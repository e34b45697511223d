"""Parameters from runs: start by variable projection, polish on the Huber loss of log L.

Hoffmann et al. 2022, arXiv:2203.15556, §3.3, fit this way, from a grid of starts. The losses are
summed here: averaged, they are so small that an optimizer's default tolerances stop it at once.

Axes: n runs, p parameters, v variables, g starts.
"""

import math
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar, nnls

from allmlp.scaling.forms import Form

__all__ = ["STEEPEST", "Estimate", "Runs", "akaike", "covariance", "estimate", "polish", "refine"]

Array = NDArray[np.float64]

POLISHED = 5  # of the best starts
# of exponents that the runs do not tell from larger ones: doubling x takes 7/8 of such a term
STEEPEST = 3.0
# of Akaike's criterion: a smaller difference prefers nothing
INDIFFERENT = 2.0
# of log L: closer than this, losses agree to their last digits
ROUNDING = 1e-9


@dataclass(frozen=True)
class Runs:
    """What is fitted.

    Attributes:
        x: (v, n) logarithms of the variables, less `centre`.
        centre: (v,) mean logarithms.
        y: (n,) log L.
        weights: (n,) factors of each run's share of the objective.
        delta: where the Huber loss turns from squares to absolute values; inf is least squares.
    """

    x: Array
    centre: Array
    y: Array
    weights: Array
    delta: float

    def take(self, rows: NDArray[np.intp]) -> "Runs":
        """Some runs, or some more than once, about the same centre."""
        return replace(self, x=self.x[:, rows], y=self.y[rows], weights=self.weights[rows])

    def objective(self, form: Form, theta: Array) -> tuple[float, Array]:
        """Σ weight · Huber(log L predicted - log L), and its gradient (p)."""
        predicted, slopes = form.log_loss(theta, self.x)
        residual = predicted - self.y
        size = np.abs(residual)
        if math.isinf(self.delta):
            losses = residual**2 / 2
        else:
            # size² would overflow where a line search has gone astray
            inner = np.minimum(size, self.delta)
            losses = inner * (size - inner / 2)
        pull = self.weights * np.clip(residual, -self.delta, self.delta)
        return float(self.weights @ losses), pull @ slopes


@dataclass(frozen=True)
class Estimate:
    """A minimum, and what else came close.

    Attributes:
        theta: (p,) as the form counts them.
        objective: there.
        starts: of the polishes.
        shapes: s, how many of the parameters are those of shapes; they come last.
        rivals: other minima that starts led to, best first, with their objectives.
    """

    theta: Array
    objective: float
    starts: int
    shapes: int
    rivals: tuple[tuple[float, Array], ...]


def estimate(form: Form, runs: Runs) -> Estimate:
    """The lowest minimum that the best starts lead to."""
    ends = sorted(
        (polish(form, runs, theta) for theta in _starts(form, runs)), key=lambda end: end[0]
    )
    rivals = tuple(_settle(form, runs, *end) for end in ends[1:])
    # once more from where the first one stopped: its picture of the curvature may have been stale
    objective, theta = refine(form, runs, ends[0][1])
    return Estimate(theta, objective, len(ends), len(form.shapes), rivals)


def refine(form: Form, runs: Runs, theta: Array) -> tuple[float, Array]:
    """A minimum from one start, and the same from any other along a valley without an end.

    Where only the smallest x shows a term, a larger exponent with a larger amplitude does as well,
    without end: optimizers stop somewhere in that valley. If `STEEPEST` is as good by Akaike's
    criterion, that is the answer.
    """
    return _settle(form, runs, *polish(form, runs, theta))


def polish(
    form: Form, runs: Runs, theta: Array, free: NDArray[np.intp] | None = None
) -> tuple[float, Array]:
    """BFGS from a start; the objective and the parameters where it stopped, never worse ones.

    Args:
        form: of the law.
        runs: that are fitted.
        theta: (p,) the start.
        free: which parameters may move; None is all.
    """
    # the objective of log losses is tiny: in units of delta², tolerances mean what they say
    unit = min(runs.delta, 1e-2) ** 2
    moving = np.arange(len(theta)) if free is None else free
    place = theta.copy()

    def scaled(point: Array) -> tuple[float, Array]:
        place[moving] = point
        value, gradient = runs.objective(form, place)
        return value / unit, gradient[moving] / unit

    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        before, _ = runs.objective(form, theta)
        end = minimize(scaled, theta[moving], jac=True, method="BFGS", options={"gtol": 1e-9})
    after = float(end.fun) * unit
    if not math.isfinite(after) or after > before:
        return before, theta
    place[moving] = end.x
    return after, place


def _settle(form: Form, runs: Runs, objective: float, theta: Array) -> tuple[float, Array]:
    """The same minimum, or the one with exponents at `STEEPEST` if it is as good."""
    steep = [len(form.amplitudes) + form.shapes.index(name) for name in form.exponents]
    steep = [index for index in steep if theta[index] > STEEPEST]
    if not steep:
        return objective, theta
    start = theta.copy()
    start[steep] = STEEPEST
    _, start = _with_amplitudes(form, runs, start[len(form.amplitudes) :])
    free = np.setdiff1d(np.arange(len(theta)), steep)
    held, theta_held = polish(form, runs, start, free)
    if akaike(form, runs, held) - akaike(form, runs, objective) < INDIFFERENT:
        return held, theta_held
    return objective, theta


def _starts(form: Form, runs: Runs) -> list[Array]:
    """The best points of the form's grid, with the amplitudes that fit them, in log units."""
    scored = [_with_amplitudes(form, runs, s) for s in form.starts(runs.x)]
    scored.sort(key=lambda entry: entry[0])
    return [theta for _, theta in scored[:POLISHED]]


def _with_amplitudes(form: Form, runs: Runs, s: Array) -> tuple[float, Array]:
    """Relative error and parameters, given those of the shapes."""
    weight = np.sqrt(runs.weights)
    relative = weight / np.exp(runs.y - runs.y.mean())
    logs, _ = form.log_shapes(s, runs.x)
    shift = logs.max(axis=1, keepdims=True)  # shapes of any size, columns of size 1
    amplitudes, error = nnls(np.exp(logs - shift).T * relative[:, None], weight)
    # 0 has no logarithm; a hundredth of what there is can still shrink or grow
    floor = max(1e-2 * amplitudes.max(), 1e-12)
    logs = np.log(np.maximum(amplitudes, floor)) - shift[:, 0] + runs.y.mean()
    return error, np.concatenate([logs, s])


def akaike(form: Form, runs: Runs, objective: float) -> float:
    """Akaike's criterion under the density whose minus logarithm the objective is.

    Residuals r have the density exp(-Huber(r) / s) / Z(s), with the scale s that fits them best.
    Runs that agree to the last digit count as equally good, or else the fit of rounding errors
    would decide.
    """
    total, delta = float(runs.weights.sum()), runs.delta
    objective = max(objective, total * ROUNDING**2 / 2)

    def minus_log_likelihood(log_s: float) -> float:
        s = math.exp(log_s)
        root = math.sqrt(2 * s)
        inner = math.sqrt(2 * math.pi * s)
        if math.isinf(delta):
            return total * math.log(inner) + objective / s
        tail = 2 * s / delta * math.exp(-(delta**2) / (2 * s))
        return total * math.log(inner * math.erf(delta / root) + tail) + objective / s

    guess = math.log(objective / total)
    best = minimize_scalar(minus_log_likelihood, bounds=(guess - 10, guess + 10), method="bounded")
    return 2 * form.size + 2 * float(best.fun)


def covariance(form: Form, runs: Runs, theta: Array) -> Array:
    """(p, p) of the parameters to first order: H⁻¹ (Σ g gᵀ) H⁻¹, the sandwich of an M-estimator.

    An approximation: it takes log L as linear in the parameters and runs as independent.
    """
    predicted, slopes = form.log_loss(theta, runs.x)
    residual = predicted - runs.y
    inside = np.abs(residual) <= runs.delta
    bread = np.linalg.pinv((slopes * (runs.weights * inside)[:, None]).T @ slopes, hermitian=True)
    pulls = slopes * (runs.weights * np.clip(residual, -runs.delta, runs.delta))[:, None]
    return cast(Array, bread @ (pulls.T @ pulls) @ bread)
