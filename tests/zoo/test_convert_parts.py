"""Layers of torch-conv-kan and KAT against what their code computes, written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.zoo.convert import conv_kan_layer, convert_state, kat_rational


def recursion(x: Tensor, t: Tensor, k: int) -> Tensor:
    x = x[..., None]
    basis = ((x >= t[:-1]) & (x < t[1:])).to(x.dtype)
    for p in range(1, k + 1):
        left = (x - t[: -p - 1]) / (t[p:-1] - t[: -p - 1]) * basis[..., :-1]
        right = (t[p + 1 :] - x) / (t[p + 1 :] - t[1:-p]) * basis[..., 1:]
        basis = left + right
    return basis


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("axes", [1, 2])
def test_torch_conv_kan(groups: int, axes: int) -> None:
    each, outputs, grid, k = 3, 4, 5, 3
    kernel = (3,) * axes
    state: dict[str, Tensor] = {}
    for g in range(groups):
        state[f"a.base_conv.{g}.weight"] = torch.randn(outputs, each, *kernel).double()
        shape = (outputs, each * (grid + k), *kernel)
        state[f"a.spline_conv.{g}.weight"] = torch.randn(shape).double()
        state[f"a.prelus.{g}.weight"] = torch.rand(1).double()
    x = torch.randn(2, each * groups, *(7,) * axes).double()

    # group by group; bases are expanded first and padded afterwards, channel-major
    step = 2 / grid
    knots = torch.linspace(-1 - k * step, 1 + k * step, grid + 2 * k + 1, dtype=torch.float64)
    convolve, norm = {1: (F.conv1d, F.instance_norm), 2: (F.conv2d, F.instance_norm)}[axes]
    expected = []
    for g, part in enumerate(x.split(each, dim=1)):
        y = convolve(F.gelu(part), state[f"a.base_conv.{g}.weight"], padding=1, stride=2)
        bases = recursion(part, knots, k).moveaxis(-1, 2).flatten(1, 2)
        y = y + convolve(bases, state[f"a.spline_conv.{g}.weight"], padding=1, stride=2)
        expected.append(F.prelu(norm(y), state[f"a.prelus.{g}.weight"]))
    layer = conv_kan_layer(state, "a", stride=2, padding=1)
    # the layer's knots are built in float32
    torch.testing.assert_close(layer(x), torch.cat(expected, 1), rtol=1e-6, atol=1e-6)
    assert layer[0].groups == groups

    with pytest.raises(AllmlpError, match=r"no b\.base_conv\.0\.weight; .* are: a"):
        conv_kan_layer(state, "b")
    with pytest.raises(AllmlpError, match="no 9 \\+ g functions for each of 3 channels"):
        conv_kan_layer(state, "a", k=9)
    with pytest.raises(AllmlpError, match="layers of torch-conv-kan.*conv_kan_layer"):
        convert_state(state)


def test_kat() -> None:
    prefix = "blocks.3.mlp.act1"
    numerator, denominator = torch.randn(1, 6).double(), torch.randn(8, 4).double()
    state = {f"{prefix}.weight_numerator": numerator, f"{prefix}.weight_denominator": denominator}
    x = torch.randn(2, 5, 16).double()
    expected = torch.empty_like(x)
    for channel in range(16):
        v, b = x[..., channel], denominator[channel // 2]
        above = sum(numerator[0, j] * v**j for j in range(6))
        expected[..., channel] = above / (1 + sum((b[j] * v ** (j + 1)).abs() for j in range(4)))
    rational = kat_rational(state, prefix, 16)
    torch.testing.assert_close(rational(x), expected, rtol=1e-12, atol=1e-12)
    with pytest.raises(AllmlpError, match=r"layers of this kind are: blocks\.3\.mlp\.act1"):
        kat_rational(state, "blocks.4.mlp.act1", 16)
    with pytest.raises(AllmlpError, match="divisible by groups=8, got 12"):
        kat_rational(state, prefix, 12)
    with pytest.raises(AllmlpError, match="layers of KAT.*kat_rational"):
        convert_state({**state, "cls_token": torch.zeros(1)})
