"""Theorems you can run: every one is a constructor, a bound and a verifier.

Networks answer `net(X)` and `net.certificate()`. See docs/theory for statements and proofs.
"""

from allmlp.theory.activation import HARD_SIGMOID, RELU, Activation, leaky_relu
from allmlp.theory.certificate import Certificate, Claim, Theorem
from allmlp.theory.exact_net import ExactNet
from allmlp.theory.memorize import memorize, memorize_exact, published_depth
from allmlp.theory.narrow import NarrowRecurrence, StackedNarrowNet
from allmlp.theory.pieces import PiecewiseLinear, graph, l1_distance, sup_distance
from allmlp.theory.sawtooth import sawtooth, shallow_l1_bound, units_for_l1_error

__all__ = [
    "HARD_SIGMOID",
    "RELU",
    "Activation",
    "Certificate",
    "Claim",
    "ExactNet",
    "NarrowRecurrence",
    "PiecewiseLinear",
    "StackedNarrowNet",
    "Theorem",
    "graph",
    "l1_distance",
    "leaky_relu",
    "memorize",
    "memorize_exact",
    "published_depth",
    "sawtooth",
    "shallow_l1_bound",
    "sup_distance",
    "units_for_l1_error",
]
