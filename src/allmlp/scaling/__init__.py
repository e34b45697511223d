"""Scaling laws: train the runs, fit laws honestly, and choose sizes by them.

Fitting needs numpy and scipy alone; a sweep imports torch when it trains.
"""

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
from allmlp.scaling.sweep import SweepState as SweepState
from allmlp.scaling.sweep import read_sweep as read_sweep
from allmlp.scaling.sweep import run_sweep as run_sweep
from allmlp.scaling.trial import Settings as Settings
from allmlp.scaling.trial import Trial as Trial
from allmlp.scaling.trial import make_trials as make_trials

__all__ = [
    "Allocation",
    "Holdout",
    "Influence",
    "IsoflopMinimum",
    "PowerLawFit",
    "Settings",
    "SweepState",
    "Trial",
    "fit_power_law",
    "hold_out",
    "influence",
    "isoflop_minima",
    "make_trials",
    "optimal_allocation",
    "pareto_frontier",
    "read_sweep",
    "run_sweep",
]
