"""Theorems you can run: every one is a constructor, a bound and a verifier.

Networks answer `net(X)` and `net.certificate()`. See docs/theory for statements and proofs.
"""

from allmlp.theory.activation import HARD_SIGMOID, RELU, Activation, leaky_relu
from allmlp.theory.approximation_1d import approximate, relu_interpolant
from allmlp.theory.barron import BarronRun, barron_greedy, gaussian_barron_constant
from allmlp.theory.box_regions import BoxRegions
from allmlp.theory.certificate import Certificate, Claim, Theorem
from allmlp.theory.decision_boundary import DecisionBoundary, decision_boundary
from allmlp.theory.escape import EscapePath, escape_path, narrow_limit
from allmlp.theory.exact_net import ExactNet
from allmlp.theory.expected_regions import expected_regions, hanin_rolnick_bound
from allmlp.theory.folding import folding_net
from allmlp.theory.init_check import InitCheck, check_init
from allmlp.theory.kolmogorov import InnerFunctions, Superposition, inner_functions, superpose
from allmlp.theory.kuhn import kuhn_hat, kuhn_interpolate, kuhn_net, kuhn_size
from allmlp.theory.line_regions import LineRegions
from allmlp.theory.lipschitz import (
    NormBracket,
    boundary_distance,
    lipschitz_absolute,
    lipschitz_certificate,
    lipschitz_product,
    spectral_norm_bracket,
)
from allmlp.theory.mean_field import (
    ACTIVATIONS,
    Critical,
    MeanField,
    edge_of_chaos,
    he_second_moment,
)
from allmlp.theory.memorize import memorize, memorize_exact, published_depth
from allmlp.theory.narrow import NarrowRecurrence, StackedNarrowNet
from allmlp.theory.pieces import PiecewiseLinear, graph, l1_distance, on_segment, sup_distance
from allmlp.theory.plane_regions import PlaneRegions
from allmlp.theory.polynomial_limit import (
    PolynomialLimit,
    alternation_points,
    polynomial_limit,
)
from allmlp.theory.region_bounds import (
    hinz_upper,
    montufar_lower,
    montufar_upper,
    patterns_upper,
    serra_upper,
    zaslavsky,
)
from allmlp.theory.region_files import region_geojson, save_regions
from allmlp.theory.region_history import region_history
from allmlp.theory.regions import Regions, count_regions
from allmlp.theory.relu_net import ReluNet, random_relu_net, read_relu_net
from allmlp.theory.residual import ResidualNet, residual_sawtooth, shallow_to_residual
from allmlp.theory.sawtooth import sawtooth, shallow_l1_bound, units_for_l1_error
from allmlp.theory.shallow_net import ShallowNet
from allmlp.theory.shallow_sawtooth import best_piecewise_linear
from allmlp.theory.slices import Slice
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
    "ACTIVATIONS",
    "HARD_SIGMOID",
    "RELU",
    "Activation",
    "BarronRun",
    "BoxRegions",
    "Bracket",
    "Certificate",
    "Claim",
    "Critical",
    "DecisionBoundary",
    "EscapePath",
    "ExactNet",
    "InitCheck",
    "InnerFunctions",
    "LineRegions",
    "MeanField",
    "MinimalWidth",
    "NarrowRecurrence",
    "NormBracket",
    "PiecewiseLinear",
    "PlaneRegions",
    "PolynomialLimit",
    "Regions",
    "ReluNet",
    "ResidualNet",
    "ShallowNet",
    "Slice",
    "SquareSize",
    "StackedNarrowNet",
    "Superposition",
    "Theorem",
    "alternation_points",
    "approximate",
    "barron_greedy",
    "best_piecewise_linear",
    "best_square",
    "boundary_distance",
    "check_init",
    "cosine_series",
    "count_regions",
    "decision_boundary",
    "edge_of_chaos",
    "escape_path",
    "expected_regions",
    "folding_net",
    "gaussian_barron_constant",
    "graph",
    "hanin_rolnick_bound",
    "he_second_moment",
    "hinz_upper",
    "inner_functions",
    "kuhn_hat",
    "kuhn_interpolate",
    "kuhn_net",
    "kuhn_size",
    "l1_distance",
    "leaky_relu",
    "lipschitz_absolute",
    "lipschitz_certificate",
    "lipschitz_product",
    "memorize",
    "memorize_exact",
    "minimal_widths",
    "monotone_limit",
    "montufar_lower",
    "montufar_upper",
    "narrow_limit",
    "on_segment",
    "patterns_upper",
    "polynomial_limit",
    "polynomial_net",
    "product_net",
    "published_depth",
    "pyramid_net",
    "random_relu_net",
    "read_relu_net",
    "region_geojson",
    "region_history",
    "relu_interpolant",
    "residual_sawtooth",
    "save_regions",
    "sawtooth",
    "serra_upper",
    "shallow_l1_bound",
    "shallow_to_narrow",
    "shallow_to_residual",
    "spectral_net",
    "spectral_norm_bracket",
    "square_net",
    "square_sizes",
    "sup_distance",
    "sup_on_cube",
    "sup_on_interval",
    "superpose",
    "units_for_l1_error",
    "zaslavsky",
]
