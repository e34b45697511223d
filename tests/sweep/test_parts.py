"""Every part that can be swapped, in every family that has a place for it."""

from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.layers import CHANNEL_MLPS, MAP_NORMS, NORMS, RESIDUALS, STEMS
from allmlp.models.contract import VisionModel
from allmlp.zoo import create_model, model_info
from allmlp.zoo.registry import build_vision_model, family_of

SMALL: dict[str, dict[str, Any]] = {
    "mixer_digits": {"depth": 2},
    "resmlp_digits": {"depth": 2, "layer_scale": 1.0},
    "gmlp_digits": {"depth": 2},
    "convmixer_256_8": {"depth": 2, "width": 16, "img_size": (8, 8)},
}
PARTS = {
    "mixer_digits": {"mlp": CHANNEL_MLPS, "norm": NORMS, "residual": RESIDUALS, "stem": STEMS},
    "resmlp_digits": {
        "mlp": CHANNEL_MLPS,
        "norm": NORMS,
        "residual": ("scale", *RESIDUALS),
        "stem": STEMS,
    },
    "gmlp_digits": {"norm": NORMS, "residual": RESIDUALS, "stem": STEMS},
    "convmixer_256_8": {"norm": MAP_NORMS, "residual": RESIDUALS, "stem": STEMS},
}
CASES = [
    (name, part, kind)
    for name, parts in PARTS.items()
    for part, kinds in parts.items()
    for kind in kinds
]


def build(name: str, **parts: Any) -> VisionModel:
    model = create_model(name, **SMALL[name], **parts)
    for parameter in model.get_classifier().parameters():
        nn.init.normal_(parameter, std=0.1)
    return model


def batch(model: VisionModel, count: int = 3) -> torch.Tensor:
    return torch.randn(count, model.config.in_chans, *model.config.img_size)


@pytest.mark.parametrize(("name", "part", "kind"), CASES)
def test_every_part_trains_and_is_kept_by_the_config(name: str, part: str, kind: str) -> None:
    model = build(name, **{part: kind})
    images = batch(model)
    model(images).square().sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.any(), parameter_name
    again = build_vision_model(family_of(model), asdict(model.config))
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.eval()(images), model.eval()(images))
    alone = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(model(images), alone, rtol=1e-4, atol=1e-5)
    model.reset_classifier(0)
    assert model(images).shape == (3, model.num_features)
    assert model.no_weight_decay() <= {n for n, _ in model.named_parameters()}


@pytest.mark.parametrize("name", PARTS)
def test_each_part_makes_another_network(name: str) -> None:
    """Parts without parameters, or with the same ones, have to change the numbers all the same."""
    images = batch(build(name))
    for part, kinds in PARTS[name].items():
        outputs = []
        for kind in kinds:
            model = build(name, **{part: kind})
            with torch.no_grad():
                for parameter in model.parameters():
                    numbers = torch.arange(parameter.numel()).sin().view_as(parameter)
                    parameter.copy_(numbers * 0.2)
                outputs.append(model(images))
        for i, one in enumerate(outputs):
            for other in outputs[i + 1 :]:
                assert not torch.allclose(one, other, rtol=1e-3), part


@pytest.mark.parametrize("name", PARTS)
def test_standard_forms_keep_their_keys(name: str) -> None:
    """Weights of the published forms must not notice that parts can be swapped."""
    keys = set(create_model(name).state_dict())
    assert not {k for k in keys if "residual" in k} - {
        f"blocks.{i}.{half}_residual.gamma" for i in range(99) for half in ("token", "channel")
    }
    stem = "stem.conv.weight" if name.startswith("convmixer") else "stem.proj.weight"
    assert stem in keys


@pytest.mark.unhooked
@pytest.mark.parametrize("name", PARTS)
def test_mistakes_are_answered(name: str) -> None:
    for part in PARTS[name]:
        with pytest.raises(AllmlpError, match="'something'"):
            build(name, **{part: "something"})
    with pytest.raises(AllmlpError, match="no path around a dropped branch"):
        create_model(name, residual="none", drop_path_rate=0.1)


def test_gated_mlps_of_two_thirds_of_the_hidden_width_cost_the_same() -> None:
    costs = {
        mlp: model_info("mixer_s32", mlp=mlp, channel_hidden=hidden).macs
        for mlp, hidden in (("gelu", 1536), ("swiglu", 1024), ("bilinear", 1024))
    }
    assert len(set(costs.values())) == 1
