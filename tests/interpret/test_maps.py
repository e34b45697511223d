"""Maps of what models look at: exact where it can be exact."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian

import allmlp
from allmlp import BilinearMLP
from allmlp.errors import AllmlpError
from allmlp.interpret import (
    affine_map,
    area_share,
    effective_receptive_field,
    integrated_gradients,
    mixing_reach,
    occlusion,
    token_maps,
)
from allmlp.layers import TokenMlp


def stirred(model: nn.Module) -> Any:
    """Weights and statistics that are no identity, in evaluation mode and double precision."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 1.5) if "var" in name else nn.init.normal_(tensor)
    return model.double().eval()


def test_token_maps_are_what_the_units_do() -> None:
    model = allmlp.create_model("mixer_digits", img_size=(8, 12))
    maps = token_maps(model)
    assert list(maps) == [f"blocks.{i}.token_mlp" for i in range(model.config.depth)]
    layer, found = model.get_submodule("blocks.1.token_mlp"), maps["blocks.1.token_mlp"]
    assert found.writes is not None
    assert found.reads.shape == found.writes.shape == (model.config.token_hidden, 4, 6)
    # unit 5 answers a token at row 2, column 3 by that weight, and writes by the other
    x = torch.zeros(1, 24, 1)
    x[0, 2 * 6 + 3] = 1
    answer = layer.fc1(x.mT)[0, 0] - layer.fc1.bias
    assert answer[5].item() == pytest.approx(found.reads[5, 2, 3].item(), rel=1e-4, abs=1e-7)
    unit = torch.zeros(layer.fc1.out_features)
    unit[5] = 1
    written = layer.fc2(unit) - layer.fc2.bias
    torch.testing.assert_close(written.unflatten(0, (4, 6)), found.writes[5], rtol=1e-4, atol=1e-7)
    linear = allmlp.create_model("resmlp_s12", img_size=32, depth=1, width=8)
    (found,) = token_maps(linear).values()
    assert found.writes is None
    assert torch.equal(found.reads.flatten(1), linear.get_parameter("blocks.0.token_linear.weight"))
    with pytest.raises(AllmlpError, match="a ConvMixer has no token MLP"):
        token_maps(allmlp.create_model("convmixer_256_8"))


@pytest.mark.parametrize("form", ["training", "injected"])
def test_token_maps_of_repmlpnet_are_its_jacobian(form: str) -> None:
    sizes: dict[str, Any] = {"widths": (4, 8), "depths": (1, 1), "share_sets": (2, 4)}
    model = stirred(allmlp.create_model("repmlpnet_t224", form=form, img_size=(16, 24), **sizes))
    found = token_maps(model)
    assert list(found) == ["stages.0.blocks.0.mix", "stages.1.blocks.0.mix"]
    for name, width, sets, grid in (
        ("stages.0.blocks.0.mix", 4, 2, (4, 6)),
        ("stages.1.blocks.0.mix", 8, 4, (2, 3)),
    ):
        mix, reads = model.get_submodule(name), found[name].reads
        assert reads.shape == (sets, grid[0] * grid[1], *grid)
        x = torch.randn(1, width, *grid, dtype=torch.float64)
        # what is left without the gate is linear
        rows = jacobian(lambda x, mix=mix: mix(x) / mix.gate(x), x)[0, :, :, :, 0].flatten(1, 2)
        for channel in range(width):
            torch.testing.assert_close(
                rows[channel, :, channel], reads[channel % sets], rtol=1e-9, atol=1e-10
            )
            rows[channel, :, channel] = 0
        assert rows.abs().max() < 1e-10


@pytest.mark.parametrize(
    ("grouping", "size"),
    [("local", (6, 6)), ("global", (6, 9)), ("global", (7, 8)), ("global", (3, 5))],
)
def test_reach_of_csmixer_is_the_size_of_its_jacobian(
    grouping: Literal["local", "global"], size: tuple[int, int]
) -> None:
    model = stirred(
        allmlp.create_model(
            "csmixer_t", width=8, depths=(1,), heads=(2,), ranks=(3,), group_side=3,
            img_size=(4 * size[0], 4 * size[1]),
        )
    )  # fmt: skip
    mix = model.get_submodule("stages.0.blocks.0.mix")
    mix.grouping = grouping
    (found,) = mixing_reach(model, at=(0.5, 0.2)).values()
    assert found.place == (size[0] // 2, size[1] // 5)
    assert found.units == ("head 0", "head 1")
    x = torch.randn(1, *size, 8, dtype=torch.float64)
    row, column = found.place
    for head in range(2):
        weight = mix.up.weight.detach().clone()
        weight[:, 3 * (1 - head) : 3 * (2 - head)] = 0  # the other head is silent
        factor = jacobian(
            lambda x, weight=weight: (mix._mix(mix.down(x)) @ weight.mT)[0, row, column], x
        )
        torch.testing.assert_close(
            factor[:, 0].square().sum((0, 3)).sqrt(), found.strengths[head], rtol=1e-9, atol=1e-11
        )
    lit = found.strengths[0].nonzero()
    if size == (6, 9) and grouping == "global":  # 2 and 3 places apart
        assert lit.tolist() == [[r, c] for r in (1, 3, 5) for c in (1, 4, 7)]


@pytest.mark.parametrize("pattern", ["cyclic", "random", "dilated"])
def test_reach_of_cyclemlp_is_the_size_of_its_jacobian(pattern: str) -> None:
    sizes: dict[str, Any] = {"widths": (7,), "depths": (1,), "mlp_ratios": (2,), "stepsize": 5}
    model = stirred(allmlp.create_model("cyclemlp_b1", img_size=(20, 28), pattern=pattern, **sizes))
    (found,) = mixing_reach(model, at=(0.0, 0.9)).values()
    mix = model.get_submodule("stages.0.blocks.0.mix")
    x = torch.randn(1, *found.strengths.shape[1:], 7, dtype=torch.float64)
    row, column = found.place
    for branch, strengths in zip((mix.along_w, mix.along_h), found.strengths, strict=True):
        rows = jacobian(lambda x, branch=branch: branch(x)[0, row, column], x)
        torch.testing.assert_close(
            rows[:, 0].square().sum((0, 3)).sqrt(), strengths, rtol=1e-9, atol=1e-11
        )


def test_reach_leaves_the_model_as_it_is_and_refuses_others() -> None:
    model = allmlp.create_model("csmixer_t", width=8, depths=(2,), heads=(2,), ranks=(1,),
                                group_side=4, img_size=32)  # fmt: skip
    model.train()
    local, far = mixing_reach(model).values()
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())
    # a window around the middle, and places two apart
    assert local.strengths[0].nonzero().amin(0).tolist() == [4, 4]
    assert far.strengths[0].nonzero()[:, 0].unique().tolist() == [0, 2, 4, 6]
    with pytest.raises(AllmlpError, match="a Mixer has no layer that mixes places and channels"):
        mixing_reach(allmlp.create_model("mixer_digits"))
    with pytest.raises(AllmlpError, match=r"place in \[0, 1\) x \[0, 1\), got \(0.5, 1.0\)"):
        mixing_reach(model, at=(0.5, 1.0))


def test_linear_parts_compose_exactly() -> None:
    first, second = nn.Linear(6, 5).double(), nn.Conv1d(1, 2, 3).double()

    def both(x: torch.Tensor) -> torch.Tensor:
        return second(first(x)[:, None])

    found = affine_map(both, (6,))
    assert found.output_shape == (2, 3)
    x = torch.randn(9, 6, dtype=torch.float64)
    torch.testing.assert_close(found(x), both(x), rtol=1e-12, atol=1e-12)
    composed = affine_map(lambda z: second(z[:, None]), (5,)).after(affine_map(first, (6,)))
    torch.testing.assert_close(composed.weight, found.weight, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(composed.bias, found.bias, rtol=1e-12, atol=1e-12)


def test_more_inputs_than_one_chunk() -> None:
    linear = nn.Linear(600, 2).double()
    torch.testing.assert_close(affine_map(linear, (600,)).weight, linear.weight.detach())


def test_what_is_not_affine_is_refused() -> None:
    for module in (TokenMlp(4, 3), BilinearMLP(4, 2, hidden=3)):
        shape = (4, 2) if isinstance(module, TokenMlp) else (4,)
        with pytest.raises(AllmlpError, match="not affine: at random inputs its matrix is off by"):
            affine_map(module.double(), shape)
    with pytest.raises(AllmlpError, match=r"does not take .*convert a copy .* with \.double\(\)"):
        affine_map(nn.Linear(3, 3), (3,))
    one = affine_map(nn.Linear(3, 2).double(), (3,))
    with pytest.raises(AllmlpError, match=r"the first gives \(2,\), the second takes \(3,\)"):
        one.after(one)


def test_receptive_field_of_convolutions_is_their_reach() -> None:
    model = allmlp.create_model("convmixer_256_8", width=8, depth=2, img_size=32)
    config = model.config
    field = effective_receptive_field(model.double(), torch.randn(4, 3, 32, 32).double(), block=0)
    assert field.max() == 1
    seen = field.nonzero()
    # one depthwise convolution over patches, around the place in the middle
    reach, patch = config.kernel_size // 2, config.patch_size
    middle = 32 // patch // 2
    assert seen.amin(0).tolist() == [(middle - reach) * patch] * 2
    assert seen.amax(0).tolist() == [(middle + reach + 1) * patch - 1] * 2


def test_receptive_field_leaves_the_model_as_it_is() -> None:
    model = allmlp.create_model("mixer_digits")
    model.get_submodule("blocks.0").eval()
    modes = [m.training for m in model.modules()]
    images = torch.randn(2, 1, 8, 8)
    one, two = (effective_receptive_field(model, images, place=p) for p in ((0, 0), (3, 3)))
    assert not torch.equal(one, two)
    assert [m.training for m in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())
    assert images.grad is None
    with pytest.raises(AllmlpError, match=r"map has 4x4 places, got \(4, 0\)"):
        effective_receptive_field(model, images, place=(4, 0))


def test_area_share() -> None:
    field = torch.zeros(10, 10)
    field[0, :5] = 1
    assert area_share(field, 0.5) == 0.03
    assert area_share(field, 1.0) == 0.05
    with pytest.raises(AllmlpError, match=r"share in \(0, 1\], got 0"):
        area_share(field, 0.0)


def test_integrated_gradients_of_a_polynomial_are_exact() -> None:
    model = BilinearMLP(6, 3, hidden=5, depth=2, bias=True, input_noise=1.0).double()
    x, start = torch.randn(2, 4, 6, dtype=torch.float64)
    target = torch.tensor([0, 2, 1, 1])
    # the gradient along the path has degree 3: two nodes are exact
    two = integrated_gradients(model, x, target, baseline=start, steps=2)
    many = integrated_gradients(model, x, target, baseline=start, steps=20)
    torch.testing.assert_close(two.values, many.values, rtol=1e-10, atol=1e-12)
    assert two.gap.abs().max() < 1e-12
    change = (model.eval()(x) - model(start)).gather(1, target[:, None])[:, 0]
    torch.testing.assert_close(two.values.sum(1), change.detach(), rtol=1e-10, atol=1e-12)
    one = integrated_gradients(model, x, target, baseline=start, steps=1)
    assert one.gap.abs().max() > 1e-3


def test_integrated_gradients_of_a_linear_model() -> None:
    model = nn.Linear(5, 2)
    x = torch.randn(3, 5)
    found = integrated_gradients(model, x, 1, steps=3)
    torch.testing.assert_close(found.values, (x * model.weight[1]).detach())
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(AllmlpError, match="has 2 outputs, there is no output 2"):
        integrated_gradients(model, x, 2)
    with pytest.raises(AllmlpError, match="there is no output -1"):
        integrated_gradients(model, x, torch.tensor([0, -1, 1]))


def test_occlusion_of_a_linear_model_is_its_terms() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(2 * 6 * 7, 3))
    images = torch.randn(4, 2, 6, 7)
    target = torch.tensor([0, 1, 2, 2])
    weight = model.get_parameter("1.weight")
    terms = (weight[target].unflatten(1, (2, 6, 7)) * images).sum(1).detach()
    torch.testing.assert_close(
        occlusion(model, images, target, size=1), terms, rtol=1e-4, atol=1e-5
    )
    # squares of 4 by strides of 4 overlap at the border of 6x7: [0, 4) and [2, 6), [0, 4), [3, 7)
    found = occlusion(model, images, target, size=4, stride=4)
    blocks = [[terms[:, r : r + 4, c : c + 4].sum((1, 2)) for c in (0, 3)] for r in (0, 2)]
    torch.testing.assert_close(found[:, 0, 0], blocks[0][0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        found[:, 3, 3],
        (blocks[0][0] + blocks[0][1] + blocks[1][0] + blocks[1][1]) / 4,
        rtol=1e-4,
        atol=1e-5,
    )
    assert not occlusion(model, torch.zeros(1, 2, 6, 7), 0, size=3, fill=0.0).any()
    with pytest.raises(AllmlpError, match="square of 8 pixels does not fit into 6x7"):
        occlusion(model, images, 0, size=8)


def test_occlusion_with_gaps_leaves_them_at_zero() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(25, 1))
    found = occlusion(model, torch.randn(1, 1, 5, 5), 0, size=1, stride=2)
    assert found[0, ::2, ::2].all()
    assert not found[0, 1::2].any()
    assert not found[0, :, 1::2].any()


def test_integrated_gradients_without_gradients_around() -> None:
    model = nn.Linear(3, 2)
    x = torch.randn(4, 3)
    with torch.no_grad():
        found = integrated_gradients(model, x, 1, steps=2)
    torch.testing.assert_close(found.values, x * model.weight[1])


def test_small_functions_that_are_not_affine_are_refused() -> None:
    with pytest.raises(AllmlpError, match="the function is not affine"):
        affine_map(lambda x: 1e-11 * x**2, (3,))


def test_targets_may_be_numpy() -> None:
    torch.manual_seed(0)
    model, x = BilinearMLP(in_features=4, hidden=5, num_classes=3), torch.randn(2, 4)
    ours = integrated_gradients(model, x, np.array([2, 0]))
    same = integrated_gradients(model, x, torch.tensor([2, 0]))
    assert torch.equal(ours.values, same.values)
    one = integrated_gradients(model, x, 2)
    torch.testing.assert_close(one.values[0], ours.values[0])
    assert not torch.equal(one.values[1], ours.values[1])
