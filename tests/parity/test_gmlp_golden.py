"""gMLP against outputs of the original code (tests/golden/README.md), through the converter."""

from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import safe_open

from allmlp.zoo.convert import convert_state
from allmlp.zoo.registry import build_model


def test_logits(golden: Path) -> None:
    with safe_open(golden / "gmlp_timm.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    prefix = "weights/"
    found = convert_state(
        {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
    )
    assert (found.format, found.family) == ("timm", "gmlp")
    model = build_model("gmlp", asdict(found.config)).eval()
    model.load_state_dict(found.state)
    for context in (torch.inference_mode(), torch.enable_grad()):
        with context:
            logits = model(tensors["input"]).detach()
        torch.testing.assert_close(logits, tensors["output"], rtol=1e-5, atol=1e-5)
