"""RepMLPNet, both forms, against outputs of the original code (tests/golden/README.md)."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from allmlp.deploy import inject_locality, reparameterize
from allmlp.models.repmlp import RepMLPNetConfig
from allmlp.zoo.convert import convert_state
from allmlp.zoo.convert.format import Converted
from allmlp.zoo.registry import build_model

CONFIG = RepMLPNetConfig(
    img_size=(32, 32), widths=(8, 16), depths=(1, 2), share_sets=(1, 4), num_classes=5
)


def stored(path: Path) -> tuple[Converted, Tensor, Tensor]:
    with safe_open(path, "pt") as opened:
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    images, logits = tensors.pop("input"), tensors.pop("output")
    found = convert_state({key.removeprefix("weights/"): t for key, t in tensors.items()})
    return found, images, logits


@pytest.mark.parametrize(
    ("file", "format", "form"),
    [("train", "RepMLP", "training"), ("deploy", "RepMLP (deploy)", "injected")],
)
def test_outputs(file: str, format: str, form: str, golden: Path) -> None:
    found, images, logits = stored(golden / f"repmlpnet_official_{file}.safetensors")
    assert (found.format, found.family) == (format, "repmlpnet")
    assert found.config == replace(CONFIG, form=form)
    model = build_model(found.family, asdict(found.config)).eval()
    model.load_state_dict(found.state)
    with torch.no_grad():
        torch.testing.assert_close(model(images), logits, rtol=1e-5, atol=1e-5)
        deployed = reparameterize(model)
        torch.testing.assert_close(deployed(images), logits, rtol=1e-5, atol=1e-5)


def test_our_injection_is_theirs(golden: Path) -> None:
    trained, *_ = stored(golden / "repmlpnet_official_train.safetensors")
    theirs, *_ = stored(golden / "repmlpnet_official_deploy.safetensors")
    model = build_model(trained.family, asdict(trained.config)).eval()
    model.load_state_dict(trained.state)
    ours = inject_locality(model).state_dict()
    # theirs was merged in float32
    torch.testing.assert_close(dict(ours), theirs.state, rtol=1e-5, atol=1e-6)
