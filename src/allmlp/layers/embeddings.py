"""Embeddings of the numbers in a table: each feature becomes a vector before the first layer.

Paper: Gorishniy et al. 2022, arXiv:2203.05556 (linear, periodic, piecewise linear); Holzmüller et
al. 2024, arXiv:2407.04491, appendix A (PBLD).
Reference: rtdl_num_embeddings 0.0.12; pytabkit 1.7.3 for PBLD.
Axes: b batch, f features, d width of a feature's embedding, t bins.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers
from allmlp.layers.grouped_linear import GroupedLinear

__all__ = ["LinearEmbedding", "PBLDEmbedding", "PeriodicEmbedding", "PiecewiseLinearEmbedding"]


class LinearEmbedding(nn.Module):
    """`x_i w_i + b_i`, with weights and biases uniform on ±1/sqrt(d).

    Args:
        num_features: f.
        width: d.
        activation: applied to it; None for the map alone, `nn.ReLU()` for the paper's LR.

    Shape:
        (b, f) -> (b, f, d); dtype unchanged.

    Raises:
        AllmlpError: a size is no positive integer.
    """

    def __init__(self, num_features: int, width: int = 32, *, activation: nn.Module | None = None):
        super().__init__()
        check_integers("LinearEmbedding", minimum=1, num_features=num_features, width=width)
        self.width = width
        self.weight = nn.Parameter(torch.empty(num_features, width))
        self.bias = nn.Parameter(torch.empty(num_features, width))
        self.activation = nn.Identity() if activation is None else activation
        for parameter in (self.weight, self.bias):
            nn.init.uniform_(parameter, -(width**-0.5), width**-0.5)

    def no_weight_decay(self) -> set[str]:
        """As in the paper's code."""
        return {"weight", "bias"}

    def forward(self, x: Float[Tensor, "b f"]) -> Float[Tensor, "b f d"]:
        return self.activation(torch.addcmul(self.bias, self.weight, x[..., None]))


class PeriodicEmbedding(nn.Module):
    """PLR: `ReLU(Linear([cos v, sin v]))` with `v = 2π c x_i` and learned frequencies c.

    Args:
        num_features: f.
        width: d.
        num_frequencies: of each feature.
        sigma: standard deviation of the frequencies at first (normal, cut at three sigma). The one
            sensitive number: too large is worse than too small.
        lite: one linear map for all features instead of one each.

    Shape:
        (b, f) -> (b, f, d); dtype unchanged.

    Raises:
        AllmlpError: a size is no positive integer, or sigma is not positive.

    Source: arXiv:2203.05556, §3.3 and eq. 4.
    """

    def __init__(
        self,
        num_features: int,
        width: int = 24,
        *,
        num_frequencies: int = 48,
        sigma: float = 0.01,
        lite: bool = False,
    ):
        super().__init__()
        check_integers(
            "PeriodicEmbedding",
            minimum=1,
            num_features=num_features,
            width=width,
            num_frequencies=num_frequencies,
        )
        self.width = width
        self.frequency = _frequencies(num_features, num_frequencies, sigma)
        self.linear = (
            nn.Linear(2 * num_frequencies, width)
            if lite
            else GroupedLinear(num_features, 2 * num_frequencies, width)
        )

    def no_weight_decay(self) -> set[str]:
        """As in the paper's code."""
        return {"frequency"}

    def forward(self, x: Float[Tensor, "b f"]) -> Float[Tensor, "b f d"]:
        angle = 2 * math.pi * self.frequency * x[..., None]
        return self.linear(torch.cat([angle.cos(), angle.sin()], dim=-1)).relu()


class PBLDEmbedding(nn.Module):
    """Periodic with biases, linear, "densenet": `[x_i, Linear_i(cos(2π c x_i + b))]`.

    Args:
        num_features: f.
        width: d, x_i itself included.
        num_frequencies: of each feature.
        sigma: standard deviation of the frequencies at first.

    Shape:
        (b, f) -> (b, f, d); dtype unchanged.

    Raises:
        AllmlpError: a size is no positive integer, the width is below 2, or sigma is not positive.

    Source: arXiv:2407.04491, appendix A.1.
    """

    def __init__(
        self, num_features: int, width: int = 4, *, num_frequencies: int = 16, sigma: float = 0.1
    ):
        super().__init__()
        check_integers("PBLDEmbedding", minimum=2, width=width)
        check_integers(
            "PBLDEmbedding", minimum=1, num_features=num_features, num_frequencies=num_frequencies
        )
        self.width = width
        self.frequency = _frequencies(num_features, num_frequencies, sigma, cut=math.inf)
        phase = torch.empty(num_features, num_frequencies).uniform_(-math.pi, math.pi)
        self.phase = nn.Parameter(phase)
        self.linear = GroupedLinear(num_features, num_frequencies, width - 1)

    def forward(self, x: Float[Tensor, "b f"]) -> Float[Tensor, "b f d"]:
        x = x[..., None]
        wave = torch.addcmul(self.phase, 2 * math.pi * self.frequency, x).cos()
        return torch.cat([x, self.linear(wave)], dim=-1)


class PiecewiseLinearEmbedding(nn.Module):
    """PLE: `x_i w_i + b_i`, and a linear map of how far the value fills each of its bins.

    Bin t of a feature with edges e_0 < … < e_T holds `(x - e_t) / (e_{t+1} - e_t)`, cut to [0, 1];
    the first one is not cut below and the last one not above, so that the encoding goes on linearly
    outside of the edges. The map of the bins starts at zero: the embedding starts linear and learns
    the bins (version B of the reference, without activation).

    Args:
        edges: of each feature, ascending, at least two; `data.quantile_edges` finds them.
        width: d.

    Shape:
        (b, f) -> (b, f, d); dtype unchanged.

    Raises:
        AllmlpError: no features, or edges that do not ascend.

    Source: arXiv:2203.05556, §3.2 and eq. 1; version B: arXiv:2410.24210, appendix D.

    Example:
        >>> ple = PiecewiseLinearEmbedding([torch.tensor([0.0, 1.0, 3.0])], 4)
        >>> ple.encode(torch.tensor([[0.5], [2.0], [5.0]])).squeeze(1).tolist()
        [[0.5, 0.0], [1.0, 0.5], [1.0, 2.0]]
    """

    slope: Tensor
    offset: Tensor
    one_bin: Tensor

    def __init__(self, edges: Sequence[Float[Tensor, " _"]], width: int = 16):
        super().__init__()
        check_integers("PiecewiseLinearEmbedding", minimum=1, width=width, features=len(edges))
        for index, feature in enumerate(edges):
            if len(feature) < 2 or not bool((feature.diff() > 0).all()):
                raise AllmlpError(
                    f"PiecewiseLinearEmbedding needs at least two ascending edges of feature "
                    f"{index}, got {feature.tolist()[:5]}; leave constant features out"
                )
        self.width = width
        bins = max(len(feature) for feature in edges) - 1
        # features with fewer bins are padded by zeros before their last one
        slope, offset = torch.zeros(2, len(edges), bins, dtype=edges[0].dtype)
        for index, feature in enumerate(edges):
            inverse = 1 / feature.diff()
            places = [*range(len(inverse) - 1), bins - 1]
            slope[index, places] = inverse
            offset[index, places] = -feature[:-1] * inverse
        self.register_buffer("slope", slope)
        self.register_buffer("offset", offset)
        one_bin = torch.tensor([len(feature) == 2 for feature in edges])
        self.register_buffer("one_bin", one_bin)
        self.linear = LinearEmbedding(len(edges), width)
        self.bins = GroupedLinear(len(edges), bins, width, use_bias=False)
        nn.init.zeros_(self.bins.weight)

    def encode(self, x: Float[Tensor, "b f"]) -> Float[Tensor, "b f t"]:
        """The filling of the bins, the last one of every feature in the last column."""
        filled = torch.addcmul(self.offset, self.slope, x[..., None])
        if filled.shape[-1] == 1:
            return filled
        last = filled[..., -1:]
        return torch.cat(
            [
                filled[..., :1].clamp(max=1),
                filled[..., 1:-1].clamp(0, 1),
                torch.where(self.one_bin[:, None], last, last.clamp(min=0)),
            ],
            dim=-1,
        )

    def forward(self, x: Float[Tensor, "b f"]) -> Float[Tensor, "b f d"]:
        return self.linear(x) + self.bins(self.encode(x))


def _frequencies(num_features: int, count: int, sigma: float, cut: float = 3.0) -> nn.Parameter:
    if not sigma > 0:
        raise AllmlpError(f"sigma, the spread of the frequencies, must be above 0, got {sigma}")
    frequency = torch.empty(num_features, count)
    if cut == math.inf:
        return nn.Parameter(frequency.normal_(std=sigma))
    return nn.Parameter(nn.init.trunc_normal_(frequency, std=sigma, a=-cut * sigma, b=cut * sigma))
