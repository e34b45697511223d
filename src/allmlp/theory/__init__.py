"""Theorems you can run: every one is a constructor, a bound and a verifier.

Networks answer `net(X)` and `net.certificate()`. See docs/theory for statements and proofs.
"""

from allmlp.theory.activation import HARD_SIGMOID, RELU, Activation, leaky_relu
from allmlp.theory.approximation_1d import approximate, relu_interpolant
from allmlp.theory.barron import BarronRun, barron_greedy, gaussian_barron_constant
from allmlp.theory.certificate import Certificate, Claim, Theorem
from allmlp.theory.escape import EscapePath, escape_path, narrow_limit
from allmlp.theory.exact_net import ExactNet
from allmlp.theory.kolmogorov import InnerFunctions, Superposition, inner_functions, superpose
from allmlp.theory.kuhn import kuhn_hat, kuhn_interpolate, kuhn_net, kuhn_size
from allmlp.theory.memorize import memorize, memorize_exact, published_depth
from allmlp.theory.narrow import NarrowRecurrence, StackedNarrowNet
from allmlp.theory.pieces import PiecewiseLinear, graph, l1_distance, on_segment, sup_distance
from allmlp.theory.polynomial_limit import (
    PolynomialLimit,
    alternation_points,
    polynomial_limit,
)
from allmlp.theory.residual import ResidualNet, residual_sawtooth, shallow_to_residual
from allmlp.theory.sawtooth import sawtooth, shallow_l1_bound, units_for_l1_error
from allmlp.theory.shallow_net import ShallowNet
from allmlp.theory.shallow_sawtooth import best_piecewise_linear
from allmlp.theory.spectral import cosine_series, spectral_net
from allmlp.theory.squares import (
    SquareSize,
    best_square,
    polynomial_net,
    product_net,
    square_net,
    square_sizes,
)
from allmlp.theory.sup_error import Bracket, sup_on_cube, sup_on_interval
from allmlp.theory.width import (
    MinimalWidth,
    minimal_widths,
    monotone_limit,
    pyramid_net,
    shallow_to_narrow,
)

__all__ = [
    "HARD_SIGMOID",
    "RELU",
    "Activation",
    "BarronRun",
    "Bracket",
    "Certificate",
    "Claim",
    "EscapePath",
    "ExactNet",
    "InnerFunctions",
    "MinimalWidth",
    "NarrowRecurrence",
    "PiecewiseLinear",
    "PolynomialLimit",
    "ResidualNet",
    "ShallowNet",
    "SquareSize",
    "StackedNarrowNet",
    "Superposition",
    "Theorem",
    "alternation_points",
    "approximate",
    "barron_greedy",
    "best_piecewise_linear",
    "best_square",
    "cosine_series",
    "escape_path",
    "gaussian_barron_constant",
    "graph",
    "inner_functions",
    "kuhn_hat",
    "kuhn_interpolate",
    "kuhn_net",
    "kuhn_size",
    "l1_distance",
    "leaky_relu",
    "memorize",
    "memorize_exact",
    "minimal_widths",
    "monotone_limit",
    "narrow_limit",
    "on_segment",
    "polynomial_limit",
    "polynomial_net",
    "product_net",
    "published_depth",
    "pyramid_net",
    "relu_interpolant",
    "residual_sawtooth",
    "sawtooth",
    "shallow_l1_bound",
    "shallow_to_narrow",
    "shallow_to_residual",
    "spectral_net",
    "square_net",
    "square_sizes",
    "sup_distance",
    "sup_on_cube",
    "sup_on_interval",
    "superpose",
    "units_for_l1_error",
]
