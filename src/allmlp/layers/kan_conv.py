"""Convolutions whose kernels hold a function at every position.

    y_o(p) = sum_{i,q} phi_oiq(x_i(p + q))

Papers: Bodner et al. 2024, Convolutional KANs, arXiv:2406.13155; Drokin 2024, arXiv:2407.01092.
Reference: IvanDrokin/torch-conv-kan.
DIFF: padded pixels are inputs of value 0 and contribute phi(0); the reference expands first and
pads afterwards, so that they contribute 0 (`pad="basis"`). No norm and no activation inside.

Axes: b batch, c input channels, o output channels, m functions per channel, s spatial axes.
"""

from collections.abc import Sequence
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.layers.bases import make_basis
from allmlp.layers.basis import Basis
from allmlp.layers.kan_init import KAN_INITS, draw_kan_start
from allmlp.ops.activation import ACTIVATIONS
from allmlp.ops.basis_convolution import basis_convolution
from allmlp.ops.expansion import Expansion

__all__ = ["KANConv1d", "KANConv2d", "KANConv3d"]


class _KANConv(nn.Module):
    """One implementation for one, two and three axes; the public classes state `axes`.

    Weights are kept as the convolution takes them: `spline_weight` (o, m * c / groups, *k),
    basis-major, and `base_weight` (o, c / groups, *k).
    """

    axes: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        *,
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        basis: str | Basis = "bspline",
        base: str | None = "silu",
        bias: bool = False,
        pad: str = "input",
        init: str = "normal",
        **options: Any,
    ):
        super().__init__()
        name = type(self).__name__
        check_integers(
            name, minimum=1, in_channels=in_channels, out_channels=out_channels, groups=groups
        )
        if in_channels % groups or out_channels % groups:
            raise AllmlpError(
                f"{name} needs channels divisible by groups={groups}, got {in_channels} in and "
                f"{out_channels} out"
            )
        if base is not None:
            check_choice("base", base, ACTIVATIONS)
        check_choice("pad", pad, ("input", "basis"))
        check_choice("init", init, KAN_INITS)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = self._each("kernel_size", kernel_size, 1)
        self.stride = self._each("stride", stride, 1)
        self.padding = self._each("padding", padding, 0)
        self.dilation = self._each("dilation", dilation, 1)
        self.groups = groups
        self.base = base
        self._base = None if base is None else Expansion.of(base)
        self.pad = pad
        self.init = init
        self.basis = make_basis(basis, in_channels, **options)
        each = in_channels // groups
        self.spline_weight = nn.Parameter(
            torch.empty(out_channels, self.basis.size * each, *self.kernel_size)
        )
        self.base_weight = (
            None
            if base is None
            else nn.Parameter(torch.empty(out_channels, each, *self.kernel_size))
        )
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.init_weights()

    def _each(self, name: str, value: int | tuple[int, ...], minimum: int) -> tuple[int, ...]:
        values = (value,) * self.axes if isinstance(value, int) else tuple(value)
        if len(values) != self.axes:
            raise AllmlpError(
                f"{type(self).__name__} needs one {name} or {self.axes}, got {value!r}"
            )
        for number in values:
            check_integers(type(self).__name__, minimum=minimum, **{name: number})
        return values

    @final
    @torch.no_grad()
    def init_weights(self) -> None:
        """Draw all weights anew by `init`, from torch's global generator."""
        if self.spline_weight.is_meta:
            return
        each = self.in_channels // self.groups
        positions = self.spline_weight[0, 0].numel()
        start = draw_kan_start(
            self.init,
            self.basis,
            self.out_channels,
            positions=positions,
            groups=self.groups,
            base=self.base_weight is not None,
        )
        spline = start.spline * start.scale[:, None]
        # each output reads the channels of its group only
        group = torch.arange(self.out_channels) // (self.out_channels // self.groups)
        channel = group[:, None] * each + torch.arange(each)
        row = torch.arange(self.out_channels)[:, None]
        spline = spline.transpose(1, 2)[row, channel].transpose(1, 2)
        self.spline_weight.copy_(spline.reshape(self.spline_weight.shape))
        if self.base_weight is not None:
            self.base_weight.copy_(start.base[row, channel].reshape(self.base_weight.shape))
        if self.bias is not None:
            self.bias.copy_(start.bias)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != self.axes + 2 or x.shape[1] != self.in_channels:
            raise AllmlpError(
                f"this {type(self).__name__} was built for inputs (batch, {self.in_channels}, "
                f"{self.axes} spatial axes) but got {tuple(x.shape)}"
            )
        padding = self.padding
        if self.pad == "input":
            x = F.pad(x, [n for size in reversed(padding) for n in (size, size)])
            padding = (0,) * self.axes
        basis = self.basis
        expansion, tensors, dense = basis.expansion, basis.tensors(), basis.trainable
        y = self._convolve(x, self.spline_weight, expansion, tensors, padding, dense)
        if self.base_weight is not None and self._base is not None:
            y = y + self._convolve(x, self.base_weight, self._base, (), padding)
        return y if self.bias is None else y + self.bias.view(-1, *(1,) * self.axes)

    def _convolve(
        self,
        x: Tensor,
        weight: Tensor,
        expansion: Expansion,
        tensors: Sequence[Tensor],
        padding: tuple[int, ...],
        dense: bool = False,
    ) -> Tensor:
        return basis_convolution(
            x,
            weight,
            expansion,
            tensors,
            stride=self.stride,
            padding=padding,
            dilation=self.dilation,
            groups=self.groups,
            dense=dense,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, groups={self.groups}, "
            f"base={self.base!r}, pad={self.pad!r}"
        )


@final
class KANConv1d(_KANConv):
    """A KAN convolution along one axis: see `KANConv2d`.

    Shape:
        (b, c, length) -> (b, o, length'); dtype unchanged.
    """

    axes = 1


@final
class KANConv2d(_KANConv):
    """A convolution with a function instead of a weight at every position of its kernel.

    Values of basis functions are made for some images at a time, once more on the way back, so that
    a step keeps its (padded) input alone (`ops.basis_convolution`); all of them with a trainable
    basis.

    Args:
        in_channels: c.
        out_channels: o.
        kernel_size: pixels, one number or one per axis, as the next three.
        stride: pixels.
        padding: pixels on either side.
        dilation: distance of the kernel's positions.
        groups: blocks of channels that do not mix.
        basis: a name (`layers.BASES`) or a finished `Basis` for c inputs; channels have the
            functions, positions share them.
        base: `silu`, `gelu`, `identity`, or None for no base branch.
        bias: add one number to every output channel.
        pad: `input`: padded pixels have the value 0 and contribute phi(0); `basis`: zeros are put
            around the expanded channels and contribute 0, the order of torch-conv-kan.
        init: how the weights start, see `layers.kan_init.draw_kan_start`.
        **options: of the basis, when it is given by name.

    Shape:
        (b, c, h, w) -> (b, o, h', w') as in `nn.Conv2d`; dtype unchanged.

    Raises:
        AllmlpError: a size is no positive integer, channels that groups do not divide, an unknown
            name; at run time, inputs of another shape.

    Example:
        >>> KANConv2d(3, 8, 3, padding=1)(torch.zeros(2, 3, 16, 16)).shape
        torch.Size([2, 8, 16, 16])
    """

    axes = 2


@final
class KANConv3d(_KANConv):
    """A KAN convolution along three axes: see `KANConv2d`.

    Shape:
        (b, c, d, h, w) -> (b, o, d', h', w'); dtype unchanged.
    """

    axes = 3
