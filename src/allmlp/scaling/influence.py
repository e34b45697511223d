"""Which runs a law hangs on.

Axes: n runs.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from allmlp.errors import AllmlpError
from allmlp.scaling.estimate import Runs, refine
from allmlp.scaling.law import PowerLawFit, form_of

__all__ = ["Influence", "influence"]

# median absolute residuals; of Gaussian ones 10 are 6.7 standard deviations
OUTLYING = 10.0


@dataclass(frozen=True)
class Influence:
    """What leaving some runs out does to a law.

    Attributes:
        group: the label of the runs, or the number of the run.
        rows: which they are, among the runs of the law.
        params: fitted without them.
        shift: largest change of an exponent.
        residual: largest `|log L - log L predicted|` among them, by the law fitted without them,
            in units of the median absolute residual of the others.
    """

    group: Hashable
    rows: tuple[int, ...]
    params: dict[str, float]
    shift: float
    residual: float

    @property
    def outlying(self) -> bool:
        """Whether the residual is one that noise does not explain."""
        return self.residual > OUTLYING


def influence(law: PowerLawFit, groups: Sequence[Hashable] | None = None) -> list[Influence]:
    """Leave runs out, one group at a time, and fit the rest anew; the largest change first.

    Args:
        law: as fitted.
        groups: (n,) label of each run, a budget for example; None leaves out single runs.

    Raises:
        AllmlpError: another number of labels than runs, or too few runs without some group.

    Example:
        >>> from allmlp.scaling import fit_power_law
        >>> x = np.geomspace(1, 1e4, 12)
        >>> loss = 0.5 + 2 * x**-0.5
        >>> loss[3] *= 1.5
        >>> influence(fit_power_law(x, loss, bootstrap=0))[0].group
        3
    """
    n = len(law.loss)
    labels = list(range(n)) if groups is None else list(groups)
    if len(labels) != n:
        raise AllmlpError(f"groups need one label for each of {n} runs, got {len(labels)}")
    exponents = [name for name in ("alpha", "beta") if name in law.params]
    # E = 0 means that the form without E was the better one
    floor = law.floor and law.params["E"] > 0
    form = form_of(law.form, len(law.params) - (law.floor and not floor), floor=floor)
    logs = np.log(law.variables)
    centre = logs.mean(axis=1)
    runs = Runs(logs - centre[:, None], centre, np.log(law.loss), law.weights, law.delta)
    theta = form.from_user(law.params, centre)
    table = []
    for label in dict.fromkeys(labels):
        rows = [row for row, own in enumerate(labels) if own == label]
        others = np.array([row for row in range(n) if labels[row] != label])
        if len(others) <= form.size:
            raise AllmlpError(
                f"{len(others)} runs are left without group {label!r}, the law has {form.size} "
                "parameters; make the groups smaller"
            )
        _, rest = refine(form, runs.take(others), theta)
        params = form.to_user(rest, centre)
        residual = np.abs(runs.y - form.log_loss(rest, runs.x)[0])
        unit = max(float(np.median(residual[others])), 1e-12)
        table.append(
            Influence(
                group=label,
                rows=tuple(rows),
                params={name: params.get(name, 0.0) for name in law.params},
                shift=max(abs(params[name] - law.params[name]) for name in exponents),
                residual=float(residual[rows].max() / unit),
            )
        )
    return sorted(table, key=lambda entry: -entry.shift)
