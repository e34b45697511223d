"""ResMLP against outputs of the original code (tests/golden/README.md), through the converter."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from allmlp.zoo.convert import convert_state
from allmlp.zoo.registry import build_model


@pytest.mark.parametrize("code", ["deit", "timm"])
def test_logits(code: str, golden: Path) -> None:
    with safe_open(golden / f"resmlp_{code}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    prefix = "weights/"
    found = convert_state(
        {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
    )
    assert (found.format, found.family) == (code, "resmlp")
    model = build_model("resmlp", asdict(found.config)).eval()
    model.load_state_dict(found.state)
    for context in (torch.inference_mode(), torch.enable_grad()):  # both kernels
        with context:
            logits = model(tensors["input"]).detach()
        torch.testing.assert_close(logits, tensors["output"], rtol=1e-5, atol=1e-5)
