"""Theorems you can run: every one is a constructor, a bound and a verifier.

Networks answer `net(X)` and `net.certificate()`. See docs/theory for statements and proofs.
"""

from allmlp.theory.activation import HARD_SIGMOID, RELU, Activation, leaky_relu
from allmlp.theory.approximation_1d import approximate, relu_interpolant
from allmlp.theory.barron import BarronRun, barron_greedy, gaussian_barron_constant
from allmlp.theory.certificate import Certificate, Claim, Theorem
from allmlp.theory.exact_net import ExactNet
from allmlp.theory.kuhn import kuhn_hat, kuhn_interpolate, kuhn_net, kuhn_size
from allmlp.theory.memorize import memorize, memorize_exact, published_depth
from allmlp.theory.narrow import NarrowRecurrence, StackedNarrowNet
from allmlp.theory.pieces import PiecewiseLinear, graph, l1_distance, sup_distance
from allmlp.theory.polynomial_limit import (
    PolynomialLimit,
    alternation_points,
    polynomial_limit,
)
from allmlp.theory.sawtooth import sawtooth, shallow_l1_bound, units_for_l1_error
from allmlp.theory.shallow_net import ShallowNet
from allmlp.theory.spectral import cosine_series, spectral_net
from allmlp.theory.sup_error import Bracket, sup_on_cube, sup_on_interval

__all__ = [
    "HARD_SIGMOID",
    "RELU",
    "Activation",
    "BarronRun",
    "Bracket",
    "Certificate",
    "Claim",
    "ExactNet",
    "NarrowRecurrence",
    "PiecewiseLinear",
    "PolynomialLimit",
    "ShallowNet",
    "StackedNarrowNet",
    "Theorem",
    "alternation_points",
    "approximate",
    "barron_greedy",
    "cosine_series",
    "gaussian_barron_constant",
    "graph",
    "kuhn_hat",
    "kuhn_interpolate",
    "kuhn_net",
    "kuhn_size",
    "l1_distance",
    "leaky_relu",
    "memorize",
    "memorize_exact",
    "polynomial_limit",
    "published_depth",
    "relu_interpolant",
    "sawtooth",
    "shallow_l1_bound",
    "spectral_net",
    "sup_distance",
    "sup_on_cube",
    "sup_on_interval",
    "units_for_l1_error",
]
