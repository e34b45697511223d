"""KANs of ZiyaoLi/fast-kan: Gaussian bumps after a LayerNorm.

What the file does not hold: the width of the bumps, which that code takes as the distance of two
centers, (last - first) / (n - 1).
Axes: i inputs, o outputs, n bumps.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.models.kan_config import KANConfig
from allmlp.zoo.convert.format import Converted, Pulled, Settings, count_layers
from allmlp.zoo.convert.kan_layers import chain_widths, same_in_all

__all__ = ["FAST_KAN", "FastKAN"]


class FastKAN:
    """`layers.L`: `rbf.grid` (n), `spline_linear.weight` (o, i n), input-major.

    `base_linear` and `layernorm` stand in all layers or in none.
    """

    format = "fast-kan"
    family = "kan"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether the first layer has these names."""
        return {"layers.0.rbf.grid", "layers.0.spline_linear.weight"} <= state.keys()

    def convert(
        self,
        state: Mapping[str, Tensor],
        img_size: tuple[int, int] | None,
        settings: Settings,
    ) -> Converted:
        """Rename, regroup the weights by bump, and infer the sizes.

        Raises:
            AllmlpError: tensors are missing, left over, or of shapes that do not fit together.
        """
        pulled = Pulled(self.format, state)
        norm = "layers.0.layernorm.weight" in state
        base = "layers.0.base_linear.weight" in state
        shapes, grids = [], []
        for number in range(count_layers(self.format, state, r"layers\.(\d+)\.rbf\.grid")):
            theirs, ours = f"layers.{number}.", f"layers.{number}.numeric."
            grid = pulled.take(theirs + "rbf.grid", ours + "basis.centers")
            flat = pulled.take(theirs + "spline_linear.weight", ours + "spline_weight")
            outputs, inputs = _by_input(number, flat, len(grid))
            by_input = flat.view(outputs, inputs, len(grid))
            pulled.ours[ours + "spline_weight"] = by_input.mT.contiguous()
            pulled.ours[ours + "basis.centers"] = grid[:, None].repeat(1, inputs)
            pulled.ours[ours + "basis.widths"] = torch.full_like(
                pulled.ours[ours + "basis.centers"], _distance(grid)
            )
            if base:
                pulled.take(theirs + "base_linear.weight", ours + "base_weight")
                pulled.take(theirs + "base_linear.bias", ours + "bias")
            if norm:
                pulled.take(theirs + "layernorm.weight", ours + "norm.weight")
                pulled.take(theirs + "layernorm.bias", ours + "norm.bias")
            shapes.append((outputs, inputs))
            grids.append((len(grid), float(grid[0]), float(grid[-1])))
        pulled.done()
        same_in_all(self.format, "rbf.grid", grids)
        size, low, high = grids[0]
        config = KANConfig(
            widths=chain_widths(self.format, shapes),
            basis="rbf",
            grid_range=(low, high),
            base="silu" if base else None,
            bias=base,
            norm=norm,
            options={"size": size, "outside": "zero"},
        )
        return Converted(self.format, self.family, config, pulled.ours, tuple(pulled.renamed))


FAST_KAN = FastKAN()


def _by_input(layer: int, flat: Float[Tensor, "o columns"], bumps: int) -> tuple[int, int]:
    outputs, columns = flat.shape
    if columns % bumps:
        raise AllmlpError(
            f"layer {layer} of this fast-kan file has {columns} columns of weights, which is no "
            f"multiple of its {bumps} bumps"
        )
    return outputs, columns // bumps


def _distance(grid: Float[Tensor, " n"]) -> float:
    if len(grid) < 2:
        raise AllmlpError("a fast-kan file needs two centers at least to tell the bumps' width")
    return float(grid[-1] - grid[0]) / (len(grid) - 1)
