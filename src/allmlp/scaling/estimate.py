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

__all__ = ["Estimate", "Runs", "akaike", "covariance", "estimate", "polish"]

Array = NDArray[np.float64]

POLISHED = 5  # of the best starts
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
        rivals: other minima that starts led to, best first, with their objectives.
    """

    theta: Array
    objective: float
    starts: int
    rivals: tuple[tuple[float, Array], ...]


def estimate(form: Form, runs: Runs) -> Estimate:
    """The lowest minimum that the best starts lead to."""
    ends = sorted(
        (polish(form, runs, theta) for theta in _starts(form, runs)), key=lambda end: end[0]
    )
    (objective, theta), rivals = ends[0], tuple(ends[1:])
    # once more from where the first one stopped: its picture of the curvature may have been stale
    again, theta_again = polish(form, runs, theta)
    if again < objective:
        objective, theta = again, theta_again
    return Estimate(theta, objective, len(ends), rivals)


def polish(form: Form, runs: Runs, theta: Array) -> tuple[float, Array]:
    """BFGS from a start; the objective and the parameters where it stopped, never worse ones."""
    # the objective of log losses is tiny: in units of delta², tolerances mean what they say
    unit = min(runs.delta, 1e-2) ** 2

    def scaled(point: Array) -> tuple[float, Array]:
        value, gradient = runs.objective(form, point)
        return value / unit, gradient / unit

    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        before, _ = runs.objective(form, theta)
        end = minimize(scaled, theta, jac=True, method="BFGS", options={"gtol": 1e-9})
    after = float(end.fun) * unit
    if not math.isfinite(after) or after > before:
        return before, theta
    return after, cast(Array, end.x)


def _starts(form: Form, runs: Runs) -> list[Array]:
    """The best points of the form's grid, with the amplitudes that fit them, in log units."""
    shapes = form.starts(runs.x)
    weight = np.sqrt(runs.weights)
    relative = weight / np.exp(runs.y - runs.y.mean())
    scored = []
    for s in shapes:
        logs, _ = form.log_shapes(s, runs.x)
        shift = logs.max(axis=1, keepdims=True)  # shapes of any size, columns of size 1
        amplitudes, error = nnls(np.exp(logs - shift).T * relative[:, None], weight)
        scored.append((error, s, amplitudes, shift[:, 0]))
    scored.sort(key=lambda entry: entry[0])
    starts: list[Array] = []
    for _, s, amplitudes, shift in scored[:POLISHED]:
        # 0 has no logarithm; a hundredth of what there is can still shrink or grow
        floor = max(1e-2 * amplitudes.max(), 1e-12)
        logs = np.log(np.maximum(amplitudes, floor)) - shift + runs.y.mean()
        starts.append(np.concatenate([logs, s]))
    return starts


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
