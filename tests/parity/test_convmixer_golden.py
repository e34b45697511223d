"""ConvMixer against outputs of the original code (tests/golden/README.md)."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from allmlp.models.convmixer import ConvMixerConfig
from allmlp.zoo.convert import convert_state
from allmlp.zoo.registry import build_model


@pytest.mark.parametrize(("file", "format"), [("official", "locuslab"), ("timm", "timm")])
def test_outputs(file: str, format: str, golden: Path) -> None:
    with safe_open(golden / f"convmixer_{file}.safetensors", "pt") as opened:
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    images, logits = tensors.pop("input"), tensors.pop("output")
    found = convert_state({key.removeprefix("weights/"): t for key, t in tensors.items()})
    assert (found.format, found.family) == (format, "convmixer")
    assert found.config == ConvMixerConfig(
        img_size=(32, 32), patch_size=4, width=16, depth=3, kernel_size=5, num_classes=5
    )
    model = build_model(found.family, asdict(found.config)).eval()
    model.load_state_dict(found.state)
    with torch.no_grad():
        torch.testing.assert_close(model(images), logits, rtol=1e-5, atol=1e-5)
