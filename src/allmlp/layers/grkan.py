"""Group-rational KAN: a learnable rational function per group of channels, then a linear map.

Paper: Yang and Wang 2024, Kolmogorov-Arnold Transformer, arXiv:2409.10594, §3.
Reference: Adamdad/kat, Adamdad/rational_kat_cu.
DIFF: the numerator belongs to the layer and the denominators to its groups, as in the reference;
starts are fitted for the denominator they are used with (the reference's "gelu" was fitted for
`abs_sum` and is used with `sum_abs`, where it is no GELU). Sums of coefficients' gradients have a
fixed order.

Axes: b any leading axes, i inputs, o outputs, g groups.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.ops.autocast import at_least_float32
from allmlp.ops.rational import DENOMINATORS, rational_activation, rational_function

__all__ = ["GRKAN", "RATIONAL_STARTS", "Rational"]

# Coefficients of 1 ... x^5 over those of x ... x^4, fitted on [-3, 3] towards the least largest
# error (least squares, then higher powers of the error). That error is 5e-7 for silu, 2e-6 for tanh
# and 1.5e-2 for relu in both forms; for gelu 5e-4 in abs_sum and 2.1e-3 in sum_abs.
RATIONAL_STARTS: Mapping[str, Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    "identity": {
        "abs_sum": ((0.0, 1.0, 0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)),
        "sum_abs": ((0.0, 1.0, 0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)),
    },
    "silu": {
        "abs_sum": (
            (4.6253099e-07, 0.5, 0.24999657, 0.053244276, 0.0057928212, 0.00027383176),
            (2.4045317e-08, 0.10648854, 2.3251998e-09, 0.00054766335),
        ),
        "sum_abs": (
            (4.3218047e-07, 0.5000011, 0.24999721, 0.05324538, 0.0057932699, 0.00027388684),
            (5.5641768e-06, 0.10648607, 1.619913e-06, 0.00054757536),
        ),
    },
    "gelu": {
        "abs_sum": (
            (-0.00048721205, 0.49998037, 0.40299706, 0.076866688, -0.010744553, -0.0033418771),
            (-0.00022232644, 0.15384783, 7.2376006e-06, -0.0066916053),
        ),
        "sum_abs": (
            (-0.0014598003, 0.51073764, 0.42018132, 0.13285099, 0.024489785, 0.0027476896),
            (0.073158075, 0.18301546, 0.036686428, 0.0),
        ),
    },
    "tanh": {
        "abs_sum": (
            (0.0, 0.99999215, 0.0, 0.10747304, 0.0, 0.00086074529),
            (0.0, -0.44077067, 0.0, -0.01449797),
        ),
        "sum_abs": (
            (3.9727532e-09, 1.000024, -7.0254778e-09, 0.10685219, 0.0, 0.0008384384),
            (0.00011975291, 0.44004654, 2.8470893e-07, 0.014299902),
        ),
    },
    "relu": {
        "abs_sum": (
            (0.014369494, 0.49999987, 2.5802695, 3.9810642, 2.1904846, 0.38332111),
            (-4.4403819e-06, 7.9621409, -9.5799642e-06, 0.76664427),
        ),
        "sum_abs": (
            (0.01412622, 0.51829439, 2.7339116, 4.2671837, 2.3637847, 0.41538845),
            (0.28536948, 8.0125305, 0.31433031, 0.77274096),
        ),
    },
}


class Rational(nn.Module):
    """P(x) / Q(x) of degrees 5 and 4; the numerator is shared, each group has its denominator.

    Args:
        features: channels, a multiple of `groups`.
        groups: g.
        denominator_form: `sum_abs`, `Q = 1 + sum |b_j x^j|` (KAT's kernels, and its weights);
            or `abs_sum`, `Q = 1 + |sum b_j x^j|`.
        start: key of `RATIONAL_STARTS`.

    Shape:
        (..., features) -> (..., features); dtype unchanged, computed in at least float32.

    Raises:
        AllmlpError: sizes that are no positive integers or do not divide, unknown names.

    Example:
        >>> Rational(16, start="identity")(torch.full((1, 16), 2.0))[0, 0].item()
        2.0
    """

    def __init__(
        self,
        features: int,
        *,
        groups: int = 8,
        denominator_form: str = "sum_abs",
        start: str = "silu",
    ):
        super().__init__()
        check_integers("Rational", minimum=1, features=features, groups=groups)
        check_choice("denominator_form", denominator_form, DENOMINATORS)
        check_choice("start", start, RATIONAL_STARTS)
        if features % groups:
            fit = max(n for n in range(1, groups + 1) if features % n == 0)
            raise AllmlpError(
                f"Rational needs features divisible by groups={groups}, got {features}; take "
                f"groups={fit}"
            )
        self.features = features
        self.groups = groups
        self.denominator_form = denominator_form
        self.start = start
        self.numerator = nn.Parameter(torch.empty(1, 6))
        self.denominator = nn.Parameter(torch.empty(groups, 4))
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """Set the coefficients to those of `start`; nothing is drawn."""
        above, below = RATIONAL_STARTS[self.start][self.denominator_form]
        self.numerator.copy_(torch.tensor([above]))
        self.denominator.copy_(torch.tensor(below).expand_as(self.denominator))

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        if x.shape[-1] != self.features:
            raise AllmlpError(
                f"this Rational was built for {self.features} features but got inputs of shape "
                f"{tuple(x.shape)}"
            )
        above, below = at_least_float32(self.numerator), at_least_float32(self.denominator)
        return rational_activation(x, above, below, form=self.denominator_form)

    def extra_repr(self) -> str:
        return (
            f"features={self.features}, groups={self.groups}, "
            f"denominator_form={self.denominator_form!r}, start={self.start!r}"
        )


class GRKAN(nn.Module):
    """`Linear(Rational(x))`: a KAN layer at the cost of a linear one.

    Args:
        in_features: i, a multiple of `groups`.
        out_features: o.
        groups: g.
        denominator_form: of `Rational`.
        start: of `Rational`.
        bias: of the linear map.

    Shape:
        (..., i) -> (..., o); dtype unchanged.

    Raises:
        AllmlpError: as `Rational`.

    Example:
        >>> sum(p.numel() for p in GRKAN(16, 4).parameters())  # 6 + 8 * 4 + 16 * 4 + 4
        106
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        groups: int = 8,
        denominator_form: str = "sum_abs",
        start: str = "silu",
        bias: bool = True,
    ):
        super().__init__()
        check_integers("GRKAN", minimum=1, in_features=in_features, out_features=out_features)
        self.rational = Rational(
            in_features, groups=groups, denominator_form=denominator_form, start=start
        )
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        self.init_weights()

    def init_weights(self) -> None:
        """Draw the linear map so that unit normal inputs give outputs of unit variance (§3.3)."""
        self.rational.init_weights()
        # E[F(x)^2] for x ~ N(0, 1), by Gauss-Hermite quadrature
        nodes, weights = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(64))
        form = self.rational.denominator_form
        above, below = (
            torch.tensor([c], dtype=torch.float64, device="cpu")
            for c in RATIONAL_STARTS[self.rational.start][form]
        )
        values = rational_function(nodes[:, None], above, below, form=form)[:, 0]
        power = (weights @ values.square()).item() / math.sqrt(2 * math.pi)
        nn.init.normal_(self.linear.weight, std=1 / math.sqrt(self.linear.in_features * power))
        if self.linear.bias is not None:
            nn.init.zeros_(self.linear.bias)

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        return self.linear(self.rational(x))
