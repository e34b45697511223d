"""RepMLPNet files; parity tests hold the authors' outputs against ours."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from allmlp.deploy import inject_locality, reparameterize
from allmlp.errors import AllmlpError
from allmlp.models.repmlp import RepMLPNet, RepMLPNetConfig
from allmlp.zoo import load_model
from allmlp.zoo.convert import convert_state

# a quarter of these widths is a multiple of 8: mmpretrain rounds its gates to nothing else
CONFIG = RepMLPNetConfig(
    img_size=(16, 16), widths=(32, 64), depths=(1, 2), share_sets=(1, 4), num_classes=3
)
# mmpretrain/models/backbones/repmlp.py and models/utils/se_layer.py
MMPRETRAIN: list[tuple[str, str]] = [
    (r"^stem\.conv\.conv", "patch_embed.projection"),
    (r"^stem\.conv\.norm", "patch_embed.norm"),
    (r"^norm", "final_norm"),
    (r"^stages\.1\.down\.conv\.", "downsample_layers.0."),
    (r"\.blocks\.(\d)\.mix\.", r".\1.repmlp_block."),
    (r"\.blocks\.(\d)\.fc", r".\1.ffn_block.ffn_fc"),
    (r"\.blocks\.(\d)\.mix_norm", r".\1.norm1"),
    (r"\.blocks\.(\d)\.channel_norm", r".\1.norm2"),
    (r"repmlp_block\.gate\.fc(\d)", r"repmlp_block.gp.conv\1.conv"),
    (r"repmlp_block\.places", "repmlp_block.fc3"),
    (r"repmlp_block\.norm", "repmlp_block.fc3_bn"),
    (r"repmlp_block\.branches\.0", "repmlp_block.repconv1"),
    (r"repmlp_block\.branches\.1", "repmlp_block.repconv3"),
    (r"(downsample_layers\.0|repconv\d|ffn_fc\d)\.norm\.", r"\1.bn."),
]


def mmpretrain(model: RepMLPNet) -> dict[str, Tensor]:
    """The state dict as mmpretrain's classifier names and shapes it."""
    theirs = {}
    for key, tensor in model.state_dict().items():
        for pattern, name in MMPRETRAIN:
            key = re.sub(pattern, name, key)
        if re.search(r"gp\.conv\d\.conv\.weight", key):
            tensor = tensor[:, :, None, None]
        elif key.endswith("fc3.weight"):  # a grouped 1 x 1 convolution
            tensor = tensor.flatten(0, 1)[:, :, None, None]
        elif key.endswith("fc3.bias"):
            tensor = tensor.flatten()
        theirs["head.fc" + key[4:] if key.startswith("head.") else f"backbone.{key}"] = tensor
    return theirs


def trained(config: RepMLPNetConfig = CONFIG) -> RepMLPNet:
    model = RepMLPNet(config)
    with torch.no_grad():
        for _ in range(3):  # statistics of batches, not those norms start with
            model(torch.randn(4, 3, 16, 16))
    return model.eval()


@pytest.mark.parametrize("form", ["training", "injected"])
def test_mmpretrain_there_and_back(form: str) -> None:
    model = trained() if form == "training" else inject_locality(trained())
    state = mmpretrain(model)
    if form == "training":
        assert "backbone.stages.1.1.repmlp_block.repconv3.bn.running_var" in state
    found = convert_state(state)
    name = "mmpretrain" if form == "training" else "mmpretrain (deploy)"
    assert (found.format, found.family, found.config) == (name, "repmlpnet", model.config)
    torch.testing.assert_close(found.state, dict(model.state_dict()), rtol=0, atol=0)


def test_a_backbone_of_mmpretrain_has_no_head() -> None:
    state = {k: t for k, t in mmpretrain(trained()).items() if not k.startswith("head.")}
    assert convert_state(state).config.num_classes == 0


def test_mmpretrain_from_a_file_to_the_deploy_form(tmp_path: Path) -> None:
    model, images = trained(), torch.randn(2, 3, 16, 16)
    save_file(mmpretrain(model), tmp_path / "repmlp-base.safetensors")
    read = load_model(tmp_path / "repmlp-base.safetensors").eval()
    assert torch.equal(read(images), model(images))
    # float32 products in another order
    torch.testing.assert_close(reparameterize(read)(images), model(images), rtol=1e-4, atol=1e-5)


def test_what_mmpretrain_lacks_or_has_too_much_is_named() -> None:
    state = mmpretrain(trained())
    key = "backbone.stages.1.0.repmlp_block.gp.conv2.conv.bias"
    with pytest.raises(AllmlpError, match=f"looks like mmpretrain but lacks {re.escape(key)}"):
        convert_state({k: t for k, t in state.items() if k != key})
    with pytest.raises(AllmlpError, match=r"1 tensors more than that \(backbone.extra\)"):
        convert_state({**state, "backbone.extra": torch.zeros(1)})
