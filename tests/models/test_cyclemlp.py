"""What the sweep over all variants does not see of CycleMLP."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.layers.cycle import CycleFC
from allmlp.models.cyclemlp import CycleMLP, CycleMLPConfig, PatchMerge
from allmlp.zoo import create_model, list_models, model_info
from allmlp.zoo.pretrained import Weights, build_pretrained

THIN: dict[str, Any] = {"widths": (4, 6, 8, 8), "depths": (1, 1, 1, 1)}


def tiny(**changes: Any) -> Any:
    return stirred(CycleMLP(CycleMLPConfig(**{**THIN, "num_classes": 3, **changes})))


def stirred(model: nn.Module) -> Any:
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


def maps(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize(
    ("size", "dense"),
    # the same nets without head and last norm, with a norm for each stage
    [
        ("b1", 14_643_424),
        ("b2", 26_290_528),
        ("b3", 37_873_744),
        ("b4", 51_284_576),
        ("b5", 74_979_624),
    ],
)
def test_parameters_of_the_dense_form(size: str, dense: int) -> None:
    with torch.device("meta"):
        model = create_model(f"cyclemlp_{size}", dense=True, num_classes=0)
    assert sum(p.numel() for p in model.parameters()) == dense


def test_inferred_sizes_stay_out_of_sight_unless_asked() -> None:
    assert "cyclemlp_t" not in list_models("cyclemlp*")
    assert "cyclemlp_t" in list_models("cyclemlp*", experimental=True)
    assert model_info("cyclemlp_t").experimental
    assert not model_info("cyclemlp_b1").experimental


def test_merging_pads_odd_maps_with_zeros() -> None:
    merge = stirred(PatchMerge(2, 4))
    x = maps(1, 3, 5, 2)
    padded = nn.functional.pad(x, (0, 0, 0, 1, 0, 1))
    torch.testing.assert_close(merge(x), merge(padded))
    corner = torch.cat([x[0, 0, 0], x[0, 1, 0], x[0, 0, 1], x[0, 1, 1]])
    torch.testing.assert_close(merge(x)[0, 0, 0], merge.linear(merge.norm(corner)))


@pytest.mark.parametrize("skeleton", ["pvt", "swin"])
@pytest.mark.parametrize("size", [(4, 4), (5, 37), (33, 70)])
def test_images_of_any_size(skeleton: str, size: tuple[int, int]) -> None:
    model = tiny(skeleton=skeleton)
    images = maps(2, 3, *size)
    assert model(images).shape == (2, 3)
    torch.testing.assert_close(model(images)[:1], model(images[:1]))


def test_inside_a_large_image_nothing_depends_on_its_place() -> None:
    model = tiny(skeleton="swin", depths=(1, 1, 1, 1))
    image = torch.zeros(1, 3, 352, 352).double()
    image[:, :, 160:176, 160:176] = maps(1, 3, 16, 16)
    moved = image.roll((32, 64), dims=(2, 3))
    found, there = (model.forward_features(i)[:, 2:-2, 2:-2] for i in (image, moved))
    torch.testing.assert_close(found[:, :-1, :-2], there[:, 1:, 2:], rtol=1e-9, atol=1e-9)


def test_too_small_or_too_many_channels() -> None:
    with pytest.raises(AllmlpError, match=r"4 pixels a side at least, got 3x9; enlarge"):
        tiny()(maps(1, 3, 3, 9))
    with pytest.raises(AllmlpError, match="3 image channels but got 1; build it with in_chans=1"):
        tiny()(maps(1, 1, 8, 8))


def test_a_step_of_one_mixes_no_places() -> None:
    model = tiny(stepsize=1)
    block = model.stages[0].blocks[0]
    x = maps(1, 4, 5, 4)
    changed = x.clone()
    changed[0, 1, 2] += 1
    moved = (block.mix.along_w(changed) - block.mix.along_w(x)).abs().sum(-1)[0] > 0
    assert moved.nonzero().tolist() == [[1, 2]]
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in tiny().parameters())


def test_random_patterns_differ_from_block_to_block_and_are_rebuilt() -> None:
    model = tiny(pattern="random", widths=(12, 12, 12, 12))
    patterns = [m.pattern.offsets for m in model.modules() if isinstance(m, CycleFC)]
    assert len(set(patterns)) == len(patterns)
    again = CycleMLP(model.config)
    assert patterns == [m.pattern.offsets for m in again.modules() if isinstance(m, CycleFC)]


def test_dense_maps_pass_their_norms_and_the_next_stage_does_not_see_them() -> None:
    plain, dense = tiny(num_classes=0), tiny(num_classes=0, dense=True)
    missing = dense.load_state_dict(plain.state_dict(), strict=False)
    assert missing.unexpected_keys == ["norm.weight", "norm.bias"]
    images = maps(1, 3, 32, 32)
    raw = plain.forward_intermediates(images, intermediates_only=True, output_fmt="NLC")
    final, normed = dense.forward_intermediates(images, output_fmt="NLC")
    for norm, before, after in zip(dense.out_norms, raw, normed, strict=True):
        torch.testing.assert_close(norm(before), after)
    torch.testing.assert_close(final.flatten(1, 2), normed[-1])
    torch.testing.assert_close(dense.forward_features(images), final)


def test_a_dense_backbone_takes_weights_with_a_head() -> None:
    plain = tiny().float()
    weights = Weights("w", "cyclemlp", plain.config, plain.state_dict(), name="cyclemlp_b1")
    dense = build_pretrained("cyclemlp_b1", weights, {"dense": True, "num_classes": 0}, None)
    images = torch.randn(1, 3, 32, 32)
    raw = plain.forward_intermediates(images, intermediates_only=True)
    found = dense.eval().forward_intermediates(images, intermediates_only=True)
    for norm, before, after in zip(dense.out_norms, raw, found, strict=True):
        torch.testing.assert_close(norm(before.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), after)
    back = Weights("d", "cyclemlp", dense.config, dense.state_dict(), name="cyclemlp_b1")
    again = build_pretrained("cyclemlp_b1", back, {"dense": False, "num_classes": 3}, None)
    assert torch.equal(again.norm.weight, torch.ones(8))
    assert torch.equal(again.stem.conv.weight, plain.stem.conv.weight)


def test_bad_sizes() -> None:
    with pytest.raises(AllmlpError, match="an MLP ratio for each stage, got 4, 3 and 4"):
        tiny(depths=(1, 1, 1))
    with pytest.raises(AllmlpError, match="odd steps, got 4 along height"):
        tiny(stepsize=4)
    with pytest.raises(AllmlpError, match=r"integer widths\[1\] of at least 1, got 0"):
        tiny(widths=(4, 0, 8, 8))
    with pytest.raises(AllmlpError, match=r"drop_path_rate in \[0, 1\), got 1.0"):
        tiny(drop_path_rate=1.0)
    with pytest.raises(AllmlpError, match="fit images of any size, got resize='block'"):
        CycleMLP.resize_config(CycleMLPConfig(), (64, 64), "block")
