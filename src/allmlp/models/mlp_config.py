"""What an MLP is built from.

Axes: i inputs, d width, h hidden units of a block, o outputs.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from allmlp.errors import AllmlpError, check_choice, check_integers, check_rates, check_sizes
from allmlp.layers.activations import ACTIVATIONS
from allmlp.layers.gated import matched_units
from allmlp.layers.init import SCHEMES
from allmlp.layers.parametrize import WEIGHT_NORMS
from allmlp.layers.vector_norm import VECTOR_NORMS

__all__ = ["INITS", "MLPConfig", "MLPOptions"]

INITS = ("default", *SCHEMES, "siren", "mup")
# what a norm trains: per unit, and besides
_NORM_PARAMETERS = {
    "none": (0, 0),
    "batch": (2, 0),
    "layer": (2, 0),
    "rms": (1, 0),
    "dyt": (2, 1),
    "affine": (2, 0),
}


@dataclass(frozen=True, kw_only=True)
class MLPOptions:
    """Everything about an MLP but its inputs and outputs.

    Raises:
        AllmlpError: sizes that are no positive integers or do not fit, rates outside [0, 1), or an
            unknown name.
    """

    # units of each plain layer; of residual blocks the width, once for each block
    widths: tuple[int, ...] = (256, 256)
    block: Literal["plain", "residual"] = "plain"
    expansion: float | int = 4  #: hidden units of a residual block over its width
    activation: str = "relu"
    glu: bool = False  #: gate units by others: value * activation(gate), at matched size
    norm: Literal["none", "batch", "layer", "rms", "dyt", "affine"] = "none"
    final_norm: bool = True  #: behind the last residual block, if there are norms
    weight_norm: Literal["none", "spectral", "weight"] = "none"  #: of every linear layer
    power_iterations: int = 1  #: of the spectral norm, in every training pass
    dropout_rate: float = 0.0  #: behind every activation, and behind residual branches
    input_dropout_rate: float = 0.0
    head_dropout_rate: float = 0.0  #: before the last layer alone, where no norm follows
    drop_path_rate: float = 0.0  #: of the last residual branch, rising linearly from 0
    residual_scale: float | int = 1  #: of every branch, fixed
    init: str = "he_normal"  #: of INITS
    # last layer of a residual branch: over sqrt(2 * blocks), at zero, or like any other
    branch_init: Literal["scaled", "zero", "same"] = "scaled"
    zero_head: bool = False  #: start with equal outputs
    use_bias: bool = True  #: where no norm with a bias follows

    def __post_init__(self) -> None:
        check_sizes("MLP", widths=self.widths)
        if not self.widths:
            raise AllmlpError("an MLP needs one width at least, got none; a linear map has no MLP")
        check_integers("MLP", minimum=1, power_iterations=self.power_iterations)
        check_choice("block", self.block, ("plain", "residual"))
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("norm", self.norm, VECTOR_NORMS)
        check_choice("weight norm", self.weight_norm, WEIGHT_NORMS)
        check_choice("initialisation", self.init, INITS)
        check_choice("branch_init", self.branch_init, ("scaled", "zero", "same"))
        check_rates(
            "MLP",
            dropout_rate=self.dropout_rate,
            input_dropout_rate=self.input_dropout_rate,
            head_dropout_rate=self.head_dropout_rate,
            drop_path_rate=self.drop_path_rate,
        )
        if not self.expansion > 0:
            raise AllmlpError(f"MLP needs expansion above 0, got {self.expansion}")
        if not math.isfinite(self.residual_scale):
            raise AllmlpError(f"MLP needs a finite residual_scale, got {self.residual_scale}")
        if self.block == "residual" and len(set(self.widths)) > 1:
            raise AllmlpError(
                f"residual blocks add to their input and need equal widths, got {self.widths}; "
                "repeat one, or use block='plain'"
            )
        zeros = self.zero_head or self.init == "mup" or self.branch_init == "zero"
        if self.weight_norm != "none" and zeros:
            raise AllmlpError(
                f"weight_norm={self.weight_norm!r} divides by the size of a weight, and zero_head, "
                "branch_init='zero' and init='mup' start at zero; leave one of them out"
            )
        if self.drop_path_rate and self.block == "plain":
            raise AllmlpError("drop_path_rate leaves out residual branches; use block='residual'")
        if self.init == "siren" and self.activation != "sine":
            raise AllmlpError(
                f"init='siren' is the start of sines, got activation={self.activation!r}; use "
                "he_normal, whose gain follows the activation"
            )

    def units(self, in_features: int) -> tuple[int, ...]:
        """Outputs of each block: `widths`, but for gated plain layers.

        A gate needs two matrices for one. All widths shrink by the one factor at which the body has
        as many weights as without gates, 1 / sqrt(2) where the inputs are few.
        """
        if self.block == "residual" or not self.glu:
            return self.widths
        first = in_features * self.widths[0]
        others = sum(i * o for i, o in pairwise(self.widths))
        # 2 others s² + 2 first s = others + first
        share = (first + others) / (first + math.sqrt(first**2 + 2 * others * (first + others)))
        return tuple(matched_units(width, share) for width in self.widths)

    @property
    def hidden(self) -> int:
        """Hidden units of a residual block, h; two thirds of them where they are gated."""
        units = max(round(self.expansion * self.widths[0]), 1)
        return matched_units(units, 2 / 3) if self.glu else units

    @property
    def bias_before_norm(self) -> bool:
        """Whether a linear layer keeps its bias where a norm follows: RMSNorm has none."""
        return self.use_bias and self.norm in ("none", "rms")

    def count_body(self, in_features: int) -> int:
        """Trainable parameters below the head, by formula."""
        per_unit, besides = _NORM_PARAMETERS[self.norm]
        parts = 1 + self.glu
        learned = int(self.activation == "prelu")  # slopes of an activation
        length = self.weight_norm == "weight"  # one number for every output

        def linear(i: int, o: int, bias: bool) -> int:
            return o * (i + bias + length)

        if self.block == "plain":
            return sum(
                linear(i, parts * d, self.bias_before_norm)
                + per_unit * parts * d
                + besides
                + learned
                for i, d in pairwise((in_features, *self.units(in_features)))
            )
        d, h, depth = self.widths[0], self.hidden, len(self.widths)
        norm = per_unit * d + besides
        branch = linear(d, parts * h, self.use_bias) + linear(h, d, self.use_bias)
        return (
            linear(in_features, d, self.use_bias)
            + depth * (norm + branch + learned)
            + self.final_norm * norm
        )

    def count_head(self, in_features: int, num_outputs: int) -> int:
        """Trainable parameters of the head, by formula; none without outputs."""
        length = self.weight_norm == "weight"
        return num_outputs * (self.units(in_features)[-1] + self.use_bias + length)


@dataclass(frozen=True, kw_only=True)
class MLPConfig(MLPOptions):
    """Everything an MLP is built from, but for its weights.

    Raises:
        AllmlpError: as `MLPOptions`.
    """

    in_features: int
    num_outputs: int  #: 0 leaves the head out

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integers("MLP", minimum=1, in_features=self.in_features)
        check_integers("MLP", minimum=0, num_outputs=self.num_outputs)

    def count_parameters(self) -> int:
        """Trainable parameters, by formula."""
        return self.count_body(self.in_features) + self.count_head(
            self.in_features, self.num_outputs
        )
