"""Scaling MLPs against outputs of the original code (tests/golden/README.md)."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from allmlp.errors import AllmlpError
from allmlp.zoo.convert import convert_state
from allmlp.zoo.registry import build_model


@pytest.mark.parametrize(("kind", "block"), [("b", "bottleneck"), ("s", "standard")])
def test_outputs(kind: str, block: str, golden: Path) -> None:
    with safe_open(golden / f"scaling_{kind}mlp_official.safetensors", "pt") as opened:
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    images, logits = tensors.pop("input"), tensors.pop("output")
    theirs = {key.removeprefix("weights/"): t for key, t in tensors.items()}
    found = convert_state(theirs)
    assert (found.format, found.config.block) == ("scaling_mlps", block)
    assert (found.config.img_size, found.config.num_classes) == ((8, 8), 5)
    model = build_model(found.family, asdict(found.config)).eval()
    model.load_state_dict(found.state)
    with torch.no_grad():
        ours = model(images.view(-1, 3, 8, 8))  # channel, row, column
    torch.testing.assert_close(ours, logits, rtol=1e-5, atol=1e-5)
    again = convert_state(found.state)
    assert (again.format, again.config) == ("allmlp", found.config)
    with pytest.raises(AllmlpError, match="no RGB image of 8x9 pixels; state the image size"):
        convert_state(theirs, (8, 9))
    del theirs["layernorms.1.bias"]
    with pytest.raises(AllmlpError, match="scaling_mlps but lacks layernorms.1.bias"):
        convert_state(theirs)
