"""Foreign files to ours: golden outputs through the loader, other namings by construction."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.models.mixer import Mixer, MixerConfig
from allmlp.zoo.convert import convert_state
from allmlp.zoo.convert.mixer import to_timm
from allmlp.zoo.pretrained import read_weights
from allmlp.zoo.registry import build_model

CONFIG = MixerConfig(
    img_size=(8, 8),
    patch_size=4,
    width=6,
    depth=2,
    token_hidden=5,
    channel_hidden=12,
    num_classes=3,
    gelu="erf",
)


def net(config: MixerConfig = CONFIG) -> Mixer:
    model = Mixer(config).eval()
    for parameter in model.parameters():  # biases, norms and head too
        nn.init.normal_(parameter, std=0.5)
    return model


def build(weights: Any) -> nn.Module:
    from dataclasses import asdict

    model = build_model(weights.family, asdict(weights.config)).eval()
    model.load_state_dict(weights.state)
    return model


def test_google_npz_through_the_public_loader(golden: Path) -> None:
    weights = read_weights(golden / "mixer_flax_weights.npz")
    assert weights.format == "Google (Flax linen)"
    assert (weights.config.gelu, weights.config.norm_eps) == ("tanh", 1e-6)
    io = np.load(golden / "mixer_flax_io.npz")
    images = torch.from_numpy(io["input_nhwc"]).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = build(weights)(images)
    torch.testing.assert_close(logits, torch.from_numpy(io["output"]), rtol=1e-5, atol=1e-5)


def test_timm_through_the_public_loader(golden: Path, tmp_path: Path) -> None:
    with safe_open(golden / "mixer_timm.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    prefix = "weights/"
    bare = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    save_file(bare, tmp_path / "timm.safetensors")
    weights = read_weights(tmp_path / "timm.safetensors")
    assert (weights.format, weights.config.gelu) == ("timm", "erf")
    with torch.no_grad():
        logits = build(weights)(tensors["input"])
    torch.testing.assert_close(logits, tensors["output"], rtol=1e-5, atol=1e-5)


def test_ours_to_timm_and_back() -> None:
    model = net()
    theirs = to_timm(model.state_dict())
    assert "blocks.1.mlp_tokens.fc2.weight" in theirs
    back = convert_state(theirs)
    assert back.format == "timm"
    assert back.config == CONFIG
    assert set(back.state) == set(model.state_dict())
    torch.testing.assert_close(back.state, dict(model.state_dict()), rtol=0, atol=0)


def legacy(state: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Our tensors as Google's code before linen kept them, singleton axes included."""
    arrays = {}
    for key, tensor in state.items():
        module, _, kind = key.rpartition(".")
        array = tensor.numpy()
        if tensor.ndim == 4:
            array = array.transpose(2, 3, 1, 0)
        elif tensor.ndim == 2:
            array = array.T
        names = {"stem.proj": "embedding", "norm": "Mixer/encoder_norm", "head": "head"}
        if module in names:
            scale = "scale" if module == "norm" else "kernel"
            arrays[f"{names[module]}/{scale if kind == 'weight' else 'bias'}"] = array
            continue
        _, index, part = module.split(".", 2)
        block = f"Mixer/encoderblock_{index}"
        if part.endswith("norm"):
            number = 0 if part == "token_norm" else 1
            name = "scale" if kind == "weight" else "bias"
            arrays[f"{block}/LayerNorm_{number}/{name}"] = array
        else:
            phase = "token" if part.startswith("token") else "channel"
            name = "kernel" if kind == "weight" else "bias"
            folder = f"{block}/{phase}_mixing_phase_0"
            arrays[f"{folder}/{name}{part[-1]}"] = array[None] if array.ndim == 2 else array
    return arrays


def test_google_naming_before_linen(tmp_path: Path) -> None:
    model = net()
    np.savez(tmp_path / "old.npz", **legacy(dict(model.state_dict())))
    weights = read_weights(tmp_path / "old.npz")
    assert weights.format == "Google (before linen)"
    assert weights.config.gelu == "tanh"
    torch.testing.assert_close(weights.state, dict(model.state_dict()), rtol=0, atol=0)


def test_mmpretrain() -> None:
    model = net()
    renames = [
        (r"^stem\.proj", "backbone.patch_embed.projection"),
        (r"^blocks\.(\d+)\.norm", r"backbone.layers.\1.ln"),
        (r"^blocks\.(\d+)\.mlp_tokens\.fc1", r"backbone.layers.\1.token_mix.layers.0.0"),
        (r"^blocks\.(\d+)\.mlp_tokens\.fc2", r"backbone.layers.\1.token_mix.layers.1"),
        (r"^blocks\.(\d+)\.mlp_channels\.fc1", r"backbone.layers.\1.channel_mix.layers.0.0"),
        (r"^blocks\.(\d+)\.mlp_channels\.fc2", r"backbone.layers.\1.channel_mix.layers.1"),
        (r"^norm", "backbone.ln1"),
        (r"^head", "head.fc"),
    ]
    theirs = {}
    for key, tensor in to_timm(model.state_dict()).items():
        for pattern, name in renames:
            key = re.sub(pattern, name, key)
        theirs[key] = tensor
    found = convert_state(theirs)
    assert found.format == "mmpretrain"
    torch.testing.assert_close(found.state, dict(model.state_dict()), rtol=0, atol=0)


class _Residual(nn.Module):
    """As in that code: the norm and what it feeds, added to the input."""

    def __init__(self, width: int, fn: nn.Module):
        super().__init__()
        self.fn = fn
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(self.norm(x)) + x


class _Patches(nn.Module):
    """(b, c, h, w) to (b, n, p p c)."""

    def forward(self, images: Tensor) -> Tensor:
        from einops import rearrange

        return rearrange(images, "b c (h p) (w q) -> b (h w) (p q c)", p=4, q=4)


class _Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


def anonymous_mixer() -> nn.Sequential:
    """The layout of lucidrains' network, with the paper's widths."""

    def feed(size: int, hidden: int, dense: Any) -> nn.Sequential:
        return nn.Sequential(
            dense(size, hidden), nn.GELU(), nn.Dropout(0.0), dense(hidden, size), nn.Dropout(0.0)
        )

    blocks = [
        nn.Sequential(
            _Residual(6, feed(4, 5, lambda i, o: nn.Conv1d(i, o, 1))),
            _Residual(6, feed(6, 12, nn.Linear)),
        )
        for _ in range(2)
    ]
    return nn.Sequential(
        _Patches(), nn.Linear(48, 6), *blocks, nn.LayerNorm(6), _Mean(), nn.Linear(6, 3)
    )


def test_lucidrains_gives_the_same_logits() -> None:
    theirs = anonymous_mixer().double().eval()
    found = convert_state(theirs.state_dict())
    assert found.format == "lucidrains"
    assert (found.config.norm_eps, found.config.gelu) == (1e-5, "erf")
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    ours = build(found).double()
    torch.testing.assert_close(ours(images), theirs(images), rtol=1e-10, atol=1e-12)


def test_a_wrapped_models_prefix_is_taken_off() -> None:
    state = {f"module.{k}": v for k, v in to_timm(net().state_dict()).items()}
    assert convert_state(state).format == "timm"


def test_a_file_without_a_head() -> None:
    state = to_timm(net().state_dict())
    headless = {k: v for k, v in state.items() if not k.startswith("head")}
    assert convert_state(headless).config.num_classes == 0


def test_images_that_are_no_square_need_their_size() -> None:
    from dataclasses import replace

    state = to_timm(net(replace(CONFIG, img_size=(8, 12))).state_dict())
    with pytest.raises(AllmlpError, match="mixes 6 tokens, which is no square grid; state the"):
        convert_state(state)
    assert convert_state(state, (8, 12)).config.img_size == (8, 12)
    with pytest.raises(AllmlpError, match="images of 8x8 have 4 patches of 4 pixels"):
        convert_state(state, (8, 8))


def test_what_is_missing_or_left_over_is_named() -> None:
    state = to_timm(net().state_dict())
    lacking = {k: v for k, v in state.items() if k != "blocks.1.norm2.bias"}
    with pytest.raises(AllmlpError, match="looks like timm but lacks blocks.1.norm2.bias"):
        convert_state(lacking)
    with pytest.raises(AllmlpError, match=r"1 tensors more than that \(pos_embed\)"):
        convert_state({**state, "pos_embed": torch.zeros(1)})
    gap = {k.replace("blocks.1.", "blocks.2."): v for k, v in state.items()}
    with pytest.raises(AllmlpError, match="timm file lacks layer 1"):
        convert_state(gap)


def test_weights_of_another_architecture() -> None:
    with pytest.raises(
        AllmlpError, match=r"no known network has these 2 tensors \(weight, bias\)"
    ) as caught:
        convert_state(nn.Linear(3, 3).state_dict())
    known = str(caught.value).partition("known are: ")[2].split(", ")
    assert {"mixer of timm", "scaling_mlp of allmlp", "repmlpnet of RepMLP"} <= set(known)
    assert len(known) == len(set(known))


class _Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("import pathlib; pathlib.Path('owned').touch()",))


@pytest.mark.parametrize("name", ["w.pth", "w.npz", "w.safetensors", "w.bin"])
def test_hostile_and_broken_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    if name == "w.npz":
        np.savez(path, stem=np.array([_Hostile()], dtype=object), allow_pickle=True)
    elif name == "w.safetensors":
        path.write_bytes(b"\xff" * 64)
    else:
        torch.save({"state_dict": {"stem": _Hostile()}}, path)
    with pytest.raises(AllmlpError, match=f"cannot read weights from .*{name}"):
        read_weights(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("suffix", [".pth", ".npz", ".safetensors"])
def test_truncated_files(suffix: str, tmp_path: Path) -> None:
    state = to_timm(net().state_dict())
    path = tmp_path / f"w{suffix}"
    if suffix == ".npz":
        np.savez(path, **{k: v.numpy() for k, v in state.items()})
    elif suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    assert read_weights(path).format == "timm"
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(AllmlpError, match="cannot read weights from"):
        read_weights(path)


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"exit", pickle.dumps(print, protocol=2)])
def test_files_of_other_things(content: bytes, tmp_path: Path) -> None:
    """torch's own text says how to load what is in them all the same."""
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(AllmlpError, match="cannot read weights from") as told:
        read_weights(path)
    assert "weights_only" not in str(told.value)
    assert "it is no state dict, or holds other things than tensors" in str(told.value)


def test_wrapped_state_dicts(tmp_path: Path) -> None:
    state = to_timm(net().state_dict())
    for wrapped in ({"state_dict": state}, {"model": state, "epoch": 3}):
        torch.save(wrapped, tmp_path / "w.pth")
        assert read_weights(tmp_path / "w.pth").format == "timm"
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(AllmlpError, match="it holds a list, no state dict"):
        read_weights(tmp_path / "w.pth")
