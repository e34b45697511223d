"""KANs of Blealtan/efficient-kan.

What shapes cannot tell: the base function is SiLU, its default.
Axes: i inputs, o outputs, m functions per edge.
"""

from collections.abc import Mapping

from torch import Tensor

from allmlp.models.kan_config import KANConfig
from allmlp.zoo.convert.format import Converted, Pulled, Settings, count_layers
from allmlp.zoo.convert.kan_layers import chain_widths, same_in_all, spline_sizes

__all__ = ["EFFICIENT_KAN", "EfficientKAN"]


class EfficientKAN:
    """`layers.L`: `spline_weight` (o, i, m), `spline_scaler` (o, i) or none, `base_weight`, `grid`.

    The scaler is multiplied into the weights, once.
    """

    format = "efficient-kan"
    family = "kan"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether the first layer has these names."""
        return {"layers.0.grid", "layers.0.spline_weight", "layers.0.base_weight"} <= state.keys()

    def convert(
        self,
        state: Mapping[str, Tensor],
        img_size: tuple[int, int] | None,
        settings: Settings,
    ) -> Converted:
        """Rename, transpose, fold the scaler in and infer the sizes.

        Raises:
            AllmlpError: tensors are missing, left over, or of shapes that do not fit together.
        """
        pulled = Pulled(self.format, state)
        shapes, sizes = [], []
        for number in range(count_layers(self.format, state, r"layers\.(\d+)\.grid")):
            theirs, ours = f"layers.{number}.", f"layers.{number}.numeric."
            knots = pulled.take(theirs + "grid", ours + "basis.knots")
            base = pulled.take(theirs + "base_weight", ours + "base_weight")
            weight = pulled.take(theirs + "spline_weight", ours + "spline_weight", lambda w: w.mT)
            if theirs + "spline_scaler" in pulled.rest:
                scaler = pulled.take(theirs + "spline_scaler", ours + "spline_weight")
                pulled.ours[ours + "spline_weight"] = weight * scaler[:, None]
            shapes.append((base.shape[0], base.shape[1]))
            sizes.append(spline_sizes(self.format, number, knots, weight))
        pulled.done()
        same_in_all(self.format, "(grid, k)", sizes)
        grid, k = sizes[0]
        config = KANConfig(
            widths=chain_widths(self.format, shapes), grid=grid, k=k, options={"outside": "zero"}
        )
        return Converted(self.format, self.family, config, pulled.ours, tuple(pulled.renamed))


EFFICIENT_KAN = EfficientKAN()
