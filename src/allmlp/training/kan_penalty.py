"""The sparsity terms that KANs are trained with, under the names of their sources.

Axes: n samples, s sums, i inputs of a layer, m functions per edge.
"""

from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from allmlp.errors import AllmlpError, check_choice
from allmlp.layers.kan import KANLinear
from allmlp.layers.kan_layer import KANLayer
from allmlp.layers.kan_moments import layer_moments
from allmlp.models.kan import KAN

__all__ = ["KAN_PENALTIES", "KANPenalty"]

KAN_PENALTIES = ("paper", "pykan")
# values of edges held at once by the paper's mean of moduli: 32 MB in float64
_NUMBERS_AT_ONCE = 2**22


class KANPenalty:
    """`strength (sizes + entropy · entropies + coefficients · |c| + differences · |c' - c|)`.

    `paper` (arXiv:2404.19756, §2.5): an edge's size is the mean modulus of its function over the
    samples; S = -sum p ln p over the edges of a layer, with p their share of the layer's size.
    `pykan` (0.2.8, its default `edge_forward_spline_n`): an edge's size is its standard deviation
    over that of its input plus 0.1; S are means over rows and over columns of
    -sum p log2(p + 1e-4), with p = size / (sum + 1).

    All are sums over layers and over numeric edges, formulas cost nothing; gradients are finite
    where edges are zero. The deviations come from covariances (`layers.kan_moments`).
    DIFF: pykan 0.2.8 averages its two penalties of coefficients over outputs instead of over
    coefficients; here they are means over coefficients, as its names say.

    Args:
        kind: `paper` or `pykan`.
        strength: the factor of all, lambda.
        entropy: relative weight; None is the source's, 1 or 2.
        coefficients: weight of the mean modulus of each edge's coefficients.
        differences: weight of that of differences between neighbours.

    Raises:
        AllmlpError: an unknown kind or a negative weight; at run time, a model that is no KAN.

    Example:
        >>> from allmlp import fit
        >>> x = torch.rand(64, 2)
        >>> model = KAN([2, 3, 1], grid=3)
        >>> history = fit(model, x, x.sum(1, keepdim=True), steps=2, penalty=KANPenalty())
    """

    def __init__(
        self,
        kind: Literal["paper", "pykan"] = "pykan",
        strength: float = 1e-3,
        *,
        entropy: float | None = None,
        coefficients: float = 0.0,
        differences: float = 0.0,
    ):
        check_choice("KAN penalty", kind, KAN_PENALTIES)
        self.kind = kind
        self.strength = strength
        self.entropy = {"paper": 1.0, "pykan": 2.0}[kind] if entropy is None else entropy
        self.coefficients = coefficients
        self.differences = differences
        weights = (strength, self.entropy, coefficients, differences)
        if not min(weights) >= 0:
            raise AllmlpError(f"weights of a penalty must be at least 0, got {weights}")

    def __call__(self, model: nn.Module, inputs: Float[Tensor, "*b c"]) -> Float[Tensor, ""]:
        if not isinstance(model, KAN):
            raise AllmlpError(f"a KANPenalty needs a KAN, got a {type(model).__name__}")
        found = model.forward_intermediates(inputs)
        total = inputs.new_zeros(())
        for number, module in enumerate(model.layers):
            layer = cast(KANLayer, module).numeric
            x = found[f"layers.{number}.input"].flatten(0, -2)
            total = total + self._sizes(layer, x) + self._coefficients(layer)
        return self.strength * total

    def _sizes(self, layer: KANLinear, x: Tensor) -> Tensor:
        if self.kind == "paper":
            sizes = _mean_moduli(layer, x)
            whole = sizes.sum()
            share = sizes / torch.where(whole > 0, whole, 1)
            # x ln x, with slope 0 instead of -inf at zero: nothing draws a dead edge back
            entropy = -(share * torch.where(share > 0, share, 1).log()).sum()
            return whole + self.entropy * entropy
        moments = layer_moments(layer, None, x)
        sizes = moments.edge_std(layer, None) / (moments.input_std() + 0.1)
        rows, columns = (
            -(p * (p + 1e-4).log2()).sum(axis).mean()
            for axis in (1, 0)
            for p in [sizes / (sizes.sum(axis, keepdim=True) + 1)]
        )
        return sizes.sum() + self.entropy * (rows + columns)

    def _coefficients(self, layer: KANLinear) -> Tensor | float:
        if not self.coefficients and not self.differences:
            return 0.0
        weight = layer.folded_weights()[0]
        size = self.coefficients * weight.abs().mean(1).sum()
        if weight.shape[1] > 1:
            size = size + self.differences * weight.diff(dim=1).abs().mean(1).sum()
        return size


def _mean_moduli(layer: KANLinear, x: Float[Tensor, "n i"]) -> Float[Tensor, "s i"]:
    """Mean over samples of |phi(x)|; tiles are computed again in the backward pass."""
    rows = max(1, _NUMBERS_AT_ONCE // (layer.in_features * layer.out_features))

    def tile(part: Tensor, weights: Tensor) -> Tensor:
        values = torch.einsum("nif,sif->nsi", layer.edge_functions(part), weights)
        return values.abs().sum(0)

    weights = layer.edge_weights()
    parts = [checkpoint(tile, part, weights, use_reentrant=False) for part in x.split(rows)]
    return torch.stack(parts).sum(0) / len(x)
