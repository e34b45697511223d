"""Mixer against outputs of the original code (tests/golden/README.md)."""

from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from allmlp.models.mixer import Mixer, MixerConfig

SIZES = {
    "img_size": (32, 32),
    "patch_size": 8,
    "width": 24,
    "depth": 2,
    "token_hidden": 12,
    "channel_hidden": 96,
    "num_classes": 5,
}
# ours -> Flax, without the weight/kernel and bias/bias ending
FLAX = {
    "token_norm": "LayerNorm_0",
    "channel_norm": "LayerNorm_1",
    "token_mlp.fc1": "token_mixing/Dense_0",
    "token_mlp.fc2": "token_mixing/Dense_1",
    "channel_mlp.fc1": "channel_mixing/Dense_0",
    "channel_mlp.fc2": "channel_mixing/Dense_1",
    "stem.proj": "stem",
    "norm": "pre_head_layer_norm",
    "head": "head",
}
TIMM = {"token_norm": "norm1", "channel_norm": "norm2", "token_mlp": "mlp_tokens"}
TIMM["channel_mlp"] = "mlp_channels"


def _flax_tensor(key: str, weights: dict[str, np.ndarray]) -> torch.Tensor:
    module, _, kind = key.rpartition(".")
    prefix = ""
    if module.startswith("blocks."):
        _, index, module = module.split(".", 2)
        prefix = f"MixerBlock_{index}/"
    array = weights.get(f"{prefix}{FLAX[module]}/{'kernel' if kind == 'weight' else 'bias'}")
    if array is None:  # a norm calls its weight scale
        array = weights[f"{prefix}{FLAX[module]}/scale"]
    tensor = torch.from_numpy(array)
    # Flax keeps Dense kernels (in, out) and convolutions HWIO
    order = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[tensor.ndim]
    return tensor.permute(order)


def test_flax(golden: Path) -> None:
    weights = dict(np.load(golden / "mixer_flax_weights.npz"))
    io = np.load(golden / "mixer_flax_io.npz")
    model = Mixer(MixerConfig(**SIZES)).eval()
    state = {key: _flax_tensor(key, weights) for key in model.state_dict()}
    assert len(state) == len(weights)
    model.load_state_dict(state)
    images = torch.from_numpy(io["input_nhwc"]).permute(0, 3, 1, 2)
    for context in (torch.inference_mode(), torch.enable_grad()):  # both kernels
        with context:
            logits = model(images).detach()
        torch.testing.assert_close(logits, torch.from_numpy(io["output"]), rtol=1e-5, atol=1e-5)


def test_timm(golden: Path) -> None:
    with safe_open(golden / "mixer_timm.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    model = Mixer(MixerConfig(**SIZES, gelu="erf")).eval()
    state = {}
    for key in model.state_dict():
        foreign = key
        for ours, theirs in TIMM.items():
            foreign = foreign.replace(ours, theirs)
        state[key] = tensors.pop(f"weights/{foreign}")
    model.load_state_dict(state)
    logits = model(tensors.pop("input")).detach()
    torch.testing.assert_close(logits, tensors.pop("output"), rtol=1e-5, atol=1e-5)
    assert not tensors
