"""Layers out of networks that are not ours: torch-conv-kan's convolutions, KAT's rationals.

Their networks hold what this library does not build (attention, say), or differ from file to file.
Their layers are read one by one, by the names they have there.
Axes: c input channels, o output channels, m functions per channel, g groups.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.layers.grkan import Rational
from allmlp.layers.kan_conv import KANConv1d, KANConv2d, KANConv3d
from allmlp.zoo.convert.format import Converted, Settings

__all__ = ["KAN_PARTS", "KANParts", "conv_kan_layer", "kat_rational"]

_CONVOLUTIONS = {1: KANConv1d, 2: KANConv2d, 3: KANConv3d}
_NORMS = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}


def kat_rational(state: Mapping[str, Tensor], prefix: str, features: int) -> Rational:
    """One rational activation of a KAT, with its coefficients.

    Its denominators are those of the released kernels, 1 + sum |b_j x^j| (`sum_abs`).

    Args:
        state: of a whole KAT, or of a part.
        prefix: of the layer, for example `blocks.0.mlp.act1`.
        features: channels that pass through it, which the file does not say.

    Raises:
        AllmlpError: no such layer, or channels that its groups do not divide.
    """
    numerator = _tensor(state, prefix, "weight_numerator")
    denominator = _tensor(state, prefix, "weight_denominator")
    rational = Rational(features, groups=len(denominator), denominator_form="sum_abs")
    rational.to(numerator.dtype).load_state_dict(
        {"numerator": numerator.view(1, -1), "denominator": denominator}
    )
    return rational


def conv_kan_layer(
    state: Mapping[str, Tensor],
    prefix: str = "",
    *,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    k: int = 3,
    grid_range: tuple[float, float] = (-1.0, 1.0),
    base: str = "gelu",
) -> nn.Sequential:
    """One B-spline convolution of torch-conv-kan: convolution, instance norm, PReLU.

    Channels, kernel, groups, g + k and the slope are the file's; the rest it does not hold, and is
    that code's default here. Its order of channels is channel-major, ours basis-major.

    Args:
        state: of a whole network, or of a part.
        prefix: of the layer; empty for a file of one layer.
        stride: as the layer was built.
        padding: as the layer was built; padded pixels contribute 0, as there.
        dilation: as the layer was built.
        k: degree of the splines.
        grid_range: ends of their grid.
        base: `gelu`, `silu` or `identity`.

    Raises:
        AllmlpError: no such layer, or shapes that do not fit together.
    """
    groups = sum(key.startswith(_join(prefix, "base_conv.")) for key in state)
    bases = [_tensor(state, prefix, f"base_conv.{g}.weight") for g in range(max(groups, 1))]
    splines = [_tensor(state, prefix, f"spline_conv.{g}.weight") for g in range(groups)]
    slopes = [_tensor(state, prefix, f"prelus.{g}.weight") for g in range(groups)]
    outputs, each, *kernel = bases[0].shape
    size = splines[0].shape[1] // each
    if splines[0].shape != (outputs, size * each, *kernel) or size <= k:
        raise AllmlpError(
            f"the splines of {prefix or 'this layer'} have shape {tuple(splines[0].shape)}, which "
            f"are no {k} + g functions for each of {each} channels of {tuple(bases[0].shape)}"
        )
    geometry: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    convolution = _CONVOLUTIONS[len(kernel)](
        each * groups,
        outputs * groups,
        tuple(kernel),
        groups=groups,
        base=base,
        pad="basis",
        grid=size - k,
        k=k,
        grid_range=grid_range,
        outside="zero",
        **geometry,
    ).to(bases[0].dtype)
    assert convolution.base_weight is not None  # there is a base
    with torch.no_grad():
        convolution.base_weight.copy_(torch.cat(bases))
        by_channel = torch.cat(splines).unflatten(1, (each, size))
        convolution.spline_weight.copy_(by_channel.transpose(1, 2).flatten(1, 2))
    activation = nn.PReLU(outputs * groups).to(bases[0].dtype)
    with torch.no_grad():
        activation.weight.copy_(torch.cat(slopes).repeat_interleave(outputs))
    return nn.Sequential(convolution, _NORMS[len(kernel)](outputs * groups), activation)


class KANParts:
    """Tells what to do with a file that holds such layers among others."""

    format = "torch-conv-kan or KAT, layer by layer"
    family = "kan"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether some layer bears these names."""
        return any(re.search(r"(^|\.)(spline_conv\.0\.weight|weight_numerator)$", k) for k in state)

    def convert(
        self,
        state: Mapping[str, Tensor],
        img_size: tuple[int, int] | None,
        settings: Settings,
    ) -> Converted:
        """Always refused, with the functions that read the layers.

        Raises:
            AllmlpError: always.
        """
        conv = any("spline_conv." in key for key in state)
        library, function = (
            ("torch-conv-kan", "conv_kan_layer") if conv else ("KAT", "kat_rational")
        )
        raise AllmlpError(
            f"this is a network with layers of {library}, which is not ours to rebuild as a whole; "
            f"allmlp.zoo.convert.{function}(state, prefix) reads its layers one by one"
        )


KAN_PARTS = KANParts()


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _tensor(state: Mapping[str, Tensor], prefix: str, name: str) -> Tensor:
    key = _join(prefix, name)
    if key not in state:
        known = sorted(k.removesuffix(f".{name}") for k in state if k.endswith(f".{name}"))
        found = ", ".join(known[:5]) or "none"
        raise AllmlpError(f"there is no {key}; layers of this kind are: {found}")
    return state[key]
