"""How much a ReLU network can stretch: bounds from its weights, and certified norms.

Axes: n points, d inputs, k outputs.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import inf, prod

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.theory.certificate import Certificate, Claim, Theorem
from allmlp.theory.exact_net import ExactNet
from allmlp.theory.plane_regions import PlaneRegions
from allmlp.theory.relu_net import Array, Integers, ReluNet, integer_array, read_relu_net
from allmlp.theory.slices import read_points

__all__ = [
    "NormBracket",
    "boundary_distance",
    "lipschitz_absolute",
    "lipschitz_certificate",
    "lipschitz_product",
    "spectral_norm_bracket",
]

Model = nn.Module | ExactNet | ReluNet

_THEOREM = Theorem(
    "The Lipschitz constant on a plane, between samples and products of norms",
    "allmlp, docs/theory/lipschitz.md",
)


@dataclass(frozen=True)
class NormBracket:
    """`low <= ‖W‖_2 <= high`, proved in rationals."""

    low: Fraction
    high: Fraction


def lipschitz_product(
    model: Model, ord: int | float = 2, *, example: Tensor | None = None
) -> float:
    """`Π ‖W_l‖`, at least the Lipschitz constant on the whole space.

    Args:
        model: as `read_relu_net` takes it.
        ord: 2 (spectral norms), 1 (column sums) or `math.inf` (row sums).
        example: as `read_relu_net` takes it.

    Raises:
        AllmlpError: another norm.
    """
    if ord not in (1, 2, inf):
        raise AllmlpError(f"the norm must be 1, 2 or inf, but got {ord}; choose one of them")
    net = read_relu_net(model, example)
    return float(prod(np.linalg.norm(w, ord) for w in net.weights)) * _steepest(net)


def lipschitz_absolute(model: Model, *, example: Tensor | None = None) -> float:
    """`‖ |W_L| … |W_1| ‖_2`, at least the Lipschitz constant on the whole space.

    No Jacobian exceeds the product of absolute values in any entry. Often below the product of
    norms in narrow networks, above it in wide ones.
    """
    net = read_relu_net(model, example)
    total = np.abs(net.weights[0])
    for weight in net.weights[1:]:
        total = np.abs(weight) @ total
    return float(np.linalg.norm(total, 2)) * _steepest(net)


def _steepest(net: ReluNet) -> float:
    return float(prod(max(Fraction(1), abs(slope)) for slope in net.slopes))


def spectral_norm_bracket(weight: Array, *, gap: float = 1e-12) -> NormBracket:
    """A rational bracket around the largest singular value, of relative width about 2 gap.

    `s² I - WᵀW` is positive definite if and only if ‖W‖ < s; its LDLᵀ factors are computed in
    rationals, for s a little above and a little below the value that float64 finds.

    Args:
        weight: (n, m), its entries read as the rationals they are; up to about 20 × 20.
        gap: relative distance of both ends from the float64 value.

    Raises:
        AllmlpError: the float64 value is further off than the gap.

    Example:
        >>> bracket = spectral_norm_bracket(np.array([[3.0, 0.0], [0.0, 1.0]]))
        >>> float(bracket.low) <= 3 <= float(bracket.high)
        True
    """
    small = weight if weight.shape[1] <= weight.shape[0] else weight.T
    integers, denominator = integer_array(np.array(small, dtype=object))
    gram = integers.T @ integers
    estimate = float(np.linalg.norm(weight, 2))
    low, high = (Fraction(estimate) * (1 + sign * Fraction(gap)) for sign in (-1, 1))
    if estimate and not (
        _norm_below(gram, high * denominator) and not _norm_below(gram, low * denominator)
    ):
        raise AllmlpError(
            f"float64 must find the norm within {gap}, but did not for this matrix; widen the gap"
        )
    return NormBracket(low, high)


def _norm_below(gram: Integers, s: Fraction) -> bool:
    """Whether `s² I - gram` is positive definite, by elimination in rationals."""
    n = len(gram)
    rows = [
        [s * s * (i == j) - Fraction(value) for j, value in enumerate(row)]
        for i, row in enumerate(gram.tolist())
    ]
    for k in range(n):
        if rows[k][k] <= 0:
            return False
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            if factor:
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    return True


def boundary_distance(model: Model, X: ArrayLike) -> Array:
    """How far each point is from the nearest kink, in the whole input space.

    The region of a point is convex and cut out by its units, each affine there: the distance to
    the boundary is the smallest `|z_j| / ‖∇z_j‖` over all hidden units. No enumeration is needed.

    Args:
        model: as `read_relu_net` takes it.
        X: (n, d) points.

    Returns:
        (n,) Euclidean distances; infinite if no unit ever bends.

    Raises:
        AllmlpError: no such network, or points of another width.
    """
    net = read_relu_net(model)
    points = read_points(X, net.in_features)
    distances = np.full(len(points), np.inf)
    for i, point in enumerate(points):
        features, jacobian = point, np.eye(net.in_features)
        for weight, bias, slope in zip(net.weights, net.biases, net.slopes, strict=False):
            z, jacobian = weight @ features + bias, weight @ jacobian
            steepness = np.linalg.norm(jacobian, axis=1)
            if slope != 1:
                bends = steepness > 0
                near = np.abs(z[bends]) / steepness[bends]
                distances[i] = min(distances[i], near.min(initial=np.inf))
            factor = np.where(z > 0, 1.0, float(slope))
            features, jacobian = z * factor, jacobian * factor[:, None]
    return distances


def lipschitz_certificate(
    regions: PlaneRegions, *, samples: int = 10_000, seed: int = 0
) -> Certificate:
    """The ladder: steepest sample <= exact on the plane <= product of absolutes, of norms."""
    rng = np.random.default_rng(seed)
    low, high = np.array(regions.box).T
    coordinates = rng.uniform(low, high, (samples, 2))
    found = regions.locate(coordinates)
    steepest = float(regions.gradient_norms[found[found >= 0]].max(initial=0.0))
    exact = regions.lipschitz
    room = 1 + 1e-9  # float64 on both sides of every claim
    return Certificate(
        _THEOREM,
        (
            Claim(f"steepest of {samples:,} samples", steepest, exact * room, evidence="float64"),
            Claim("exact on the plane", exact, evidence="float64"),
            *(
                Claim(f"{name} bound", bound * room, exact, relation=">=", evidence="float64")
                for name, bound in (
                    ("absolute", lipschitz_absolute(regions.net)),
                    ("product", lipschitz_product(regions.net)),
                )
            ),
        ),
        ("the bounds hold on the whole space, for all directions",),
    )
