"""Networks with rational weights, evaluated without rounding."""

import math
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.theory.activation import RELU, Activation
from allmlp.theory.certificate import Certificate, Claim, Theorem

__all__ = ["ExactNet", "Layer", "Rational", "common_denominator", "random_points"]

Rational = int | Fraction
# weight rows (out_features x in_features) and bias
Layer = tuple[Sequence[Sequence[Rational]], Sequence[Rational]]
# the same before ExactNet has looked at the entries
_Unchecked = tuple[Sequence[Sequence[Any]], Sequence[Any]]
Check = Callable[["ExactNet"], Sequence[Claim]]

_ANY_NET = Theorem("A network with rational weights", "allmlp")


class ExactNet:
    """A fully connected network over the rationals.

    Every layer but the last is followed by the activation; the last one is affine. *Depth* counts
    affine maps, *width* is the largest hidden layer, *parameters* counts every weight and bias,
    zeros too, as torch does.

    `net(X)` computes exactly and rounds the result once, to float64; `net.exact(X)` gives the
    fractions themselves. Floats are read as the rationals they are.

    Args:
        layers: weight rows and bias of every affine map, ints or Fractions.
        activation: piecewise linear with rational pieces.
        theorem: the statement this network is an instance of.
        checks: each returns claims about the network; `certificate` runs them.
        notes: sentences for the certificate.

    Raises:
        AllmlpError: no layer, ragged rows, sizes that do not chain, or a float weight.

    Example:
        >>> absolute_value = ExactNet([([[1], [-1]], [0, 0]), ([[1, 1]], [0])])
        >>> absolute_value.exact([Fraction(-1, 3), 2])
        array([Fraction(1, 3), Fraction(2, 1)], dtype=object)
        >>> absolute_value([-0.5, 4.0])
        array([0.5, 4. ])
        >>> absolute_value.width, absolute_value.depth, absolute_value.parameters
        (2, 2, 7)
    """

    def __init__(
        self,
        layers: Sequence[_Unchecked],
        *,
        activation: Activation = RELU,
        theorem: Theorem = _ANY_NET,
        checks: Sequence[Check] = (),
        notes: Sequence[str] = (),
    ):
        if not layers:
            raise AllmlpError("a network needs at least one layer, but got none; add the output")
        self.layers = tuple(_checked_layer(i, layer) for i, layer in enumerate(layers))
        for i in range(1, len(self.layers)):
            given, needed = len(self.layers[i - 1][1]), len(self.layers[i][0][0])
            if given != needed:
                raise AllmlpError(
                    f"layer {i} must take what layer {i - 1} gives, but it takes {needed} values "
                    f"and is given {given}; change one of them"
                )
        self.activation = activation
        self.theorem = theorem
        self.checks = tuple(checks)
        self.notes = tuple(notes)
        self._integer_layers = [_integer_layer(layer) for layer in self.layers]

    @property
    def in_features(self) -> int:
        """Number of inputs."""
        return len(self.layers[0][0][0])

    @property
    def out_features(self) -> int:
        """Number of outputs."""
        return len(self.layers[-1][1])

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of every hidden layer."""
        return tuple(len(bias) for _, bias in self.layers[:-1])

    @property
    def width(self) -> int:
        """Units of the largest hidden layer; 0 for an affine map."""
        return max(self.widths, default=0)

    @property
    def depth(self) -> int:
        """Number of affine maps, the output included."""
        return len(self.layers)

    @property
    def parameters(self) -> int:
        """Weights and biases, zeros included."""
        return sum(len(weight) * len(weight[0]) + len(bias) for weight, bias in self.layers)

    def exact(self, X: ArrayLike | Sequence[Any]) -> NDArray[np.object_]:
        """The outputs as Fractions, without any rounding.

        Args:
            X: n points, shape (n, in_features); for one input also (n,). Ints, Fractions or
                floats.

        Returns:
            Shape (n,), or (n, out_features) if there are several outputs.

        Raises:
            AllmlpError: another shape, or an entry that is no finite number.
        """
        columns, denominator = common_denominator(X, self.in_features)
        last = len(self._integer_layers) - 1
        for i, (rows, scale) in enumerate(self._integer_layers):
            columns = [_affine(columns, terms, bias * denominator) for terms, bias in rows]
            denominator *= scale
            if i < last:
                columns, denominator = _activate(self.activation, columns, denominator)
                columns, denominator = _reduce(columns, denominator)
        values = np.empty((len(columns[0]), len(columns)), dtype=object)
        for k, column in enumerate(columns):
            values[:, k] = [Fraction(numerator, denominator) for numerator in column]
        return values[:, 0] if self.out_features == 1 else values

    def __call__(self, X: ArrayLike) -> Float[np.ndarray, "..."]:
        """The exact outputs, each rounded once to float64. Shapes as in `exact`."""
        return self.exact(X).astype(np.float64)

    def to_torch(self, dtype: torch.dtype = torch.float64) -> nn.Sequential:
        """The same network in torch, every weight rounded to `dtype`; draws no random number."""
        modules: list[nn.Module] = []
        for weight, bias in self.layers:
            if modules:
                modules.append(self.activation.module())
            linear = nn.Linear(len(weight[0]), len(bias), device="meta", dtype=dtype)
            linear = linear.to_empty(device="cpu")  # never initialised, so no random number
            with torch.no_grad():
                rows = [[float(value) for value in row] for row in weight]
                linear.weight.copy_(torch.tensor(rows, dtype=torch.float64))
                linear.bias.copy_(torch.tensor([float(b) for b in bias], dtype=torch.float64))
            modules.append(linear)
        return nn.Sequential(*modules)

    def certificate(self) -> Certificate:
        """Runs the theorem's checks and sets them beside the sizes of this network."""
        claims = [claim for check in self.checks for claim in check(self)]
        named = {claim.name for claim in claims}
        sizes = [
            Claim(name, attained=getattr(self, name))
            for name in ("width", "depth", "parameters")
            if name not in named
        ]
        return Certificate(self.theorem, (*sizes, *claims), self.notes)

    def __repr__(self) -> str:
        sizes = "-".join(map(str, (self.in_features, *self.widths, self.out_features)))
        shown = sizes if len(sizes) <= 40 else f"{sizes[:18]}…{sizes[-18:]}"
        return f"ExactNet({shown}, depth={self.depth}, {self.activation.name})"


def _checked_layer(index: int, layer: _Unchecked) -> Layer:
    weight = tuple(tuple(row) for row in layer[0])
    bias = tuple(layer[1])
    if not weight or len(weight) != len(bias) or len({len(row) for row in weight}) != 1:
        raise AllmlpError(
            f"layer {index} needs one bias for every weight row and rows of one length, but has "
            f"{len(weight)} rows of lengths {sorted({len(row) for row in weight})} and "
            f"{len(bias)} biases; make it rectangular"
        )
    for value in (*bias, *(value for row in weight for value in row)):
        if not isinstance(value, int | Fraction):
            raise AllmlpError(
                f"layer {index} must hold ints or Fractions, but holds a "
                f"{type(value).__name__} ({value}); write Fraction({value!r})"
            )
    return weight, bias


# One row of a layer in integers: ((input, weight), …) without the zeros, and the bias.
_Row = tuple[tuple[tuple[int, int], ...], int]


def _integer_layer(layer: Layer) -> tuple[list[_Row], int]:
    """Rows multiplied by their common denominator, and that denominator."""
    weight, bias = layer
    scale = math.lcm(*(value.denominator for row in weight for value in row))
    scale = math.lcm(scale, *(value.denominator for value in bias))
    rows = [
        (tuple((j, int(value * scale)) for j, value in enumerate(row) if value), int(b * scale))
        for row, b in zip(weight, bias, strict=True)
    ]
    return rows, scale


Column = NDArray[np.object_]  # Python ints, one for each point


def common_denominator(X: ArrayLike | Sequence[Any], dim: int) -> tuple[list[Column], int]:
    """Points as integer columns over one denominator.

    Args:
        X: shape (n, dim), or (n,) when dim is 1; ints, Fractions or finite floats.
        dim: coordinates of a point.

    Raises:
        AllmlpError: another shape, or an entry that is no finite number.
    """
    if isinstance(X, torch.Tensor):
        points = X.detach().cpu().numpy()
    else:  # a list as it is: numpy would round ints beside floats to float64
        points = X if isinstance(X, np.ndarray) else np.array(X, dtype=object)
    if points.ndim == 1 and dim == 1:
        points = points[:, None]
    if points.ndim != 2 or points.shape[1] != dim:
        raise AllmlpError(
            f"this network takes points of shape (n, {dim}), but got {tuple(points.shape)}; "
            "reshape them, one row of one length for each point"
        )
    try:
        ratios = [[_ratio(value) for value in row] for row in points.tolist()]
    except (AttributeError, OverflowError, ValueError) as error:
        raise AllmlpError(
            f"points must be finite numbers, but one is not ({error}); drop or replace it"
        ) from None
    denominator = math.lcm(*{q for row in ratios for _, q in row})
    columns = []
    for j in range(dim):
        column = np.empty(len(ratios), dtype=object)
        column[:] = [row[j][0] * (denominator // row[j][1]) for row in ratios]
        columns.append(column)
    return columns, denominator


def random_points(dim: int, count: int, *, radius: Rational = 1) -> list[list[Fraction]]:
    """Rational points of [-radius, radius]^dim, the same on every call, to compare networks at."""
    rng = random.Random(0)
    return [
        [Fraction(rng.randrange(-997, 998), 997) * radius for _ in range(dim)] for _ in range(count)
    ]


def _ratio(value: Any) -> tuple[int, int]:
    plain = value.item() if isinstance(value, np.generic) else value
    ratio: tuple[int, int] = plain.as_integer_ratio()
    return ratio


def _affine(columns: list[Column], terms: tuple[tuple[int, int], ...], bias: int) -> Column:
    total = np.full(len(columns[0]), bias, dtype=object)
    for j, weight in terms:
        total = total + (columns[j] if weight == 1 else columns[j] * weight)
    return total


def _activate(
    activation: Activation, columns: list[Column], denominator: int
) -> tuple[list[Column], int]:
    if activation is RELU:
        return [np.maximum(column, 0) for column in columns], denominator
    # everything over the denominators of kinks and slopes; both are small
    scale = math.lcm(*(kink.denominator for kink in activation.kinks))
    slope_scale = math.lcm(*(slope.denominator for slope in activation.slopes))
    first = int(activation.slopes[0] * slope_scale)
    out = []
    for column in columns:
        shifted = [column * scale - int(kink * scale) * denominator for kink in activation.kinks]
        value = shifted[0] * first
        for z, jump in zip(shifted, activation.jumps, strict=True):
            value = value + np.maximum(z, 0) * int(jump * slope_scale)
        out.append(value)
    return out, denominator * scale * slope_scale


def _reduce(columns: list[Column], denominator: int) -> tuple[list[Column], int]:
    # without this the denominator would grow with every layer, and the integers with it
    divisor = denominator
    for column in columns:
        if divisor == 1:
            break
        divisor = math.gcd(divisor, *column.tolist())
    if divisor == 1:
        return columns, denominator
    return [column // divisor for column in columns], denominator // divisor
