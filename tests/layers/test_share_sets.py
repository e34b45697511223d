from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allmlp.layers.share_sets import InjectedMix, ShareSetLinear, TrainingMix


def stirred(model: nn.Module) -> Any:
    """Norms that are no identity, in eval mode and double precision."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 1.5) if "var" in name else nn.init.normal_(
                tensor, std=0.3
            )
    return model.double().eval()


def maps(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def test_channels_take_the_matrices_by_turns() -> None:
    mix = stirred(InjectedMix(width=6, share_sets=2, grid=(2, 3)))
    x = maps(2, 6, 2, 3)
    expected = torch.empty_like(x)
    for channel in range(6):
        matrix, bias = mix.places.weight[channel % 2], mix.places.bias[channel % 2]
        expected[:, channel] = (x[:, channel].flatten(1) @ matrix.T + bias).view(2, 2, 3)
    torch.testing.assert_close(mix(x), expected * mix.gate(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [TrainingMix, InjectedMix])
@pytest.mark.parametrize("tiles", [(1, 1), (2, 1), (2, 3)])
def test_tiles_are_mixed_each_by_itself(kind: Any, tiles: tuple[int, int]) -> None:
    # the reference scrambles tiles and channels as soon as a set has two channels
    options = {"kernels": (1, 3)} if kind is TrainingMix else {}
    mix = stirred(kind(width=8, share_sets=2, grid=(3, 2), **options))
    gate, mix.gate = mix.gate, nn.Flatten(0)  # taken out: it sees the whole map
    mix.gate.forward = lambda x: torch.ones_like(x[:, :, :1, :1])
    x = maps(2, 8, 3 * tiles[0], 2 * tiles[1])
    found = mix(x)
    for i in range(tiles[0]):
        for j in range(tiles[1]):
            at = (..., slice(3 * i, 3 * i + 3), slice(2 * j, 2 * j + 2))
            torch.testing.assert_close(found[at], mix(x[at]), rtol=1e-12, atol=1e-12)
    mix.gate = gate
    torch.testing.assert_close(mix(x), found * gate(x), rtol=1e-12, atol=1e-12)


def test_gradients() -> None:
    mix = stirred(TrainingMix(width=4, share_sets=2, grid=(2, 2), kernels=(1, 3))).train()
    x = maps(2, 4, 4, 2).requires_grad_()
    assert torch.autograd.gradcheck(mix, (x,))
    places = stirred(ShareSetLinear(2, 3))
    assert torch.autograd.gradcheck(places, (maps(4, 2, 3).requires_grad_(),))


def test_fresh_matrices_are_those_of_a_grouped_convolution() -> None:
    conv = nn.Conv2d(2 * 49, 2 * 49, 1, groups=2)
    ours = ShareSetLinear(2, 49)
    for mine, theirs in ((ours.weight, conv.weight), (ours.bias, conv.bias)):
        assert mine.abs().max() <= 1 / 7
        torch.testing.assert_close(mine.std(), theirs.std(), rtol=0.1, atol=0)
