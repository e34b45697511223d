from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allmlp.layers.cycle import CycleFC, CycleMix, CycleSum
from allmlp.ops.shift import cyclic_pattern


def stirred(model: nn.Module) -> Any:
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


def maps(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def mixer(kind: type[nn.Module], width: int) -> Any:
    along_w, along_h = cyclic_pattern(width, (1, 3)), cyclic_pattern(width, (3, 1))
    return stirred(kind(width=width, along_w=along_w, along_h=along_h))


@contextmanager
def watched(part: nn.Module) -> Iterator[None]:
    with part.register_forward_hook(lambda module, inputs, output: None):
        yield


@pytest.mark.parametrize("steps", [(1, 3), (3, 1), (1, 7), (3, 3)])
def test_cyclefc_by_its_equation(steps: tuple[int, int]) -> None:
    layer = stirred(CycleFC(5, cyclic_pattern(5, steps)))
    x = maps(2, 3, 4, 5)
    y = torch.zeros_like(x)
    for i in range(3):
        for j in range(4):
            y[:, i, j] = layer.bias
            for c, (row, column) in enumerate(layer.pattern.offsets):
                if 0 <= i + row < 3 and 0 <= j + column < 4:
                    y[:, i, j] += x[:, i + row, j + column, c, None] * layer.weight[:, c]
    torch.testing.assert_close(layer(x), y, rtol=1e-12, atol=1e-12)


def test_cyclefc_against_torchvisions_deformable_convolution() -> None:
    try:
        from torchvision.ops import deform_conv2d  # type: ignore[import-untyped]
    except (ImportError, RuntimeError):
        pytest.skip("torchvision is absent, or its operators are")
    layer = CycleFC(7, cyclic_pattern(7, (1, 3)))
    x = torch.randn(2, 4, 5, 7)
    offset = torch.tensor(layer.pattern.offsets, dtype=x.dtype).view(1, 14, 1, 1)
    theirs = deform_conv2d(
        x.permute(0, 3, 1, 2),
        offset.expand(2, 14, 4, 5),
        layer.weight[:, :, None, None],
        layer.bias,
    )
    torch.testing.assert_close(layer(x), theirs.permute(0, 2, 3, 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("width", [3, 4, 8])
def test_folding_the_products_changes_nothing(width: int) -> None:
    mix = mixer(CycleMix, width)
    x, y = (maps(2, 6, 6, width).requires_grad_() for _ in range(2))
    y.data.copy_(x.data)
    assert 3 * width < 36  # folded
    folded = mix(x)
    with watched(mix.proj):
        plain = mix(y)
    torch.testing.assert_close(folded, plain, rtol=1e-12, atol=1e-12)
    weights = list(mix.parameters())
    gradients = torch.autograd.grad(folded.square().sum(), [x, *weights])
    expected = torch.autograd.grad(plain.square().sum(), [y, *weights])
    torch.testing.assert_close(gradients, expected, rtol=1e-10, atol=1e-10)


def test_branches_are_weighed_channel_by_channel() -> None:
    mix = mixer(CycleMix, 4)
    x = maps(1, 2, 2, 4)
    branches = torch.stack([mix.along_w(x), mix.along_h(x), mix.channel(x)])
    logits = mix.fc2(nn.functional.gelu(mix.fc1(branches.sum(0).mean((1, 2)))))[0]
    for channel in range(4):
        # the branch is the fastest axis of the logits
        shares = logits[3 * channel : 3 * channel + 3].softmax(0)
        branches[:, ..., channel] *= shares[:, None, None, None]
    expected = mix.proj(branches.sum(0))
    torch.testing.assert_close(mix(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [CycleMix, CycleSum])
@pytest.mark.parametrize("shape", [(1, 5, 6, 2), (2, 1, 2, 3)])
def test_gradients(kind: type[nn.Module], shape: tuple[int, ...]) -> None:
    mix = mixer(kind, shape[-1])
    x = maps(*shape).requires_grad_()
    assert torch.autograd.gradcheck(mix, (x,))
