"""Foreign ConvMixer files; parity tests hold their outputs against the original code."""

import re

import pytest
import torch
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.models.convmixer import ConvMixer, ConvMixerConfig
from allmlp.zoo.convert import convert_state

CONFIG = ConvMixerConfig(
    img_size=(32, 32), patch_size=2, width=4, depth=2, kernel_size=3, num_classes=3
)
TIMM = [
    (r"^stem\.conv", "stem.0"),
    (r"^stem\.norm", "stem.2"),
    (r"\.depthwise\.", ".0.fn.0."),
    (r"\.depthwise_norm\.", ".0.fn.2."),
    (r"\.pointwise\.", ".1."),
    (r"\.pointwise_norm\.", ".3."),
]
MMPRETRAIN = [
    *TIMM,
    (r"^stem", "backbone.stem"),
    (r"^blocks", "backbone.stages"),
    (r"^head", "head.fc"),
]


def renamed(renames: list[tuple[str, str]]) -> dict[str, Tensor]:
    theirs = {}
    for key, tensor in ConvMixer(CONFIG).state_dict().items():
        for pattern, name in renames:
            key = re.sub(pattern, name, key)
        theirs[key] = tensor
    return theirs


@pytest.mark.parametrize(
    ("format", "renames"), [("allmlp", []), ("timm", TIMM), ("mmpretrain", MMPRETRAIN)]
)
def test_names(format: str, renames: list[tuple[str, str]]) -> None:
    torch.manual_seed(3)
    ours = ConvMixer(CONFIG).state_dict()
    torch.manual_seed(3)
    found = convert_state({f"module.{key}": t for key, t in renamed(renames).items()})
    assert (found.format, found.config) == (format, CONFIG)
    assert "taken as (32, 32)" in found.notes[0]
    torch.testing.assert_close(found.state, dict(ours), rtol=0, atol=0)


def test_the_released_768_32_has_relu() -> None:
    with torch.device("meta"):
        state = ConvMixer(ConvMixerConfig(width=768, depth=32, kernel_size=7)).state_dict()
        other = ConvMixer(ConvMixerConfig(width=768, depth=31, kernel_size=7)).state_dict()
    found = convert_state(state)
    assert (found.config.activation, found.config.img_size) == ("relu", (224, 224))
    assert convert_state(other).config.activation == "gelu"


def test_a_stated_size_and_a_missing_head() -> None:
    state = {k: t for k, t in renamed(TIMM).items() if not k.startswith("head")}
    found = convert_state(state, (48, 64))
    assert (found.config.img_size, found.config.num_classes) == ((48, 64), 0)
    assert found.notes == ()


def test_what_is_missing_or_left_over_is_named() -> None:
    state = renamed(TIMM)
    lacking = {k: t for k, t in state.items() if k != "blocks.1.3.running_var"}
    with pytest.raises(AllmlpError, match=r"looks like timm but lacks blocks.1.3.running_var"):
        convert_state(lacking)
    with pytest.raises(AllmlpError, match=r"1 tensors more than that \(extra\)"):
        convert_state({**state, "extra": torch.zeros(1)})
    gap = {k.replace("blocks.1.", "blocks.2."): t for k, t in state.items()}
    with pytest.raises(AllmlpError, match="timm file lacks layer 1; is it whole"):
        convert_state(gap)
