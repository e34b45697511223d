"""Bilinear MLPs against outputs of the original code (tests/golden/README.md)."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.zoo import load_model, save_model
from allmlp.zoo.convert import convert_state
from allmlp.zoo.registry import build_model

NAMES = ["bilinear_official", "bilinear_official_residual"]


def read(golden: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    with safe_open(golden / f"{name}.safetensors", "pt") as opened:
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    theirs = {k.removeprefix("weights/"): t for k, t in tensors.items() if k.startswith("weights")}
    return theirs, tensors


@pytest.mark.parametrize("name", NAMES)
def test_outputs(name: str, golden: Path, tmp_path: Path) -> None:
    theirs, tensors = read(golden, name)
    found = convert_state(theirs)
    deep = name.endswith("residual")
    assert found.format == "bilinear-decomposition"
    assert (found.config.depth, found.config.bias) == ((2, True) if deep else (1, False))
    assert found.config.residual is deep
    assert bool(found.notes) is deep  # the file does not say it
    model = build_model(found.family, asdict(found.config)).eval()
    model.load_state_dict(found.state)
    with torch.no_grad():
        ours = model(tensors["input"])
    torch.testing.assert_close(ours, tensors["output"], rtol=1e-5, atol=1e-5)

    again = convert_state(found.state)
    assert (again.format, again.config) == ("allmlp", found.config)
    save_file(theirs, tmp_path / "theirs.safetensors")
    loaded = load_model(tmp_path / "theirs.safetensors")
    loaded = load_model(save_model(loaded, tmp_path / "ours")).eval()
    with torch.no_grad():
        assert torch.equal(loaded(tensors["input"]), ours)


def test_a_settings_file_decides_about_residuals(golden: Path) -> None:
    theirs, _ = read(golden, NAMES[1])
    told = convert_state(theirs, settings={"residual": False})
    assert told.config == replace(convert_state(theirs).config, residual=False)
    assert not told.notes


def test_damaged_files_are_refused(golden: Path) -> None:
    theirs, _ = read(golden, NAMES[1])
    without = {key: t for key, t in theirs.items() if key != "blocks.1.bias"}
    with pytest.raises(AllmlpError, match=r"bilinear-decomposition but lacks blocks\.1\.bias"):
        convert_state(without)
    with pytest.raises(AllmlpError, match="1 tensors more than that"):
        convert_state({**theirs, "extra": theirs["head.weight"]})
