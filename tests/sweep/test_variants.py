"""Every named model: exact size and cost, and the whole vision contract."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.models.contract import VisionModel
from allmlp.zoo import create_model, list_models, model_info
from allmlp.zoo.registry import family_of, variant_config

# parameters with head, without head, and MACs at the named input size
COSTS = {
    # counted with an independent implementation; the paper's table 1 rounds them
    "mixer_s32": (19_104_624, 18_591_624, 1_002_426_368),
    "mixer_s16": (18_528_264, 18_015_264, 3_776_958_464),
    "mixer_b32": (60_293_428, 59_524_428, 3_237_722_112),
    "mixer_b16": (59_880_472, 59_111_472, 12_601_767_936),
    "mixer_l32": (206_939_264, 205_914_264, 11_253_293_056),
    "mixer_l16": (208_196_168, 207_171_168, 44_547_678_208),
    "mixer_h14": (432_350_952, 431_069_952, 120_989_911_040),
    # closed form: (3p²+1)d + N[4d + 2 n D_S + D_S + n + 2 d D_C + D_C + d] + 2d + (d+1)k
    "mixer_s8": (20_646_504, 20_133_504, 14_875_086_848),
    "mixer_nano": (1_132_170, 1_130_880, 75_891_968),
    "mixer_digits": (138_762, 138_112, 2_364_032),
    # closed form: h(3p² + 3 + d(k² + h + 6) + K) + K, and (n/p)² h (3p² + d(k² + h)) + hK
    "convmixer_1536_20": (51_625_960, 50_088_960, 51_099_168_768),
    "convmixer_768_32": (21_110_248, 20_341_248, 20_676_851_712),
    "convmixer_1024_20": (24_383_464, 23_358_464, 5_948_547_072),
    "convmixer_256_8": (594_186, 591_616, 148_113_920),
    # closed form: 3r²m + m + L(8m² + 7m) + mK + K; S: (L - 1)(m² + 3m) between
    "scaling_mlp_b6_w256": (6_559_464, 6_302_464, 6_547_456),
    "scaling_mlp_b12_w256": (9_715_944, 9_458_944, 9_693_184),
    "scaling_mlp_b6_w512": (19_409_384, 18_896_384, 19_386_368),
    "scaling_mlp_b12_w512": (32_013_800, 31_500_800, 31_969_280),
    "scaling_mlp_b6_w1024": (63_983_592, 62_958_592, 63_938_560),
    "scaling_mlp_b12_w1024": (114_358_248, 113_333_248, 114_270_208),
    "scaling_mlp_s6_w2048": (48_219_112, 46_170_112, 48_185_344),
    # counted with an independent implementation (timm's classes), rounded by the paper
    "resmlp_s12": (15_350_872, 14_965_872, 3_009_739_776),
    "resmlp_s24": (30_020_680, 29_635_680, 5_961_292_800),
    "resmlp_s36": (44_690_488, 44_305_488, 8_912_845_824),
    "resmlp_b24": (115_736_776, 114_967_776, 23_020_713_984),
    "resmlp_b24_p8": (129_138_280, 128_369_280, 100_230_739_968),
    "resmlp_s12_p14": (15_607_912, 15_222_912, 3_984_055_296),
    "resmlp_s12_p8": (22_051_624, 21_666_624, 13_988_649_984),
    # closed form: (3p²+1)d + L[6d + n² + n + 2 d h + h + d] + 2d + (d+1)k
    "resmlp_s24_p8": (43_643_368, 43_258_368, 27_919_113_216),
    "resmlp_s36_p8": (65_235_112, 64_850_112, 41_849_576_448),
    # and d + 2[6d + n + 2 + 2 d h + h + d] for two layers over a class token
    "resmlp_s12_class_mlp": (17_719_396, 17_334_396, 3_012_250_368),
    "resmlp_digits": (136_074, 135_424, 2_167_424),
    # closed form: (3p²+1)d + L[2d + de + e + e + n² + n + de/2 + d] + 2d + (d+1)k; timm agrees
    "gmlp_ti16": (5_867_328, 5_738_328, 1_328_989_184),
    "gmlp_s16": (19_422_656, 19_165_656, 4_392_060_928),
    "gmlp_b16": (73_075_392, 72_562_392, 15_720_452_096),
    "gmlp_digits": (153_482, 152_832, 2_560_640),
    # closed form, stages of n places and width d: 147 C1 or 48 C1 at the stem, a block 12 d² n + d²
    # products (T, S, B: 12 d² n), between stages 9 d d' n' (T, S, B: 8 d² n'), the head d k
    "cyclemlp_b1": (15_155_400, 14_642_400, 2_121_523_200),
    "cyclemlp_b2": (26_802_504, 26_289_504, 3_875_766_272),
    "cyclemlp_b3": (38_385_720, 37_872_720, 6_830_968_832),
    "cyclemlp_b4": (51_796_552, 51_283_552, 10_027_163_648),
    "cyclemlp_b5": (75_747_280, 74_978_280, 12_232_436_736),
    "cyclemlp_t": (28_260_616, 27_491_616, 4_350_425_088),
    "cyclemlp_s": (49_549_576, 48_780_576, 8_512_223_232),
    "cyclemlp_b": (87_692_648, 86_667_648, 15_126_077_440),
    # closed form, stages of n places and width d: the stem 48 C1 n, a unit d n² + d²/2 + 8 d² n and
    # 10 d n for its convolution branches, between stages 4 d d' n', the head d k
    "repmlpnet_t224": (38_293_608, 37_780_608, 2_807_987_200),
    "repmlpnet_t256": (58_687_848, 58_174_848, 4_258_078_720),
    "repmlpnet_b224": (68_242_712, 67_473_712, 6_675_721_728),
    "repmlpnet_b256": (96_447_512, 95_678_512, 9_640_209_408),
    "repmlpnet_d256": (86_887_648, 86_246_648, 8_636_207_360),
    "repmlpnet_l256": (117_641_560, 116_872_560, 11_609_484_288),
    # closed form, stages of n places and width d: the stem 552 E n, a block
    # n (10 d² + 2 d m r + 49 m r²), between stages 20 d² n', the head d k
    "csmixer_t": (25_387_288, 24_874_288, 2_390_100_096),
    "csmixer_s": (32_183_800, 31_414_800, 4_190_376_192),
    "csmixer_b": (55_936_888, 55_167_888, 7_767_373_056),
    "csmixer_l": (94_187_688, 93_162_688, 13_709_057_024),
    # closed form: edges times (G + k + 1), the head's 64 * 10 among them
    "kan": (457_344, 451_584, 457_344),
    # closed form: 784d + 2d + d² + 2d + dk + k; the linear layers have no bias beside batch norm
    "mlp": (670_730, 665_600, 668_672),
    # closed form: 2h(p² + 1) + hK
    "bilinear": (404_480, 401_920, 403_968),
}
# what a test may allocate and run forward in a second
SMALL = [name for name in COSTS if COSTS[name][0] < 7e6]
# families without a small variant, shrunk
_THIN = {"widths": (8, 16, 20, 24), "depths": (1, 1, 2, 1)}
SHRUNK: dict[str, dict[str, Any]] = {
    "cyclemlp_b1": {**_THIN, "img_size": (64, 96)},
    "cyclemlp_t": {**_THIN, "img_size": (64, 96)},
    "csmixer_t": {
        "width": 8,
        "depths": (2, 1, 1, 1),
        "heads": (1, 2, 2, 3),
        "group_side": 2,
        "img_size": (64, 96),
    },
    "repmlpnet_t224": {**_THIN, "img_size": (64, 32), "share_sets": (1, 4, 10, 8)},
}


@pytest.fixture(params=[*SMALL, *SHRUNK])
def model(request: pytest.FixtureRequest) -> VisionModel:
    built = create_model(request.param, **SHRUNK.get(request.param, {}))
    for parameter in built.get_classifier().parameters():
        nn.init.normal_(parameter, std=0.02)
    return built


def batch(model: VisionModel, count: int) -> torch.Tensor:
    return torch.randn(count, model.config.in_chans, *model.config.img_size)


def test_every_variant_has_a_row() -> None:
    assert sorted(COSTS) == list_models(experimental=True)


@pytest.mark.parametrize("name", COSTS)
def test_parameters_and_macs(name: str) -> None:
    info = model_info(name)
    assert (info.parameters, info.parameters_without_head, info.macs) == COSTS[name]


@pytest.mark.parametrize("name", COSTS)
def test_contract_on_the_meta_device(name: str) -> None:
    # the contract of a pyramid does not depend on its depth, the time of this test does
    shallow: dict[str, Any] = (
        {"depths": (1, 1, 1, 1)} if hasattr(variant_config(name)[1], "depths") else {}
    )
    with torch.device("meta"):
        built = create_model(name, **shallow)
        images = torch.empty(3, built.config.in_chans, *built.config.img_size)
    assert built(images).shape == (3, built.config.num_classes)
    final, maps = built.forward_intermediates(images)
    assert final.shape == built.forward_features(images).shape
    for found, info in zip(maps, built.feature_info, strict=True):
        side = [s // info["reduction"] for s in built.config.img_size]
        assert found.shape == (3, info["num_chs"], *side)
        built.get_submodule(info["module"])
    assert maps[-1].shape[1] == built.num_features
    known = {parameter for parameter, _ in built.named_parameters()}
    assert built.no_weight_decay() <= known
    built.reset_classifier(0)
    assert built(images).shape == (3, built.num_features)
    built.reset_classifier(7)
    assert built(images).shape == (3, 7)


def test_backward_reaches_every_parameter(model: VisionModel) -> None:
    model(batch(model, 2)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("count", [1, 3])
def test_eval_is_deterministic_and_per_example(model: VisionModel, count: int) -> None:
    model.eval()
    images = batch(model, count)
    with torch.no_grad():
        logits = model(images)
        assert torch.equal(logits, model(images))
        alone = torch.cat([model(image[None]) for image in images])
    # float32 products of another shape sum in another order
    torch.testing.assert_close(logits, alone, rtol=1e-4, atol=1e-5)


def test_checkpointing_changes_nothing(model: VisionModel) -> None:
    images = batch(model, 2)
    losses = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        loss = model(images).square().mean()
        loss.backward()
        losses.append(loss.detach())
    torch.testing.assert_close(losses[0], losses[1])


def test_weights_survive_a_file(model: VisionModel, tmp_path: Path) -> None:
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    again = type(model)(model.config)
    again.load_state_dict(load_file(tmp_path / "model.safetensors"))
    images = batch(model, 2)
    assert torch.equal(model.eval()(images), again.eval()(images))


@pytest.mark.unhooked
def test_exports(model: VisionModel) -> None:
    model.eval()
    images = batch(model, 2)
    program = torch.export.export(model, (images,))
    torch.testing.assert_close(program.module()(images), model(images), rtol=1e-4, atol=1e-5)


@pytest.mark.unhooked
@pytest.mark.parametrize("name", [name for name in SMALL if COSTS[name][0] < 2e6])
def test_compiles_whole(name: str) -> None:
    # traced forward and backward without a break; code generation is torch's own business
    torch.compiler.reset()
    model = create_model(name)
    nn.init.normal_(next(model.get_classifier().parameters()), std=0.02)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    images = batch(model, 2)
    found = compiled(images)
    found.square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())
    torch.testing.assert_close(found, model(images), rtol=1e-4, atol=1e-5)


def test_images_of_another_size_are_answered(model: VisionModel) -> None:
    height, width = model.config.img_size
    images = torch.randn(2, model.config.in_chans, height + 1, width)
    if family_of(model) in ("cyclemlp", "csmixer"):  # they shift and pad, at any size
        assert model(images).shape == (2, model.config.num_classes)
        return
    with pytest.raises(AllmlpError, match="build it with img_size|divisible by patch_size"):
        model(images)


def test_damaged_and_foreign_files_are_answered(
    model: VisionModel, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    name = request.node.callspec.params["model"]
    whole, cut, foreign = (tmp_path / f"{kind}.safetensors" for kind in ("whole", "cut", "foreign"))
    save_file(model.state_dict(), whole)
    cut.write_bytes(whole.read_bytes()[:-100])
    save_file({"encoder.weight": torch.zeros(3, 3)}, foreign)
    for path, words in ((cut, cut.name), (foreign, r"no known network has these 1 tensors")):
        with pytest.raises(AllmlpError, match=words):
            create_model(name, pretrained=path)
