"""How to spend a budget: the size and the number of samples that a law promises the least loss for.

Hoffmann et al. 2022, arXiv:2203.15556, eq. 4: under L = E + A N^-alpha + B D^-beta and C = k N D,
N = G (C / k)^(beta / (alpha + beta)),  G = (alpha A / (beta B))^(1 / (alpha + beta)).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from allmlp.errors import AllmlpError
from allmlp.scaling.law import PowerLawFit, tails

__all__ = ["Allocation", "optimal_allocation"]

# times the largest compute that was fitted
FAR = 10.0


@dataclass(frozen=True)
class Allocation:
    """The best use of a budget, with intervals from the law's resamples.

    Attributes:
        compute: the budget, in FLOPs.
        flops_per: FLOPs for each parameter and sample.
        parameters: N.
        samples: D, all that pass through the model: unique ones times epochs.
        loss: predicted.
        exponent: of N in C: beta / (alpha + beta).
        intervals: of `parameters`, `samples`, `loss` and `exponent`; empty without resamples.
        extrapolated: how many times the largest compute fitted; a warning above 10.
    """

    compute: float
    flops_per: float
    parameters: float
    samples: float
    loss: float
    exponent: float
    intervals: dict[str, tuple[float, float]]
    extrapolated: float

    @property
    def far(self) -> bool:
        """Whether the law was never near this budget."""
        return self.extrapolated > FAR

    def __str__(self) -> str:
        shown = {
            "N": ("parameters", self.parameters),
            "D": ("samples", self.samples),
            "L": ("loss", self.loss),
        }
        lines = [f"C = {self.compute:.3g} FLOPs = {self.flops_per:g} N D"]
        for symbol, (name, value) in shown.items():
            bounds = self.intervals.get(name)
            interval = "  95 % [{:.4g}, {:.4g}]".format(*bounds) if bounds else ""
            lines.append(f"  {symbol}  {value:>10.4g}{interval}")
        if self.far:
            lines.append(
                f"  note: {self.extrapolated:.3g} times the largest compute that was fitted; "
                "take it as a guess"
            )
        return "\n".join(lines)


def optimal_allocation(
    law: PowerLawFit, compute: float, *, flops_per: float = 6.0, level: float = 0.95
) -> Allocation:
    """Divide a budget between parameters and samples.

    Args:
        law: a `chinchilla` law of (N, D).
        compute: the budget C in FLOPs, two for each multiplication with addition.
        flops_per: k of C = k N D; 6 is a forward and a backward pass through dense layers.
        level: of the intervals.

    Raises:
        AllmlpError: another law, a budget that is not positive, or exponents that are not, under
            which there is no best division.

    Example:
        >>> from allmlp.scaling import fit_power_law
        >>> N, D = np.meshgrid(np.geomspace(1e3, 1e6, 5), np.geomspace(1e4, 1e7, 5))
        >>> loss = 0.5 + 20 * N.ravel() ** -0.5 + 30 * D.ravel() ** -0.5
        >>> law = fit_power_law((N.ravel(), D.ravel()), loss, bootstrap=0)
        >>> best = optimal_allocation(law, 6e10)
        >>> round(best.parameters / best.samples, 4)
        0.4444
    """
    if law.form != "chinchilla":
        raise AllmlpError(
            f"a budget is divided by a law of (N, D), this is {law.form}; fit form='chinchilla'"
        )
    if not (math.isfinite(compute) and compute > 0 and flops_per > 0):
        raise AllmlpError(
            f"compute and flops_per must be positive, got {compute:g} and {flops_per:g}"
        )
    both = tails(level)
    best = _divide(law.params, compute / flops_per)
    intervals = {}
    if len(law.samples):
        rows = [_divide(p, compute / flops_per) for p in law.resampled() if _divisible(p)]
        # a resample without a best division says that anything may be best
        whole = len(rows) == len(law.samples)
        for name in best:
            low, high = np.quantile([row[name] for row in rows], both) if whole else (0.0, math.inf)
            intervals[name] = (float(low), float(high))
    largest = float((law.variables[0] * law.variables[1]).max()) * flops_per
    return Allocation(
        compute=float(compute),
        flops_per=float(flops_per),
        intervals=intervals,
        extrapolated=float(compute / largest),
        **best,
    )


def _divide(params: Mapping[str, float], product: float) -> dict[str, float]:
    if not _divisible(params):
        raise AllmlpError(
            "only a law that falls in both variables has a best division, this one has alpha = "
            f"{params['alpha']:.3g}, beta = {params['beta']:.3g}; add runs that vary N and D apart"
        )
    E, A, B, alpha, beta = (params[name] for name in ("E", "A", "B", "alpha", "beta"))
    # in logarithms: the amplitudes may be huge
    log_g = (math.log(alpha) + math.log(A) - math.log(beta) - math.log(B)) / (alpha + beta)
    exponent = beta / (alpha + beta)
    N = math.exp(log_g + exponent * math.log(product))
    D = product / N
    loss = E + A * N**-alpha + B * D**-beta
    return {"parameters": N, "samples": D, "loss": loss, "exponent": exponent}


def _divisible(params: Mapping[str, float]) -> bool:
    return all(0 < params[name] < math.inf for name in ("alpha", "beta", "A", "B"))
