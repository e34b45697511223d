"""Activations that map rationals to rationals: piecewise linear with rational pieces."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from torch import nn

from allmlp.errors import AllmlpError

__all__ = ["HARD_SIGMOID", "RELU", "Activation", "leaky_relu"]


@dataclass(frozen=True)
class Activation:
    """A continuous piecewise-linear activation that is 0 at its first kink.

    `σ(z) = s_0 (z - k_0) + Σ_i (s_{i+1} - s_i) relu(z - k_i)` with kinks `k_0 < k_1 < …` and
    slopes `s_0, s_1, …` from left to right.

    Args:
        name: torch's name of it.
        kinks: where the slope changes.
        slopes: one more than kinks.
        module: makes the torch module that computes the same function.

    Example:
        >>> HARD_SIGMOID(Fraction(1)), RELU(Fraction(-2))
        (Fraction(2, 3), Fraction(0, 1))
    """

    name: str
    kinks: tuple[Fraction, ...]
    slopes: tuple[Fraction, ...]
    module: Callable[[], nn.Module]

    @property
    def jumps(self) -> tuple[Fraction, ...]:
        """Change of slope at every kink."""
        return tuple(right - left for left, right in pairwise(self.slopes))

    def __call__(self, z: Fraction) -> Fraction:
        """The exact value at z."""
        value = self.slopes[0] * (z - self.kinks[0])
        for kink, jump in zip(self.kinks, self.jumps, strict=True):
            if z > kink:
                value += jump * (z - kink)
        return value


RELU = Activation("relu", (Fraction(0),), (Fraction(0), Fraction(1)), nn.ReLU)
# torch's nn.Hardsigmoid: 0 below -3, 1 above 3, z/6 + 1/2 between
HARD_SIGMOID = Activation(
    "hard_sigmoid",
    (Fraction(-3), Fraction(3)),
    (Fraction(0), Fraction(1, 6), Fraction(0)),
    nn.Hardsigmoid,
)


def leaky_relu(slope: Fraction = Fraction(1, 100)) -> Activation:
    """Leaky ReLU, `z` for z > 0 and `slope · z` below.

    Args:
        slope: to the left of 0, at least 0 and below 1; torch's default is 1/100.

    Raises:
        AllmlpError: the slope is outside [0, 1).
    """
    if not 0 <= slope < 1:
        raise AllmlpError(
            f"a leaky ReLU needs a slope in [0, 1), but got {slope}; "
            "at 1 it is linear and approximates nothing"
        )
    return Activation(
        "leaky_relu", (Fraction(0),), (slope, Fraction(1)), lambda: nn.LeakyReLU(float(slope))
    )
