import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.models.mixer import Mixer
from allmlp.zoo import create_model, list_models, model_info
from allmlp.zoo.published import PUBLISHED
from allmlp.zoo.registry import ALIASES, build_model, family_of, variant_name


def test_names_are_sorted_and_filtered() -> None:
    assert list_models() == sorted(list_models())
    assert list_models("mixer_l*") == ["mixer_l16", "mixer_l32"]
    assert list_models("nothing*") == []


def test_every_alias_and_every_published_result_has_a_model() -> None:
    for alias in ALIASES:
        assert variant_name(alias) in list_models()
        assert alias not in list_models()
    assert set(PUBLISHED) <= set(list_models())


def test_timm_names_are_understood() -> None:
    assert model_info("mixer_b16_224") == model_info("mixer_b16")


def test_unknown_names_and_fields() -> None:
    with pytest.raises(AllmlpError, match="unknown model 'mixer_digit'; did you mean mixer_digits"):
        create_model("mixer_digit")
    with pytest.raises(AllmlpError, match="unknown MixerConfig field 'dept'; did you mean depth"):
        create_model("mixer_digits", dept=3)
    with pytest.raises(AllmlpError, match="unknown model family 'mixr'"):
        build_model("mixr", {})


def test_common_arguments_reach_the_config() -> None:
    model = create_model(
        "mixer_digits", num_classes=3, in_chans=2, img_size=(8, 4), drop_path_rate=0.1, depth=2
    )
    config = model.config
    assert (config.num_classes, config.in_chans, config.img_size) == (3, 2, (8, 4))
    assert (config.drop_path_rate, config.depth) == (0.1, 2)
    assert create_model("mixer_digits", img_size=16).config.img_size == (16, 16)


def test_build_model_inverts_the_stored_config() -> None:
    import dataclasses
    import json

    model = create_model("mixer_digits", width=8)
    stored = json.loads(json.dumps(dataclasses.asdict(model.config)))
    again = build_model(family_of(model), stored)
    assert isinstance(again, Mixer)
    assert again.config == model.config


def test_features_only_gives_maps() -> None:
    backbone = create_model("mixer_digits", features_only=True, out_indices=[1, -1])
    maps = backbone(torch.zeros(2, 1, 8, 8))
    assert [tuple(m.shape) for m in maps] == [(2, 64, 4, 4)] * 2
    assert backbone.feature_info.channels() == [64, 64]
    assert backbone.feature_info.reduction() == [2, 2]
    assert backbone.feature_info.module_name() == ["blocks.1", "blocks.3"]
    with pytest.raises(AllmlpError, match="needs features_only"):
        create_model("mixer_digits", out_indices=[0])


def test_info_allocates_nothing_and_splits_off_the_head() -> None:
    info = model_info("mixer_h14")
    assert info.parameters - info.parameters_without_head == 1280 * 1000 + 1000
    assert info.input_shape == (3, 224, 224)
    assert (
        model_info("mixer_b16", img_size=256).parameters == 60_434_152
    )  # specs of the paper's net
