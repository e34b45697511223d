"""CycleMLP files; parity tests hold their outputs against the original code."""

import argparse
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.layers.cycle import CycleFC
from allmlp.models.cyclemlp import CycleMLP, CycleMLPConfig
from allmlp.zoo.convert import convert_state
from allmlp.zoo.tensors import read_tensors

CONFIG = CycleMLPConfig(
    widths=(4, 6, 8, 10), depths=(1, 2, 1, 1), mlp_ratios=(2, 2, 1, 1), num_classes=3
)
RENAMES: list[tuple[str, Any]] = [
    (r"^stem\.conv", "patch_embed.proj"),
    (r"^out_norms\.(\d)", lambda m: f"norm{2 * int(m[1])}"),
    (r"^stages\.(\d)\.down\.conv", lambda m: f"network.{2 * int(m[1]) - 1}.proj"),
    (r"^stages\.(\d)\.blocks", lambda m: f"network.{2 * int(m[1])}"),
    (r"\.mix_norm", ".norm1"),
    (r"\.channel_norm", ".norm2"),
    (r"\.mix\.along_w", ".attn.sfc_h"),
    (r"\.mix\.along_h", ".attn.sfc_w"),
    (r"\.mix\.channel", ".attn.mlp_c"),
    (r"\.mix\.fc", ".attn.reweight.fc"),
    (r"\.mix\.proj", ".attn.proj"),
    (r"\.channel_mlp", ".mlp"),
]


def official(model: CycleMLP) -> dict[str, Tensor]:
    """The state dict as the authors' code names and shapes it."""
    theirs: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, CycleFC):
            offset = torch.tensor(module.pattern.offsets, dtype=torch.float32)
            theirs[f"{name}.offset"] = offset.view(1, -1, 1, 1)
    for key, tensor in model.state_dict().items():
        theirs[key] = tensor[:, :, None, None] if re.search("along_.*weight", key) else tensor
    for pattern, name in RENAMES:
        theirs = {re.sub(pattern, name, key): tensor for key, tensor in theirs.items()}
    return theirs


@pytest.mark.parametrize(
    "changes",
    [{}, {"stepsize": 5}, {"dense": True, "num_classes": 0}, {"num_classes": 0, "in_chans": 1}],
)
def test_there_and_back(changes: dict[str, Any]) -> None:
    model = CycleMLP(CycleMLPConfig(**{**vars(CONFIG), **changes}))
    found = convert_state({f"module.{key}": t for key, t in official(model).items()})
    assert (found.format, found.config) == ("CycleMLP", model.config)
    torch.testing.assert_close(found.state, dict(model.state_dict()), rtol=0, atol=0)
    assert found.notes == ("10 tensors of displacements, a cycle, dropped",)


@pytest.mark.parametrize("skeleton", ["pvt", "swin"])
def test_own_names(skeleton: str) -> None:
    model = CycleMLP(CycleMLPConfig(**{**vars(CONFIG), "skeleton": skeleton}))
    found = convert_state(model.state_dict())
    assert (found.format, found.config) == ("allmlp", model.config)


def test_displacements_are_checked() -> None:
    state = official(CycleMLP(CONFIG))
    key = "network.2.1.attn.sfc_w.offset"
    shifted = {**state, key: state[key].roll(2, dims=1)}
    with pytest.raises(AllmlpError, match=rf"{key} holds displacements that are no cycle of 3"):
        convert_state(shifted)
    # the names are crossed: what moves along the width must not be taken for the height
    crossed = {**state, key: state[key.replace("sfc_w", "sfc_h")]}
    with pytest.raises(AllmlpError, match="no cycle of 3"):
        convert_state(crossed)
    wide = official(CycleMLP(CycleMLPConfig(**{**vars(CONFIG), "stepsize": 5})))
    with pytest.raises(AllmlpError, match=r"mixes stepsizes \[3, 5\]"):
        convert_state({**state, key: wide[key]})


def test_what_is_missing_or_left_over_is_named() -> None:
    state = official(CycleMLP(CONFIG))
    lacking = {k: t for k, t in state.items() if k != "network.6.0.norm2.bias"}
    with pytest.raises(AllmlpError, match=r"looks like CycleMLP but lacks network.6.0.norm2.bias"):
        convert_state(lacking)
    with pytest.raises(AllmlpError, match=r"1 tensors more than that \(extra\)"):
        convert_state({**state, "extra": torch.zeros(1)})
    gap = {k.replace("network.2.0.", "network.2.7."): t for k, t in state.items()}
    with pytest.raises(AllmlpError, match="lacks block 0 of stage 1"):
        convert_state(gap)


def test_a_training_checkpoint_with_its_arguments(tmp_path: Path) -> None:
    state = official(CycleMLP(CONFIG))
    saved = {"model": state, "epoch": 3, "args": argparse.Namespace(lr=0.1)}
    torch.save(saved, tmp_path / "CycleMLP_B1.pth")
    assert read_tensors(tmp_path / "CycleMLP_B1.pth").keys() == state.keys()
