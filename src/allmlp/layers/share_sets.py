"""Matrices over the places of a tile, one for each set of channels, with convolutions or without.

Paper: Ding et al. 2022 (RepMLPNet), arXiv:2112.11081, §3 and figure 2.
Reference: DingXiaoH/RepMLP, repmlpnet.py.
DIFF: with more than one tile the reference's block scrambles tiles and channels; ours mixes each
    tile by itself, as the paper says. One tile, the classification case, is equal.
Axes: b batch, d width, h w rows and columns, s share-sets, g = d / s channels of a set, p = b tiles
g maps, n places of a tile.
"""

import math
from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float, Float64
from torch import Tensor, nn

from allmlp.errors import check_integers
from allmlp.layers.batch_norm import scale_and_shift
from allmlp.ops.convolution_matrix import convolution_matrix

__all__ = ["ConvNorm", "Gate", "InjectedMix", "ShareSetLinear", "TrainingMix"]

GATE_REDUCTION = 4


class ConvNorm(nn.Module):
    """A convolution without bias, then batch norm.

    Shape:
        (b, d, h, w) -> (b, d2, h2, w2); dtype unchanged.
    """

    def __init__(
        self,
        width: int,
        out: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ):
        super().__init__()
        self.conv = nn.Conv2d(
            width, out, kernel, stride=stride, padding=padding, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(out)

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d2 h2 w2"]:
        return self.norm(self.conv(x))

    def merged(self) -> tuple[Float64[Tensor, "d2 e k k"], Float64[Tensor, " d2"]]:
        """Weight and bias of the one convolution that does the same at evaluation, in float64.

        Raises:
            AllmlpError: a norm that keeps no statistics.
        """
        scale, shift = scale_and_shift(self.norm)
        return self.conv.weight.double() * scale[:, None, None, None], shift


class Gate(nn.Module):
    """The global perceptron: from the mean of all places to a factor in (0, 1) per channel.

    Args:
        width: d.

    Shape:
        (b, d, h, w) -> (b, d, 1, 1); dtype unchanged.
    """

    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, max(width // GATE_REDUCTION, 1))
        self.activation = nn.ReLU()
        self.fc2 = nn.Linear(max(width // GATE_REDUCTION, 1), width)

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d 1 1"]:
        logits = self.fc2(self.activation(self.fc1(x.mean(dim=(2, 3)))))
        return logits.sigmoid()[:, :, None, None]


class ShareSetLinear(nn.Module):
    """`y[:, s] = weight[s] @ x[:, s] (+ bias[s])`: a matrix over places for each set of channels.

    Args:
        share_sets: s.
        places: n, fixed by the weights.
        bias: whether there is one, per set and place.

    Shape:
        (p, s, n) -> (p, s, n); dtype unchanged.

    Example:
        >>> ShareSetLinear(2, 9)(torch.zeros(4, 2, 9)).shape
        torch.Size([4, 2, 9])
    """

    def __init__(self, share_sets: int, places: int, *, bias: bool = True):
        super().__init__()
        check_integers("ShareSetLinear", minimum=1, share_sets=share_sets, places=places)
        self.weight = nn.Parameter(torch.empty(share_sets, places, places))
        self.bias = nn.Parameter(torch.empty(share_sets, places)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw anew what torch draws for the grouped 1 × 1 convolution that this is."""
        bound = 1 / math.sqrt(self.weight.shape[-1])
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Float[Tensor, "p s n"]) -> Float[Tensor, "p s n"]:
        rows = x.transpose(0, 1)  # a product for each set, read in place
        if self.bias is None:
            return torch.bmm(rows, self.weight.mT).transpose(0, 1)
        return torch.baddbmm(self.bias[:, None], rows, self.weight.mT).transpose(0, 1)

    def extra_repr(self) -> str:
        return f"share_sets={self.weight.shape[0]}, places={self.weight.shape[1]}"


class TrainingMix(nn.Module):
    """Matrices over places and depthwise convolutions, each with batch norm, summed and gated.

    Args:
        width: d.
        share_sets: s; channel c is mixed by set c mod s.
        grid: rows and columns of a tile.
        kernels: of the convolutions, odd.

    Shape:
        (b, d, h, w) of whole tiles -> (b, d, h, w); dtype unchanged.
    """

    def __init__(
        self, *, width: int, share_sets: int, grid: tuple[int, int], kernels: Sequence[int]
    ):
        super().__init__()
        self.share_sets, self.grid = share_sets, grid
        self.gate = Gate(width)
        self.places = ShareSetLinear(share_sets, grid[0] * grid[1], bias=False)
        self.norm = nn.BatchNorm1d(share_sets)
        self.branches = nn.ModuleList(
            ConvNorm(share_sets, share_sets, kernel, padding=kernel // 2, groups=share_sets)
            for kernel in kernels
        )

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        tiles = _to_tiles(x, self.share_sets, self.grid)
        mixed = self.norm(self.places(tiles.flatten(2))).view(tiles.shape)
        for branch in self.branches:
            mixed = mixed + branch(tiles)
        return _from_tiles(mixed, x.shape) * self.gate(x)

    def merged(self) -> tuple[Float64[Tensor, "s n n"], Float64[Tensor, "s n"]]:
        """Matrices and biases that do the same at evaluation, before the gate, in float64.

        Raises:
            AllmlpError: a norm that keeps no statistics.

        Source: §3.3 (locality injection).
        """
        scale, shift = scale_and_shift(self.norm)
        weight = self.places.weight.double() * scale[:, None, None]
        for branch in self.branches:
            assert isinstance(branch, ConvNorm)
            kernel, bias = branch.merged()
            weight = weight + convolution_matrix(kernel[:, 0], self.grid)
            shift = shift + bias
        return weight, shift[:, None].expand(-1, weight.shape[-1])


class InjectedMix(nn.Module):
    """Matrices over places with a bias, gated: what a `TrainingMix` becomes.

    Args:
        width: d.
        share_sets: s; channel c is mixed by set c mod s.
        grid: rows and columns of a tile.

    Shape:
        (b, d, h, w) of whole tiles -> (b, d, h, w); dtype unchanged.
    """

    def __init__(self, *, width: int, share_sets: int, grid: tuple[int, int]):
        super().__init__()
        self.share_sets, self.grid = share_sets, grid
        self.gate = Gate(width)
        self.places = ShareSetLinear(share_sets, grid[0] * grid[1])

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        tiles = _to_tiles(x, self.share_sets, self.grid)
        mixed = self.places(tiles.flatten(2)).unflatten(2, self.grid)
        return _from_tiles(mixed, x.shape) * self.gate(x)


def _to_tiles(
    x: Float[Tensor, "b d h w"], share_sets: int, grid: tuple[int, int]
) -> Float[Tensor, "p s y x"]:
    y, x_ = grid
    return rearrange(x, "b (g s) (i y) (j x) -> (b i j g) s y x", s=share_sets, y=y, x=x_)


def _from_tiles(tiles: Float[Tensor, "p s y x"], shape: torch.Size) -> Float[Tensor, "b d h w"]:
    # the tiles stand before the channels of a set: the order the reference forgets
    i, j = shape[2] // tiles.shape[2], shape[3] // tiles.shape[3]
    g = shape[1] // tiles.shape[1]
    return rearrange(tiles, "(b i j g) s y x -> b (g s) (i y) (j x)", i=i, j=j, g=g)
