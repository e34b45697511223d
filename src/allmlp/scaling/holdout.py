"""Whether a law holds where it was not fitted: the dearest runs, predicted from the others.

Axes: n runs.
"""

import math
from dataclasses import dataclass

import numpy as np

from allmlp.errors import AllmlpError, check_rates
from allmlp.scaling.fit import fit_power_law
from allmlp.scaling.law import PowerLawFit

__all__ = ["Holdout", "hold_out"]


@dataclass(frozen=True)
class Holdout:
    """The dearest runs as the cheaper ones predict them.

    Attributes:
        law: fitted to the cheaper runs, without intervals.
        rows: that were held out, among the runs of the law.
        mean: of `|predicted / loss - 1|` over them.
        largest: likewise.
    """

    law: PowerLawFit
    rows: tuple[int, ...]
    mean: float
    largest: float


def hold_out(law: PowerLawFit, share: float = 0.1) -> Holdout:
    """Fit the same form without the runs of most compute, and predict those.

    Parameters may move far while predictions hold: they make up for each other.

    Args:
        law: of one variable, by whose size runs are sorted, or of (N, D), sorted by N D.
        share: of the runs to hold out, at least one of them.

    Raises:
        AllmlpError: a share outside [0, 1), or too few runs without them.

    Example:
        >>> from allmlp.scaling import fit_power_law
        >>> x = np.geomspace(1, 1e4, 20)
        >>> held = hold_out(fit_power_law(x, 0.5 + 2 * x**-0.5, bootstrap=0))
        >>> held.rows, held.largest < 1e-6
        ((18, 19), True)
    """
    check_rates("hold_out", share=share)
    compute = law.variables.prod(axis=0)
    count = max(1, math.ceil(share * len(compute)))
    order = np.argsort(compute, kind="stable")
    rest, held = np.sort(order[:-count]), np.sort(order[-count:])
    try:
        cheaper = fit_power_law(
            tuple(law.variables[:, rest]),
            law.loss[rest],
            form=law.form,
            breaks=max(1, sum(name.startswith("d") for name in law.params)),
            delta=law.delta,
            weights=law.weights[rest],
            bootstrap=0,
        )
    except AllmlpError as e:
        raise AllmlpError(f"too little is left without the {count} dearest runs: {e}") from e
    wrong = np.abs(cheaper.predict(*law.variables[:, held]) / law.loss[held] - 1)
    return Holdout(cheaper, tuple(held.tolist()), float(wrong.mean()), float(wrong.max()))
