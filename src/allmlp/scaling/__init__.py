"""Scaling laws: fit them honestly, and choose sizes by them. Needs numpy and scipy, no torch."""

from allmlp.scaling.allocation import Allocation as Allocation
from allmlp.scaling.allocation import optimal_allocation as optimal_allocation
from allmlp.scaling.fit import fit_power_law as fit_power_law
from allmlp.scaling.frontier import IsoflopMinimum as IsoflopMinimum
from allmlp.scaling.frontier import isoflop_minima as isoflop_minima
from allmlp.scaling.frontier import pareto_frontier as pareto_frontier
from allmlp.scaling.holdout import Holdout as Holdout
from allmlp.scaling.holdout import hold_out as hold_out
from allmlp.scaling.influence import Influence as Influence
from allmlp.scaling.influence import influence as influence
from allmlp.scaling.law import PowerLawFit as PowerLawFit

__all__ = [
    "Allocation",
    "Holdout",
    "Influence",
    "IsoflopMinimum",
    "PowerLawFit",
    "fit_power_law",
    "hold_out",
    "influence",
    "isoflop_minima",
    "optimal_allocation",
    "pareto_frontier",
]
