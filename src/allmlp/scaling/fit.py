"""From a table of finished runs to a law with intervals.

Axes: v variables, n runs, p parameters, r resamples.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.scaling.estimate import (
    STEEPEST,
    Estimate,
    Runs,
    akaike,
    covariance,
    estimate,
    refine,
)
from allmlp.scaling.forms import EXPONENTS, Broken, Form, Powers, Shifted
from allmlp.scaling.law import PowerLawFit
from allmlp.scaling.resample import resample_residuals, resample_runs
from allmlp.scaling.values import Values

__all__ = ["FORMS", "fit_power_law"]

Array = NDArray[np.float64]

FORMS = ("power", "saturating", "shifted", "chinchilla", "broken")
RESAMPLES = ("runs", "residuals")
# below this range of a variable, its exponent is a guess
LEAST_RANGE = 4.0


def fit_power_law(
    x: Values | Sequence[Values],
    loss: Values,
    *,
    form: str = "auto",
    breaks: int = 1,
    delta: float = 1e-3,
    weights: Values | None = None,
    exclude: Sequence[int] = (),
    bootstrap: int = 1000,
    resample: str = "runs",
    seed: int = 0,
) -> PowerLawFit:
    """Fit a scaling law to runs, by Huber's loss of log L.

    `saturating`, `shifted`, `chinchilla` and `broken` have an irreducible loss E; where the same
    form without it is the better one by Akaike's criterion, that is what comes back, with E = 0.
    Every resample chooses for itself, so that intervals tell of that choice, too.

    Args:
        x: (n,) parameters, samples or compute of each run; for `chinchilla` a tuple of two, (N, D).
        loss: (n,) loss, or classification error in (0, 1], of each run.
        form: `power` (A x^-alpha), `saturating` (E + A x^-alpha), `shifted` (E + A (x + b)^-alpha),
            `chinchilla` (E + A N^-alpha + B D^-beta), `broken` (the exponent changes at breaks), or
            `auto`: `saturating` for one variable, `chinchilla` for two.
        breaks: of `broken`.
        delta: residuals of log L beyond it count by their size, not by their square. It matters as
            much as the noise, so it is part of the result; `math.inf` is least squares.
        weights: (n,) factors of each run's share; None is 1.
        exclude: rows to leave out. They are named in the result.
        bootstrap: resamples for intervals; 0 for none.
        resample: `runs` draws whole runs, within each budget where budgets are repeated;
            `residuals` keeps the runs and deals the residuals anew.
        seed: of the resamples.

    Returns:
        The law, its intervals, and notes on what cannot be known from these runs.

    Raises:
        AllmlpError: values that are not positive and finite, too few runs for the form, or a
            variable that does not vary.

    Example:
        >>> x = np.geomspace(1e3, 1e7, 12)
        >>> law = fit_power_law(x, 0.1 + 3 * x**-0.25, bootstrap=0)
        >>> {name: round(value, 4) for name, value in law.params.items()}
        {'A': 3.0, 'E': 0.1, 'alpha': 0.25}
    """
    check_choice("form", form, ("auto", *FORMS))
    check_choice("resample", resample, RESAMPLES)
    check_integers("fit_power_law", minimum=0, bootstrap=bootstrap)
    check_integers("fit_power_law", minimum=1, breaks=breaks)
    variables, losses, factors, kept = _read(x, loss, weights, exclude)
    if form == "auto":
        form = "saturating" if len(variables) == 1 else "chinchilla"
    candidates = _candidates(form, breaks)
    _check(candidates[0], variables, losses, delta)

    logs = np.log(variables)
    centre = logs.mean(axis=1)
    runs = Runs(logs - centre[:, None], centre, np.log(losses), factors, float(delta))
    results = [(candidate, estimate(candidate, runs)) for candidate in candidates]
    scores = [_score(c, runs, f.theta, f.objective) for c, f in results]
    best = int(np.argmin(scores))
    chosen, found = results[best]
    predicted, _ = chosen.log_loss(found.theta, runs.x)

    def refit(drawn: Runs) -> Array:
        """As above, from where fits to all runs ended."""
        ends = [(c, *refine(c, drawn, theta)) for c, f in results for theta in _equals(f)]
        form, _, theta = min(ends, key=lambda end: _score(end[0], drawn, end[2], end[1]))
        return np.array(list(_named(form, candidates[0], theta, centre).values()))

    if resample == "runs":
        rows = resample_runs(runs, refit, bootstrap, seed)
    else:
        rows = resample_residuals(
            runs, refit, bootstrap, seed, predicted=predicted, parameters=chosen.size
        )
    params = _named(chosen, candidates[0], found.theta, centre)
    dropped = sorted(set(range(len(kept))) - set(np.flatnonzero(kept).tolist()))
    return PowerLawFit(
        form=form,
        floor=candidates[0].floor,
        params=params,
        variables=variables,
        loss=losses,
        weights=factors,
        delta=float(delta),
        objective=found.objective,
        aic=scores[best],
        residuals=runs.y - predicted,
        covariance=covariance(chosen, runs, found.theta),
        samples=np.array(rows) if rows else np.zeros((0, len(params))),
        resample=resample if rows else "none",
        excluded=tuple(dropped),
        notes=tuple(_notes(chosen, candidates[0], found, variables, losses, dropped)),
    )


def _candidates(form: str, breaks: int) -> list[Form]:
    """The form, and after it the same one without E."""
    if form == "power":
        return [Powers(1, floor=False)]
    if form == "saturating":
        return [Powers(1), Powers(1, floor=False)]
    if form == "shifted":
        return [Shifted(), Shifted(floor=False)]
    if form == "chinchilla":
        return [Powers(2), Powers(2, floor=False)]
    return [Broken(breaks), Broken(breaks, floor=False)]


def _read(
    x: Values | Sequence[Values],
    loss: Values,
    weights: Values | None,
    exclude: Sequence[int],
) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    columns = x if isinstance(x, tuple) else (x,)
    losses = _column("loss", loss)
    n = len(losses)
    variables = [_column(f"variable {i}", column) for i, column in enumerate(columns, start=1)]
    factors = np.ones(n) if weights is None else _column("weights", weights)
    if any(len(column) != n for column in [*variables, factors]):
        sizes = ", ".join(str(len(column)) for column in [*variables, losses, factors])
        raise AllmlpError(
            f"variables, loss and weights need one entry per run, got {sizes}; pass two variables "
            "as a tuple (N, D)"
        )
    kept = np.ones(n, dtype=bool)
    for row in exclude:
        if not 0 <= row < n:
            raise AllmlpError(f"exclude holds rows 0 … {n - 1}, got {row}")
        kept[row] = False
    for name, column in [
        ("loss", losses),
        *((f"variable {i}", v) for i, v in enumerate(variables, 1)),
        ("weight", factors),
    ]:
        bad = np.flatnonzero(kept & ~(np.isfinite(column) & (column > 0)))
        if len(bad):
            raise AllmlpError(
                f"every {name} must be positive and finite, row {bad[0]} has {column[bad[0]]}; "
                "mend it, or leave the row out with exclude"
            )
    return np.stack(variables)[:, kept], losses[kept], factors[kept], kept


def _column(name: str, values: Values) -> Array:
    try:
        column = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as e:
        raise AllmlpError(f"{name} must be numbers, got others: {e}") from e
    if column.ndim != 1:
        raise AllmlpError(f"{name} must have one entry per run, got shape {column.shape}")
    return column


def _check(form: Form, variables: Array, losses: Array, delta: float) -> None:
    if len(variables) != form.variables:
        raise AllmlpError(
            f"{form.name} is a law of {form.variables} variable{'s' * (form.variables > 1)}, got "
            f"{len(variables)}; pass {'(N, D)' if form.variables == 2 else 'one array'}"
        )
    if not delta > 0:
        raise AllmlpError(f"delta must be positive, got {delta}; math.inf is least squares")
    distinct = len(np.unique(np.vstack([variables, losses]), axis=1).T)
    needed = 3 * form.size if isinstance(form, Broken) else form.size + 1
    if distinct < needed:
        raise AllmlpError(
            f"{form.name} has {form.size} parameters and needs at least {needed} different runs, "
            f"got {distinct}; add runs, or take a form with fewer parameters"
        )
    for index, column in enumerate(variables, start=1):
        values = len(np.unique(column))
        # with two values of x, a curve and a straight line in logarithms look the same
        least = 2 if form.variables == 2 or not form.floor else 3
        if values < least:
            raise AllmlpError(
                f"variable {index} must take at least {least} values for {form.name}, it takes "
                f"{values}; vary it, or drop it"
            )


def _score(form: Form, runs: Runs, theta: Array, objective: float) -> float:
    """Akaike's criterion; inf for a term that is an E under another name."""
    m = len(form.amplitudes)
    least = min(theta[m + form.shapes.index(name)] for name in form.exponents)
    if not form.floor and form.name != "power" and least < EXPONENTS[0]:
        return math.inf
    return akaike(form, runs, objective)


def _equals(found: Estimate) -> list[Array]:
    """The parameters (p), and others that fit as well to 0.1 % and differ by more than 1 %."""
    equals = [found.theta]
    # of an exact fit, rounding errors are no other parameters
    limit = found.objective * 1.001 if found.objective > 1e-15 else -math.inf
    for objective, theta in found.rivals:
        shapes = [(theta / other - 1)[-found.shapes :] for other in equals]
        if objective <= limit and min(np.abs(d).max() for d in shapes) > 0.01:
            equals.append(theta)
    return equals


def _named(chosen: Form, asked: Form, theta: Array, centre: Array) -> dict[str, float]:
    """Parameters in the order of the form that was asked for, E = 0 where it is missing."""
    params = chosen.to_user(theta, centre)
    return {name: params.get(name, 0.0) for name in asked.amplitudes + asked.shapes}


def _notes(
    chosen: Form, asked: Form, found: Estimate, variables: Array, losses: Array, dropped: list[int]
) -> list[str]:
    notes = []
    if chosen.floor != asked.floor:
        notes.append("no irreducible loss: without E the law is the better one (AIC)")
    if len(losses) < 3 * asked.size:
        notes.append(
            f"{len(losses)} runs for {asked.size} parameters: intervals are wide and may be wrong"
        )
    for index, column in enumerate(variables, start=1):
        ratio = column.max() / column.min()
        if ratio < LEAST_RANGE:
            notes.append(
                f"variable {index} varies by a factor {ratio:.3g}; its exponent is a guess"
            )
    m = len(chosen.amplitudes)
    for name in chosen.exponents:
        value = found.theta[m + chosen.shapes.index(name)]
        if value <= 0:
            notes.append(f"{name} = {value:.3g}: the loss does not fall")
        elif value == STEEPEST:
            notes.append(
                f"{name} is not identified: it is large, and {STEEPEST:g} does as well as any "
                "larger one; the runs show that term at the smallest sizes alone"
            )
        elif not EXPONENTS[0] < value < EXPONENTS[1]:
            notes.append(f"{name} = {value:.3g} lies outside {EXPONENTS[0]} … {EXPONENTS[1]}")
    _, *rivals = _equals(found)
    if rivals:
        values = zip(chosen.shapes, rivals[0][m:], strict=True)
        notes.append(
            "weakly identified: other parameters fit as well to 0.1 % ("
            + ", ".join(f"{name} = {value:.3g}" for name, value in values)
            + ")"
        )
    if dropped:
        notes.append(f"{len(dropped)} runs left out")
    return notes
