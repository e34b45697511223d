"""What the sweep over all variants does not see of the CS-Mixer."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.models.csmixer import (
    CrossScaleMerge,
    CrossScaleStem,
    CSMixer,
    CSMixerConfig,
    SpatialChannelMix,
)
from allmlp.zoo.convert import convert_state

THIN: dict[str, Any] = {
    "img_size": (32, 48),
    "width": 8,
    "depths": (2, 1),
    "heads": (2, 1),
    "ranks": (1, 2),
    "group_side": 4,
    "num_classes": 3,
}


def stirred(model: nn.Module) -> Any:
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model.double().eval()


def tiny(**changes: Any) -> CSMixer:
    return stirred(CSMixer(CSMixerConfig(**{**THIN, **changes})))


def maps(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def by_loops(mix: SpatialChannelMix, x: Tensor) -> Tensor:
    """The formulas of the mixer for one image, place by place and number by number."""
    height, width, _ = x.shape
    side, rank = mix.side, mix.rank
    z, u = mix.down(x), mix.gate(x)
    mixed = torch.zeros_like(z)
    spread = mix.grouping if min(height, width) > side else "local"

    def group_of(h: int, w: int) -> tuple[tuple[int, int], int]:
        if spread == "local":
            return (h // side, w // side), (h % side) * side + w % side
        far_h, far_w = height // side, width // side
        return (h % far_h, w % far_w), (h // far_h) * side + w // far_w

    places = list(itertools.product(range(height), range(width)))
    for (h, w), (h2, w2) in itertools.product(places, places):
        (group, n), (group2, n2) = group_of(h, w), group_of(h2, w2)
        if group != group2:
            continue
        for head, e, e2 in itertools.product(range(mix.heads), range(rank), range(rank)):
            weight = mix.weight[head, n2 * rank + e2, n * rank + e]
            mixed[h, w, head * rank + e] += z[h2, w2, head * rank + e2] * weight
    for h, w in places:
        _, n = group_of(h, w)
        for head, e in itertools.product(range(mix.heads), range(rank)):
            mixed[h, w, head * rank + e] += mix.bias[head, n * rank + e]
    return mix.out(u * mix.up(mixed))


@pytest.mark.parametrize("grouping", ["local", "global"])
@pytest.mark.parametrize("size", [(2, 2), (4, 2), (6, 4)])
def test_mixing_by_loops(grouping: Any, size: tuple[int, int]) -> None:
    mix = stirred(SpatialChannelMix(width=5, heads=2, rank=2, side=2, grouping=grouping))
    x = maps(2, *size, 5)
    with torch.no_grad():
        expected = torch.stack([by_loops(mix, image) for image in x])
        torch.testing.assert_close(mix(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("grouping", ["local", "global"])
def test_other_maps_are_mixed_as_if_zeros_went_on(grouping: Any) -> None:
    mix = stirred(SpatialChannelMix(width=5, heads=1, rank=2, side=3, grouping=grouping))
    nn.init.zeros_(mix.down.bias)  # so that zeros before and after compression are the same
    x = maps(2, 4, 5, 5)
    padded = nn.functional.pad(x, (0, 0, 0, 1, 0, 2))
    torch.testing.assert_close(mix(x), mix(padded)[:, :4, :5], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("grouping", ["local", "global"])
@pytest.mark.parametrize("size", [(4, 6), (5, 3), (2, 2)])
def test_places_are_those_that_answer_together(grouping: Any, size: tuple[int, int]) -> None:
    mix = stirred(SpatialChannelMix(width=4, heads=1, rank=1, side=2, grouping=grouping))
    groups = mix.places(*size).tolist()
    assert sorted(n for group in groups for n in group if n >= 0) == list(range(size[0] * size[1]))
    x = maps(1, *size, 4)
    before = mix._mix(mix.down(x)).flatten()
    for group in groups:
        own = [number for number in group if number >= 0]
        moved = x.clone()
        moved[0, own[0] // size[1], own[0] % size[1]] += 1
        after = mix._mix(mix.down(moved)).flatten()
        assert (after - before).nonzero()[:, 0].tolist() == sorted(own)


@pytest.mark.parametrize("grouping", ["local", "global"])
def test_gradients(grouping: Any) -> None:
    mix = stirred(SpatialChannelMix(width=3, heads=2, rank=1, side=2, grouping=grouping))
    assert torch.autograd.gradcheck(mix, (maps(1, 4, 3, 3).requires_grad_(),))


def test_it_starts_as_a_gate_of_one() -> None:
    mix = SpatialChannelMix(width=8, heads=2, rank=2, side=7, grouping="local")
    x = torch.randn(1, 7, 7, 8)
    torch.testing.assert_close(mix(x), mix.out(mix.gate(x)), rtol=1e-3, atol=1e-5)
    model: Any = CSMixer(CSMixerConfig(**THIN))
    ups = [m.up.bias for m in model.modules() if isinstance(m, SpatialChannelMix)]
    assert all(torch.equal(bias, torch.ones_like(bias)) for bias in ups)
    assert model.stages[0].blocks[0].channel_mlp.fc1.bias.abs().max() == 0


def test_local_and_global_take_turns() -> None:
    model = tiny(depths=(3, 2))
    kinds = [[block.mix.grouping for block in stage.blocks] for stage in model.stages]
    assert kinds == [["local", "global", "local"], ["local", "global"]]


def test_scales_stand_side_by_side_around_one_centre() -> None:
    stem = CrossScaleStem(in_chans=1, width=16)
    assert [conv.out_channels for conv in stem.convs] == [8, 4, 2, 2]
    image = torch.zeros(1, 1, 64, 64)
    image[0, 0, 30, 30] = 1
    seen = []
    for conv in stem.convs:
        y = (conv(image) - conv(torch.zeros_like(image)))[0].abs().sum(0)
        rows = y.sum(1).nonzero().flatten()
        seen.append((rows[0].item(), rows[-1].item()))
    # place i reads pixels 4 i - padding to 4 i - padding + kernel - 1
    assert seen == [(7, 7), (7, 8), (6, 9), (4, 11)]
    merge = CrossScaleMerge(4)
    assert merge(torch.zeros(1, 9, 6, 4)).shape == (1, 4, 3, 8)


@pytest.mark.parametrize("size", [(8, 8), (32, 48), (37, 70)])
def test_images_of_other_sizes_and_batches_of_one(size: tuple[int, int]) -> None:
    model = tiny()
    images = maps(3, 3, *size)
    logits = model(images)
    torch.testing.assert_close(model(images[:1]), logits[:1], rtol=1e-10, atol=1e-10)


def test_too_small_or_too_many_channels() -> None:
    with pytest.raises(AllmlpError, match="images of 8 pixels a side at least, got 7x9"):
        tiny()(maps(1, 3, 7, 9))
    with pytest.raises(AllmlpError, match="3 image channels but got 1; build it with in_chans=1"):
        tiny()(maps(1, 1, 32, 32))


def test_the_size_of_groups_holds_the_weights() -> None:
    model = tiny()
    config = CSMixer.resize_config(model.config, (64, 64), None)
    again = CSMixer(config)
    again.load_state_dict(again.resize_state(model.state_dict(), model.config, None))
    with pytest.raises(AllmlpError, match=r"groups of 4x4 places in stage 0, built for images of"):
        CSMixer.resize_config(model.config, (8, 8), None)
    with pytest.raises(AllmlpError, match="fit images of any size, got resize='block'"):
        CSMixer.resize_config(model.config, (64, 64), "block")


def test_own_tensors_are_recognised() -> None:
    model = CSMixer(CSMixerConfig(**THIN))
    found = convert_state(model.state_dict(), (32, 48))
    assert (found.format, found.config) == ("allmlp", model.config)
    small = CSMixer(CSMixerConfig(**{**THIN, "img_size": (16, 16)}))
    with pytest.raises(AllmlpError, match=r"groups of \[4, 2\] places a side, .* state the size"):
        convert_state(small.state_dict(), (64, 64))


def test_bad_sizes() -> None:
    with pytest.raises(AllmlpError, match="a width of a multiple of 8"):
        tiny(width=12)
    with pytest.raises(AllmlpError, match="for each stage, got 2, 1 and 2"):
        tiny(heads=(1,))
    with pytest.raises(AllmlpError, match="8 pixels a side at least, got 4x48"):
        tiny(img_size=(4, 48))
    with pytest.raises(AllmlpError, match=r"drop_path_rate in \[0, 1\), got 1.5"):
        tiny(drop_path_rate=1.5)


@pytest.mark.unhooked
def test_an_unknown_grouping() -> None:
    with pytest.raises(AllmlpError, match="unknown grouping 'globl'; did you mean global"):
        SpatialChannelMix(width=4, heads=1, rank=1, side=2, grouping="globl")
