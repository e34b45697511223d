"""A fitted law: what it says, how sure it is, and how it is kept.

Axes: n points, r resamples, p parameters.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allmlp.errors import AllmlpError
from allmlp.files import write_text
from allmlp.scaling.forms import Broken, Form, Powers, Shifted
from allmlp.scaling.values import Values

__all__ = ["PowerLawFit", "form_of", "tails"]

Array = NDArray[np.float64]
_REMEDY = "write one by `allmlp scale fit`, or PowerLawFit.save"


@dataclass(frozen=True)
class PowerLawFit:
    """A law with its parameters, and everything needed to judge it.

    Attributes:
        form: `power`, `saturating`, `shifted`, `chinchilla` or `broken`.
        floor: whether it has an irreducible loss E.
        params: by name, in the units of the variables.
        variables: (v, n) of the runs it was fitted to.
        loss: (n,) of those runs.
        weights: (n,) of those runs.
        delta: of the Huber loss of log L; inf is least squares.
        objective: sum of the Huber losses.
        aic: Akaike's criterion; comparable between forms on the same runs.
        residuals: (n,) log of loss over predicted loss.
        covariance: (p, p) of the form's inner parameters, to first order.
        samples: (r, p) parameters of the resamples, in the order of `params`; r may be 0.
        resample: how they were made: `runs`, `residuals` or `none`.
        excluded: rows that were left out.
        notes: what a reader of the numbers must know.
    """

    form: str
    floor: bool
    params: dict[str, float]
    variables: Array
    loss: Array
    weights: Array
    delta: float
    objective: float
    aic: float
    residuals: Array
    covariance: Array
    samples: Array = field(default_factory=lambda: np.zeros((0, 0)))
    resample: str = "none"
    excluded: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def predict(self, *variables: Values) -> Array:
        """Loss at x, or at (N, D), which broadcast; the shape is theirs.

        Raises:
            AllmlpError: another number of variables, or one that is not positive.

        Example:
            >>> from allmlp.scaling import fit_power_law
            >>> x = np.geomspace(1, 1e4, 12)
            >>> law = fit_power_law(x, 0.5 + 2 * x**-0.5, bootstrap=0)
            >>> float(law.predict(100.0).round(6))
            0.7
        """
        points, shape = self._points(variables)
        return self._at(self.params, points).reshape(shape)

    def predict_interval(self, *variables: Values, level: float = 0.95) -> tuple[Array, Array]:
        """Lower and upper bound of the law itself, from the resamples; not of a run's noise.

        Raises:
            AllmlpError: as `predict`, or the law was fitted without resamples.
        """
        points, shape = self._points(variables)
        losses = np.stack([self._at(params, points) for params in self._resampled()])
        low, high = np.quantile(losses, tails(level), axis=0)
        return low.reshape(shape), high.reshape(shape)

    def intervals(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Percentile intervals of the parameters, by name.

        Raises:
            AllmlpError: the law was fitted without resamples.
        """
        self._resampled()
        bounds = np.quantile(self.samples, tails(level), axis=0)
        return {
            name: (float(low), float(high))
            for name, low, high in zip(self.params, *bounds, strict=True)
        }

    def resampled(self) -> list[dict[str, float]]:
        """The parameters of each resample, for intervals of whatever follows from them.

        Raises:
            AllmlpError: the law was fitted without resamples.
        """
        return list(self._resampled())

    def to_dict(self) -> dict[str, Any]:
        """Everything, in what JSON can hold."""
        state = dict(self.__dict__)
        for name, value in state.items():
            if isinstance(value, np.ndarray):
                state[name] = value.tolist()
        state["delta"] = None if math.isinf(self.delta) else self.delta
        return state

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "PowerLawFit":
        """The inverse of `to_dict`.

        Raises:
            AllmlpError: a field is missing, or one too many.
        """
        try:
            made = {**state, "delta": math.inf if state["delta"] is None else state["delta"]}
            for name in ("variables", "loss", "weights", "residuals", "covariance", "samples"):
                made[name] = np.array(made[name], dtype=np.float64)
            for name in ("excluded", "notes"):
                made[name] = tuple(made[name])
            law = cls(**made)
            form_of(law.form, len(law.params), floor=law.floor)
        except (KeyError, TypeError, ValueError) as e:
            lacks = f"no field {e}" if isinstance(e, KeyError) else str(e)
            raise AllmlpError(f"no fitted law ({lacks}); {_REMEDY}") from e
        return law

    def save(self, path: str | Path) -> None:
        """Write it as JSON; the file is there whole or not at all."""
        write_text(Path(path), json.dumps(self.to_dict()) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "PowerLawFit":
        """Read what `save` wrote.

        Raises:
            AllmlpError: there is no such file, or it holds something else.
        """
        try:
            state = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as e:
            raise AllmlpError(f"a fitted law is a JSON file; {path} cannot be read: {e}") from e
        if not isinstance(state, dict):
            raise AllmlpError(
                f"{path} is no fitted law, it holds a {type(state).__name__}; {_REMEDY}"
            )
        try:
            return cls.from_dict(state)
        except AllmlpError as e:
            raise AllmlpError(f"{path} is {e}") from e

    def __str__(self) -> str:
        bounds = self.intervals() if len(self.samples) else {}
        lines = [f"{self._formula()}   ({len(self.loss)} runs, Huber delta {self.delta:g})"]
        for name, value in self.params.items():
            interval = "  95 % [{:.4g}, {:.4g}]".format(*bounds[name]) if bounds else ""
            lines.append(f"  {name:<6}{value:>12.5g}{interval}")
        spread = float(np.sqrt(np.mean(self.residuals**2)))
        lines.append(f"  residuals of log L: rms {spread:.2g}; objective {self.objective:.7g}")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def _formula(self) -> str:
        base = {
            "power": "A x^-alpha",
            "saturating": "A x^-alpha",
            "shifted": "A (x + b)^-alpha",
            "chinchilla": "A N^-alpha + B D^-beta",
            "broken": "A x^-alpha Π (1 + (x/d)^(1/f))^(-c f)",
        }[self.form]
        return f"L = {'E + ' if self.floor else ''}{base}"

    def _points(self, variables: tuple[Values, ...]) -> tuple[Array, tuple[int, ...]]:
        wanted = len(self.variables)
        if len(variables) != wanted:
            raise AllmlpError(
                f"{self.form} is a law of {wanted} variable{'s' * (wanted > 1)}, "
                f"got {len(variables)}"
            )
        arrays = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in variables))
        points = np.stack([a.ravel() for a in arrays])
        if not (np.isfinite(points).all() and (points > 0).all()):
            raise AllmlpError("a law holds at positive finite values; got others")
        return points, arrays[0].shape

    def _at(self, params: Mapping[str, float], points: Array) -> Array:
        form = form_of(self.form, len(params), floor=self.floor)
        # about the points' own centre, so that no amplitude overflows on the way
        centre = np.log(points).mean(axis=1)
        theta = form.from_user(params, centre)
        log_loss, _ = form.log_loss(theta, np.log(points) - centre[:, None])
        return np.exp(log_loss)

    def _resampled(self) -> list[dict[str, float]]:
        if not len(self.samples):
            raise AllmlpError("intervals need resamples; fit with bootstrap=1000")
        return [dict(zip(self.params, row, strict=True)) for row in self.samples.tolist()]


def form_of(name: str, parameters: int, *, floor: bool) -> Form:
    """The form by its name, with as many breaks as its number of parameters says."""
    if name in ("power", "saturating"):
        return Powers(1, floor=floor)
    if name == "chinchilla":
        return Powers(2, floor=floor)
    if name == "shifted":
        return Shifted(floor=floor)
    if name == "broken":
        return Broken((parameters - 2 - floor) // 3, floor=floor)
    raise AllmlpError(f"unknown form {name!r}")


def tails(level: float) -> list[float]:
    """The two quantiles between which an interval of this level lies.

    Raises:
        AllmlpError: a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise AllmlpError(f"a level lies between 0 and 1, got {level}")
    return [(1 - level) / 2, (1 + level) / 2]
