"""Mixing of places by shifted channels: CycleMLP's operator and the two mixers built from it.

Paper: Chen et al. 2021, arXiv:2107.10224, §3.
Reference: ShoufaChen/CycleMLP, cycle_mlp.py. There a deformable convolution with whole-numbered
offsets; here shifted copies and a matrix product, which is the same function.
Axes: b batch, h w rows and columns, d width.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from allmlp.errors import check_integers
from allmlp.layers.hooked import hooked, is_own
from allmlp.ops.autocast import autocast_dtype
from allmlp.ops.linear import linear
from allmlp.ops.shift import ShiftPattern, shift_channels

__all__ = ["CycleFC", "CycleMix", "CycleSum"]


class CycleFC(nn.Module):
    """A linear map over channels, each of which is read where the pattern says (paper, eq. 3).

    Args:
        width: d, of input and output.
        pattern: for d channels.

    Shape:
        (b, h, w, d) -> (b, h, w, d); dtype unchanged.

    Raises:
        AllmlpError: at run time, a pattern for another number of channels.

    Example:
        >>> from allmlp.ops import cyclic_pattern
        >>> CycleFC(8, cyclic_pattern(8, (1, 3)))(torch.zeros(1, 5, 7, 8)).shape
        torch.Size([1, 5, 7, 8])
    """

    def __init__(self, width: int, pattern: ShiftPattern):
        super().__init__()
        check_integers("CycleFC", minimum=1, width=width)
        self.pattern = pattern
        self.weight = nn.Parameter(torch.empty(width, width))
        self.bias = nn.Parameter(torch.empty(width))
        self.init_weights()

    def init_weights(self) -> None:
        """Normal weight of std 0.02, zero bias."""
        nn.init.trunc_normal_(self.weight, std=0.02)
        nn.init.zeros_(self.bias)

    def read(self, x: Float[Tensor, "b h w d"]) -> Float[Tensor, "b h w d"]:
        """The input with every channel shifted, before the linear map."""
        return shift_channels(x, self.pattern)

    def forward(self, x: Float[Tensor, "b h w d"]) -> Float[Tensor, "b h w d"]:
        return linear(self.read(x), self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"width={len(self.bias)}"


class CycleMix(nn.Module):
    """Three branches, weighed per image and channel, then a projection (figure 4; Hou et al. 2021).

    `proj(a_w * along_w(x) + a_h * along_h(x) + a_c * channel(x))`, where the three weights of a
    channel are the softmax of `fc2(gelu(fc1(mean of the sum of the branches)))`.

    Args:
        width: d.
        along_w: pattern along the width.
        along_h: pattern along the height.

    Shape:
        (b, h, w, d) -> (b, h, w, d); dtype unchanged.
    """

    def __init__(self, *, width: int, along_w: ShiftPattern, along_h: ShiftPattern):
        super().__init__()
        self.along_w = CycleFC(width, along_w)
        self.along_h = CycleFC(width, along_h)
        self.channel = nn.Linear(width, width, bias=False)
        self.fc1 = nn.Linear(width, max(width // 4, 1))
        self.activation = nn.GELU()
        self.fc2 = nn.Linear(max(width // 4, 1), 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "b h w d"]) -> Float[Tensor, "b h w d"]:
        places, width = x.shape[1] * x.shape[2], x.shape[3]
        parts = (self.along_w, self.along_h, self.channel, self.proj)
        # 3 d^3 + 3 n d^2 products of one kind against 4 n d^2 of the other
        apart = torch.compiler.is_exporting() or hooked(*parts)
        apart = apart or not all(is_own(part, nn.Linear) for part in (self.channel, self.proj))
        apart = apart or not all(is_own(p, CycleFC) for p in (self.along_w, self.along_h))
        if places > 3 * width and not apart:
            return self._folded(x)
        branches = (self.along_w(x), self.along_h(x), self.channel(x))
        mean = (branches[0] + branches[1] + branches[2]).mean(dim=(1, 2))
        weights = self._weigh(mean)[:, None, None]
        mixed = branches[0] * weights[..., 0]
        mixed = mixed + branches[1] * weights[..., 1] + branches[2] * weights[..., 2]
        return self.proj(mixed)

    def _weigh(self, mean: Float[Tensor, "b d"]) -> Float[Tensor, "b d 3"]:
        logits = self.fc2(self.activation(self.fc1(mean)))
        return logits.unflatten(-1, (-1, 3)).softmax(dim=-1)

    def _folded(self, x: Float[Tensor, "b h w d"]) -> Float[Tensor, "b h w d"]:
        """The same with the four linear maps of an image multiplied into three.

        The mean of the branches needs no branch: linear maps of the means of what they read.
        """
        branches = (self.along_w, self.along_h, self.channel)
        reads = (self.along_w.read(x), self.along_h.read(x), x)
        means = [read.mean(dim=(1, 2)) for read in reads]
        summed = F.linear(means[0], self.along_w.weight, self.along_w.bias)
        summed = summed + F.linear(means[1], self.along_h.weight, self.along_h.bias)
        weights = self._weigh(summed + F.linear(means[2], self.channel.weight))
        biases = weights[..., 0] * self.along_w.bias + weights[..., 1] * self.along_h.bias
        # (b, 3, d, d): for each image, what it does to each of the three
        matrices = torch.stack([branch.weight for branch in branches])
        folded = (self.proj.weight * weights.mT[:, :, None]) @ matrices
        y = torch.baddbmm(self.proj(biases)[:, None], reads[0].flatten(1, 2), folded[:, 0].mT)
        # in place where autocast, which knows no such form, does not have to see the operands
        add = Tensor.baddbmm_ if autocast_dtype(x) is None else torch.baddbmm
        for k in (1, 2):
            y = add(y, reads[k].flatten(1, 2), folded[:, k].mT)
        return y.view(x.shape)


class CycleSum(nn.Module):
    """Three branches, summed, then a projection: the mixer of T, S and B.

    Args:
        width: d.
        along_w: pattern along the width.
        along_h: pattern along the height.

    Shape:
        (b, h, w, d) -> (b, h, w, d); dtype unchanged.
    """

    def __init__(self, *, width: int, along_w: ShiftPattern, along_h: ShiftPattern):
        super().__init__()
        self.along_w = CycleFC(width, along_w)
        self.along_h = CycleFC(width, along_h)
        self.channel = nn.Linear(width, width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "b h w d"]) -> Float[Tensor, "b h w d"]:
        return self.proj(self.along_w(x) + self.along_h(x) + self.channel(x))
