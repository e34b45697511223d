"""Signals in a random network: how large they are in each layer, and where chaos begins.

Weights are N(0, σ_w² / fan_in), biases N(0, σ_b²). In the limit of wide layers a pre-activation
of layer l + 1 is Gaussian with variance `q' = σ_w² E[φ(√q Z)²] + σ_b²`, and a small change of the
input is stretched by `χ = σ_w² E[φ'(√q Z)²]` per layer: order for χ < 1, chaos for χ > 1, and at
χ = 1 the edge between them.

Source: Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from torch import Tensor
from torch.nn import functional as F

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.theory.relu_net import Array

__all__ = ["ACTIVATIONS", "Critical", "MeanField", "edge_of_chaos", "he_second_moment"]

# name -> the function, and the points where it or its slope bends
ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[float, ...]]] = {
    "celu": (F.celu, (0.0,)),
    "elu": (F.elu, (0.0,)),
    "erf": (torch.erf, ()),
    "gelu": (F.gelu, ()),
    "gelu_tanh": (lambda z: F.gelu(z, approximate="tanh"), ()),
    "hard_sigmoid": (F.hardsigmoid, (-3.0, 3.0)),
    "hard_swish": (F.hardswish, (-3.0, 3.0)),
    "hard_tanh": (F.hardtanh, (-1.0, 1.0)),
    "identity": (lambda z: z, ()),
    "leaky_relu": (F.leaky_relu, (0.0,)),
    "mish": (F.mish, ()),
    "relu": (F.relu, (0.0,)),
    "relu6": (F.relu6, (0.0, 6.0)),
    "selu": (F.selu, (0.0,)),
    "sigmoid": (torch.sigmoid, ()),
    "silu": (F.silu, ()),
    "sin": (torch.sin, ()),
    "softplus": (F.softplus, ()),
    "softsign": (F.softsign, (0.0,)),
    "tanh": (torch.tanh, ()),
}

# beyond 10 standard deviations lies 1.5e-23 of a Gaussian
_WIDTH, _PIECES, _NODES = 10.0, 40, 24
_MOST_WAVES = 1e6
_NODE, _WEIGHT = np.polynomial.legendre.leggauss(_NODES)


@dataclass(frozen=True)
class MeanField:
    """The recursion of variances for one activation and one initialisation.

    Args:
        activation: a name of `ACTIVATIONS`.
        weight_var: σ_w².
        bias_var: σ_b².

    Raises:
        AllmlpError: an unknown activation, or a variance that is negative or not finite.

    Example:
        >>> tanh = MeanField("tanh", weight_var=1.5**2, bias_var=0.3**2)
        >>> round(tanh.fixed_point(), 4), round(tanh.chi(tanh.fixed_point()), 3)
        (0.9608, 1.061)
    """

    activation: str
    weight_var: float
    bias_var: float = 0.0

    def __post_init__(self) -> None:
        check_choice("activation", self.activation, ACTIVATIONS)
        for name, value in (("weight_var", self.weight_var), ("bias_var", self.bias_var)):
            if not 0 <= value < math.inf:
                raise AllmlpError(
                    f"{name} is a variance, at least 0 and finite, but got {value}; square the "
                    "standard deviation"
                )

    def moments(self, q: float) -> tuple[float, float, float]:
        """`E φ²`, `E φ⁴` and `E φ'²` at `φ(√q Z)`."""
        return _moments(self.activation, q)

    def step(self, q: float) -> float:
        """The variance behind a layer whose input has pre-activations of variance q."""
        return self.weight_var * self.moments(q)[0] + self.bias_var

    def chi(self, q: float) -> float:
        """By how much a layer stretches the squared length of a small change."""
        return self.weight_var * self.moments(q)[2]

    def fixed_point(self, start: float = 1.0, *, steps: int = 2000) -> float:
        """The variance that deep layers settle at, from a start; infinite if it runs away."""
        q = start
        for _ in range(steps):
            following = self.step(q)
            if not following < 1e12:
                return math.inf
            if following < 1e-290:
                return 0.0
            if abs(following - q) <= 1e-13 * following:
                return following
            q = following
        return q

    def depth_scale(self, q: float) -> float:
        """Layers over which a change shrinks by e, `-1 / ln χ`; infinite from the edge on."""
        chi = self.chi(q)
        return -1 / math.log(chi) if 0 < chi < 1 else math.inf if chi >= 1 else 0.0

    def variances(self, first: float, widths: Sequence[int]) -> tuple[Array, Array]:
        """Mean and variance of the conditional variance K_l of pre-activations, to order 1 / width.

        K_1 = first is given; `K_{l+1} = σ_w² mean_j φ(z_j)² + σ_b²` over the n_l units of layer l.
        Exact for ReLU without biases, where `E K² = K² Π (1 + 5 / n_l)`.

        Args:
            first: K_1, from the input's mean square.
            widths: n_1 … n_L.

        Returns:
            Both (L,).
        """
        mean, spread = [first], [0.0]
        for n in widths[:-1]:
            q, v = mean[-1], spread[-1]
            if q == 0:  # no spread about nothing
                mean.append(self.step(0.0))
                spread.append(0.0)
                continue
            second, fourth, _ = self.moments(q)
            h = 1e-3 * q
            ahead, behind = self.step(q + h), self.step(q - h)
            here = self.weight_var * second + self.bias_var
            slope, bend = (ahead - behind) / (2 * h), (ahead - 2 * here + behind) / h**2
            fresh = self.weight_var**2 * (fourth - second**2) / n
            mean.append(here + bend * v / 2)
            spread.append(slope**2 * v + fresh * (1 + v / q**2))
        return np.array(mean), np.array(spread)


@dataclass(frozen=True)
class Critical:
    """One point of the edge of chaos.

    Args:
        weight_var: σ_w².
        bias_var: σ_b².
        variance: q*, a variance that a layer leaves as it is.
        stable: whether deep layers settle there, coming from variances nearby. With GELU, SiLU and
            their like they do not: signals a little larger run away or settle elsewhere.
    """

    weight_var: float
    bias_var: float
    variance: float
    stable: bool


def edge_of_chaos(activation: str, bias_var: float = 0.0) -> Critical:
    """The weights for which small changes neither die out nor explode: χ = 1 at the fixed point.

    The edge is a curve, `σ_w² = 1 / E φ'²`, `σ_b² = q - σ_w² E φ²`, with q as its parameter; the
    point with the wanted σ_b² and the smallest q is taken. ReLU and its like have it at one σ_b²
    only, 0, where q is any (1 is given).

    Of several points the first stable one is taken, and an unstable one only if there is no other;
    see `Critical.stable`.

    Args:
        activation: a name of `ACTIVATIONS`.
        bias_var: σ_b².

    Raises:
        AllmlpError: an unknown activation, or no such point between q = 1e-6 and 1e4.

    Example:
        >>> edge_of_chaos("relu").weight_var, round(edge_of_chaos("tanh", 0.05).weight_var, 2)
        (2.0, 1.76)
    """
    check_choice("activation", activation, ACTIVATIONS)

    def point(q: float) -> tuple[float, float]:
        second, _, slope = _moments(activation, q)
        return 1 / slope, q - second / slope

    scales = np.geomspace(1e-6, 1e4, 241)
    surplus = np.array([point(q)[1] for q in scales]) - bias_var
    # rounding of the quadrature, relative to the terms that cancel
    flat = np.abs(surplus) <= 1e-9 * np.maximum(scales, bias_var)
    if flat.all():
        return Critical(_tidy(point(1.0)[0]), bias_var, 1.0, stable=True)
    found = []
    if bias_var == 0 and _moments(activation, 0.0)[0] == 0:  # the edge starts in the linear limit
        limit = _tidy(point(1e-24)[0])
        shrinks = MeanField(activation, limit).step(1e-3) < 1e-3
        found.append(Critical(limit, 0.0, 0.0, stable=shrinks))
    for a, b, left, right in zip(scales, scales[1:], surplus, surplus[1:], strict=False):
        if left == 0 or left * right < 0:
            q = float(brentq(lambda s: point(s)[1] - bias_var, a, b, xtol=1e-15, rtol=1e-13))
            field, h = MeanField(activation, point(q)[0], bias_var), 1e-4 * q
            slope = (field.step(q + h) - field.step(q - h)) / (2 * h)
            found.append(Critical(field.weight_var, bias_var, q, stable=slope < 1))
    if found:
        return next((point for point in found if point.stable), found[0])
    low, high = float(surplus.min() + bias_var), float(surplus.max() + bias_var)
    raise AllmlpError(
        f"the edge of chaos of {activation} must reach bias_var {bias_var}, but lies between "
        f"{low:.3g} and {high:.3g}; choose another bias_var"
    )


def he_second_moment(widths: Sequence[int]) -> Fraction:
    """`E q_L² / q_0² = Π (1 + 5 / n_l)`: how heavy the tail is at He's initialisation.

    For ReLU, weights N(0, 2 / fan_in), no biases and any widths; q_l is the mean square of the
    activations of layer l, and `E q_L = q_0` exactly. Depth over width is what counts.

    Source: docs/theory/initialisation.md; after Hanin and Rolnick 2018, arXiv:1803.01719.

    Example:
        >>> he_second_moment([20] * 10) == Fraction(5, 4) ** 10
        True
    """
    total = Fraction(1)
    for i, n in enumerate(widths):
        check_integers("he_second_moment", minimum=1, **{f"widths[{i}]": n})
        total *= 1 + Fraction(5, n)
    return total


def _tidy(value: float) -> float:
    """The nearest number of ten digits: what a limit was meant to be."""
    return float(f"{value:.10g}")


def _moments(activation: str, q: float) -> tuple[float, float, float]:
    function, kinks = ACTIVATIONS[activation]
    root = math.sqrt(q)
    pieces = _PIECES
    if activation == "sin":
        if q > _MOST_WAVES:
            raise AllmlpError(f"moments of sin are known up to q = {_MOST_WAVES:g}, got {q:g}")
        # the fourth moment has four times as many waves
        pieces = max(pieces, math.ceil(2 * _WIDTH * 4 * root / _NODES))
    edges = np.linspace(-_WIDTH, _WIDTH, pieces + 1)
    inner = [k / root for k in kinks if root > 0 and abs(k) < _WIDTH * root]
    if root > 1:  # what an activation does around 0 is as narrow as the signal is large
        near = 2.0 ** np.arange(-2, math.log2(_WIDTH * root)) / root
        inner = [*inner, 0.0, *near, *-near]
    edges = np.unique(np.concatenate([edges, inner]))
    half = np.diff(edges)[:, None] / 2
    z: NDArray[np.float64] = (edges[:-1, None] + half * (1 + _NODE)).ravel()
    weight = (half * _WEIGHT).ravel() * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    at = torch.from_numpy(root * z).requires_grad_()
    values = function(at)
    (slopes,) = torch.autograd.grad(values.sum(), at)
    square = values.detach().numpy() ** 2
    return (
        float(weight @ square),
        float(weight @ square**2),
        float(weight @ slopes.numpy() ** 2),
    )
