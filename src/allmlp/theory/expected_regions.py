"""How many regions a random network has, by the formula of Kac and Rice.

At initialisation a unit's pre-activation is a Gaussian process over the inputs: exactly in the
first hidden layer, in the limit of wide layers behind it. Its zeros, and the points where two units
are zero, then have a known density. On a line, regions are 1 + breakpoints. On a rectangle, Euler's
formula gives 1 + crossings + half the boundary's crossings, where the curves hang together.

Axes: g grid points, m slice coordinates, L hidden layers.
"""

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np

from allmlp.errors import AllmlpError, check_integers
from allmlp.theory.relu_net import Array
from allmlp.theory.slices import Box, Slice, read_box

__all__ = ["expected_regions", "hanin_rolnick_bound"]

_GRID, _ANGLES = 64, 32


def expected_regions(
    widths: Sequence[int],
    box: Sequence[Any] = (-1, 1),
    slice: Slice | None = None,
    *,
    weight_var: float = 2.0,
    bias_std: float = 0.1,
    slope: float = 0.0,
) -> float:
    """The mean number of activation regions of `random_relu_net` on a line or a plane.

    Exact for one hidden layer; behind it the error is of the order of 1 / width.

    Args:
        widths: inputs and hidden layers.
        box: as `count_regions` takes it.
        slice: as `count_regions` takes it; needed for three inputs or more.
        weight_var: weights are N(0, weight_var / fan_in).
        bias_std: biases are N(0, bias_std²); positive, or all zeros meet at the origin.
        slope: of the activation to the left of 0.

    Raises:
        AllmlpError: three inputs or more without a slice, or no bias.

    Source: Kac 1943, Rice 1944; for networks after Hanin and Rolnick 2019, arXiv:1901.09021.

    Example:
        >>> round(expected_regions((1, 100), (-1, 1), bias_std=1.0, weight_var=1.0), 3)  # 1 + n / 2
        51.0
    """
    for i, n in enumerate(widths):
        check_integers("expected_regions", minimum=1, **{f"widths[{i}]": n})
    inputs, hidden = widths[0], list(widths[1:])
    if slice is None and inputs <= 2:
        eye = np.eye(inputs)
        slice = Slice(np.zeros(inputs), eye)
    if slice is None or bias_std <= 0:
        raise AllmlpError(
            "expected_regions needs a slice beyond two inputs and a positive bias_std, but got "
            f"{inputs} inputs, slice {slice} and bias_std {bias_std}; without biases all zeros "
            "meet at the origin"
        )
    m = len(slice.directions)
    limits = read_box(box, m)
    factors = weight_var, bias_std**2, (1 + slope**2) / 2
    if m == 1:
        at, weight = _nodes(limits[0])
        along = _zeros_along(slice, at[:, None], 0, len(hidden), factors)
        return 1 + sum(
            n * float(density @ weight) for n, density in zip(hidden, along, strict=True)
        )
    ends = _boundary(slice, limits, hidden, factors)
    return 1 + ends / 2 + _crossings(slice, limits, hidden, factors)


def hanin_rolnick_bound(inputs: int, units: int, *, volume_scale: float = 1.0) -> float:
    """`(T · units)^{n_0} / n_0!`: the order of the mean number of regions, whatever the depth.

    Args:
        inputs: n_0.
        units: hidden units in all layers together.
        volume_scale: T, a constant that depends on the box and the initialisation.

    Source: Hanin and Rolnick 2019, arXiv:1906.00904, theorem 1.
    """
    check_integers("hanin_rolnick_bound", minimum=1, inputs=inputs, units=units)
    factorial = float(np.prod(np.arange(1, inputs + 1, dtype=np.float64)))
    return (volume_scale * units) ** inputs / factorial


def _covariances(
    slice: Slice, points: Array, depth: int, factors: tuple[float, float, float]
) -> list[tuple[Array, Array]]:
    """By layer: a unit's variance (g,) and its gradient's covariance (g, m, m) where it is 0.

    Args:
        slice: the line or plane.
        points: (g, m) in its coordinates.
        depth: hidden layers.
        factors: σ_w², σ_b² and E σ(z)² / E z².
    """
    weight_var, bias_var, gain = factors
    x = slice(points)
    variance = weight_var * (x**2).mean(axis=1) + bias_var
    mixed = weight_var * x @ slice.directions.T / x.shape[1]  # of value and gradient
    gradient = np.tile(weight_var * slice.gram / x.shape[1], (len(x), 1, 1))
    layers = []
    for _ in range(depth):
        given_zero = gradient - mixed[:, :, None] * mixed[:, None] / variance[:, None, None]
        layers.append((variance, given_zero))
        # E relu(z)² = E z² / 2, and so for the gradient, since (z, z') and its negative are alike
        variance = weight_var * gain * variance + bias_var
        mixed, gradient = weight_var * gain * mixed, weight_var * gain * gradient
    return layers


def _nodes(side: tuple[float, float]) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights on an interval, in four pieces: densities peak at 0."""
    x, w = np.polynomial.legendre.leggauss(_GRID // 4)
    edges = np.linspace(*side, 5)
    half = np.diff(edges) / 2
    nodes = (edges[:-1] + half)[:, None] + half[:, None] * x
    return nodes.ravel(), (half[:, None] * w).ravel()


def _zeros_along(
    slice: Slice, points: Array, axis: int, depth: int, factors: tuple[float, float, float]
) -> list[Array]:
    """Density of one unit's zeros along a coordinate axis, for each layer: √(Σ / K) / π."""
    return [
        np.sqrt(np.maximum(gradient[:, axis, axis], 0) / variance) / np.pi
        for variance, gradient in _covariances(slice, points, depth, factors)
    ]


def _boundary(
    slice: Slice, box: Box, hidden: list[int], factors: tuple[float, float, float]
) -> float:
    """Mean number of zeros of all units on the four sides of the rectangle."""
    total = 0.0
    for axis in (0, 1):
        at, weight = _nodes(box[axis])
        for end in box[1 - axis]:
            points = np.full((len(at), 2), end)
            points[:, axis] = at
            along = _zeros_along(slice, points, axis, len(hidden), factors)
            total += sum(n * float(d @ weight) for n, d in zip(hidden, along, strict=True))
    return total


def _crossings(
    slice: Slice, box: Box, hidden: list[int], factors: tuple[float, float, float]
) -> float:
    """Mean number of points in the rectangle where two units are zero."""
    (s, ws), (t, wt) = _nodes(box[0]), _nodes(box[1])
    points = np.stack(np.meshgrid(s, t, indexing="ij"), axis=-1).reshape(-1, 2)
    weight = np.outer(ws, wt).ravel()
    layers = _covariances(slice, points, len(hidden), factors)
    angles = np.arange(_ANGLES) * np.pi / _ANGLES
    circle = np.stack([np.cos(angles), np.sin(angles)])
    total = 0.0
    for i, (variance, gradient) in enumerate(layers):
        # the gradient of one unit is root · normal; E |det(a, b)| = mean over its direction of the
        # other's spread across it
        root = np.linalg.cholesky(gradient + 1e-300 * np.eye(2))
        normal = root @ circle
        across = np.stack([-normal[:, 1], normal[:, 0]], axis=1)
        for j, (other_variance, other) in enumerate(layers[: i + 1]):
            pairs = comb(hidden[i], 2) if i == j else hidden[i] * hidden[j]
            spread = np.sqrt(np.einsum("gaq,gab,gbq->gq", across, other, across)).mean(axis=1)
            density = spread / (2 * np.pi * np.sqrt(variance * other_variance))
            total += pairs * float(density @ weight)
    return total
