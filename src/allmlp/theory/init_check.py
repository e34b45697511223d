"""Predicted against measured: the variances of random networks, layer by layer.

Axes: r networks drawn, n units, L layers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from allmlp.errors import AllmlpError, check_integers
from allmlp.theory.certificate import Certificate, Claim, Theorem
from allmlp.theory.mean_field import ACTIVATIONS, MeanField
from allmlp.theory.relu_net import Array

__all__ = ["InitCheck", "check_init"]

_THEOREM = Theorem(
    "Variances at initialisation, by mean field and finite width",
    "Poole et al. 2016, arXiv:1606.05340; finite width: allmlp, docs/theory/initialisation.md",
)
# five standard errors: one honest layer in two million is called a bug
_LIMIT = 5.0


@dataclass(frozen=True, eq=False)
class InitCheck:
    """Variances of pre-activations and stretch of small changes, predicted and measured.

    Args:
        field: activation and initialisation.
        widths: n_1 … n_L.
        predicted: (L,) mean square of the pre-activations.
        errors: (L,) standard error of the measured mean.
        measured: (L,) mean over the networks drawn.
        predicted_stretch: (L,) mean square of a unit change of the input, carried along.
        measured_stretch: (L,) the same, measured.
    """

    field: MeanField
    widths: tuple[int, ...]
    predicted: Array
    errors: Array
    measured: Array
    predicted_stretch: Array
    measured_stretch: Array

    @property
    def scores(self) -> Array:
        """(L,) measured minus predicted, in standard errors."""
        scores: Array = (self.measured - self.predicted) / self.errors
        return scores

    def certificate(self) -> Certificate:
        """One claim for each layer: within five standard errors."""
        field = self.field
        claims = [
            Claim(f"layer {i + 1}: standard errors off", score, _LIMIT, evidence="statistical")
            for i, score in enumerate(np.abs(self.scores).tolist())
        ]
        for name, predicted, measured in (
            ("variance", self.predicted, self.measured),
            ("stretch", self.predicted_stretch, self.measured_stretch),
        ):
            claims.append(
                Claim(f"last {name}, predicted", float(predicted[-1]), evidence="float64")
            )
            claims.append(
                Claim(f"last {name}, measured", float(measured[-1]), evidence="statistical")
            )
        return Certificate(
            _THEOREM,
            tuple(claims),
            (
                f"{field.activation}, weight variance {field.weight_var:.6g} / fan-in, bias "
                f"variance {field.bias_var:.6g}",
                "more than five standard errors mean a wrong fan, a missing gain or a bug",
            ),
        )


def check_init(
    field: MeanField,
    widths: Sequence[int],
    *,
    inputs: int = 100,
    draws: int = 50,
    seed: int = 0,
) -> InitCheck:
    """Draws networks, carries one input of mean square 1 and one small change, and compares.

    Args:
        field: activation and initialisation.
        widths: n_1 … n_L, at least 2 units each.
        inputs: size of the input.
        draws: networks.
        seed: of a generator of its own.

    Raises:
        AllmlpError: sizes that are too small, or both variances 0.

    Example:
        >>> check = check_init(MeanField("relu", 2.0), [100] * 5, draws=20)
        >>> bool((abs(check.scores) < 5).all())
        True
    """
    check_integers("check_init", minimum=1, inputs=inputs, draws=draws)
    for i, n in enumerate(widths):
        check_integers("check_init", minimum=2, **{f"widths[{i}]": n})
    if not widths:
        raise AllmlpError("check_init needs at least one layer, but got none; add widths")
    if not field.weight_var + field.bias_var:
        raise AllmlpError(
            "with weight_var and bias_var 0 every signal is 0 and there is nothing to check; give "
            "one of them"
        )
    first = field.weight_var + field.bias_var
    mean, spread = field.variances(first, widths)
    sizes = np.array(widths)
    # of the mean square over n units: spread of their variance, then of the units themselves
    variance = spread + 2 * (mean**2 + spread) / sizes
    errors: Array = np.sqrt(variance / draws)
    factors = [field.weight_var, *(field.chi(float(q)) for q in mean[:-1])]
    stretch = np.array(factors).cumprod()
    measured, carried = _measure(field, widths, inputs, draws, seed)
    return InitCheck(
        field,
        tuple(widths),
        mean,
        errors,
        measured,
        stretch,
        carried,
    )


def _measure(
    field: MeanField, widths: Sequence[int], inputs: int, draws: int, seed: int
) -> tuple[Array, Array]:
    """(L,) mean squares of pre-activations and of a carried change, over random networks."""
    generator = torch.Generator().manual_seed(seed)
    function, _ = ACTIVATIONS[field.activation]
    weight_std, bias_std = math.sqrt(field.weight_var), math.sqrt(field.bias_var)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, v = normal(draws, inputs, 1), normal(draws, inputs, 1)
    h, change = (t / t.square().mean(dim=1, keepdim=True).sqrt() for t in (x, v))
    squares, carried = [], []
    for n in widths:
        weight = normal(draws, n, h.shape[1]) * (weight_std / math.sqrt(h.shape[1]))
        z = (weight @ h + bias_std * normal(draws, n, 1)).requires_grad_()
        change = weight @ change
        squares.append(float(z.detach().square().mean()))
        carried.append(float(change.square().mean()))
        h = function(z)
        (slope,) = torch.autograd.grad(h.sum(), z)
        h, change = h.detach(), slope * change
    return np.array(squares), np.array(carried)
