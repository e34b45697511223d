"""CycleMLP against outputs of the original code (tests/golden/README.md)."""

from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from allmlp.models.cyclemlp import CycleMLPConfig
from allmlp.zoo.convert import convert_state
from allmlp.zoo.registry import build_model


def stored(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights, and everything else."""
    with safe_open(path, "pt") as opened:
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    weights = {k.removeprefix("weights/"): t for k, t in tensors.items() if "weights/" in k}
    return weights, {k: t for k, t in tensors.items() if "weights/" not in k}


def test_outputs(golden: Path) -> None:
    weights, rest = stored(golden / "cyclemlp_official.safetensors")
    found = convert_state(weights, (64, 70))
    assert (found.format, found.family) == ("CycleMLP", "cyclemlp")
    assert found.config == CycleMLPConfig(
        img_size=(64, 70),
        widths=(8, 16, 20, 24),
        depths=(1, 1, 2, 1),
        mlp_ratios=(4, 4, 4, 4),
        num_classes=5,
    )
    model = build_model(found.family, asdict(found.config)).eval()
    model.load_state_dict(found.state)
    with torch.no_grad():
        logits = model(rest["input"])
    torch.testing.assert_close(logits, rest["output"], rtol=1e-5, atol=1e-5)


def test_dense_maps(golden: Path) -> None:
    weights, rest = stored(golden / "cyclemlp_official_dense.safetensors")
    found = convert_state(weights, (64, 96))
    assert (found.config.dense, found.config.num_classes) == (True, 0)
    model = build_model(found.family, asdict(found.config)).eval()
    model.load_state_dict(found.state)
    with torch.no_grad():
        maps = model.forward_intermediates(rest["input"], intermediates_only=True)
    for i, found_map in enumerate(maps):
        torch.testing.assert_close(found_map, rest[f"output_{i}"], rtol=1e-5, atol=1e-5)
