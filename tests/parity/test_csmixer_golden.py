"""CS-Mixer against outputs of the development code (tests/golden/README.md)."""

from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import safe_open

from allmlp.models.csmixer import CSMixerConfig
from allmlp.zoo.convert import convert_state
from allmlp.zoo.registry import build_model


def test_outputs(golden: Path) -> None:
    with safe_open(golden / "csmixer_reference.safetensors", "pt") as opened:
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    images, logits = tensors.pop("input"), tensors.pop("output")
    found = convert_state({key.removeprefix("weights/"): t for key, t in tensors.items()})
    assert (found.format, found.family) == ("CS-Mixer (development)", "csmixer")
    assert found.config == CSMixerConfig(
        width=8, depths=(2, 2, 1, 1), heads=(2, 2, 4, 4), ranks=(2, 2, 4, 4), num_classes=5
    )
    model = build_model(found.family, asdict(found.config)).eval()
    model.load_state_dict(found.state)
    with torch.no_grad():
        torch.testing.assert_close(model(images), logits, rtol=1e-5, atol=1e-5)
        # the reference fails on a batch of one
        torch.testing.assert_close(model(images[:1]), logits[:1], rtol=1e-5, atol=1e-5)
