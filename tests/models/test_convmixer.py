"""What the sweep over all variants does not see of the ConvMixer."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.models.convmixer import ConvMixer, ConvMixerBlock, ConvMixerConfig
from allmlp.zoo import create_model, model_info


def tiny(**changes: Any) -> ConvMixer:
    sizes: dict[str, Any] = {
        "img_size": (8, 12),
        "patch_size": 2,
        "width": 6,
        "depth": 2,
        "kernel_size": 3,
        "num_classes": 3,
    }
    return ConvMixer(ConvMixerConfig(**{**sizes, **changes}))


def stirred(model: nn.Module) -> nn.Module:
    """Norms that are no identity, in eval mode and double precision."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 1.5) if "var" in name else nn.init.normal_(tensor)
    return model.double().eval()


def images(height: int = 8, width: int = 12) -> Tensor:
    return torch.randn(2, 3, height, width, dtype=torch.float64)


# rows beyond the named variants, counted by hand in the same closed form
@pytest.mark.parametrize(
    ("sizes", "parameters", "gmacs"),
    [
        ({"width": 512, "depth": 16, "kernel_size": 8}, 5_357_544, 4.91),
        ({"width": 1024, "depth": 12, "kernel_size": 8}, 14_621_672, 13.85),
        ({"kernel_size": 3}, 49_414_120, 48.83),
    ],
)
def test_other_sizes_of_the_paper(sizes: dict[str, int], parameters: int, gmacs: float) -> None:
    info = model_info("convmixer_1536_20", **sizes)
    assert (info.parameters, round(info.macs / 1e9, 2)) == (parameters, gmacs)


def test_papers_best_cifar_net() -> None:
    info = model_info("convmixer_256_8", patch_size=1, kernel_size=9)
    assert (info.parameters, round(info.macs / 1e9, 3)) == (706_570, 0.708)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("kernel_size", [1, 2, 5, 8])
def test_a_block_by_its_equations(kernel_size: int) -> None:
    block = stirred(ConvMixerBlock(width=4, kernel_size=kernel_size, activation=nn.GELU()))
    same = nn.Conv2d(4, 4, kernel_size, groups=4, padding="same").double()
    same.load_state_dict(block.depthwise.state_dict())
    x = torch.randn(2, 4, 5, 7, dtype=torch.float64)
    y = x + block.depthwise_norm(nn.functional.gelu(same(x)))
    weight, bias = block.pointwise.parameters()
    product = torch.einsum("od,bdhw->bohw", weight[:, :, 0, 0], y)
    z = nn.functional.gelu(product + bias[:, None, None])
    torch.testing.assert_close(block(x), block.pointwise_norm(z), rtol=1e-12, atol=1e-12)


def test_gradients() -> None:
    block = stirred(ConvMixerBlock(width=2, kernel_size=2, activation=nn.GELU())).train()
    x = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (x,))


def test_images_of_any_size_that_patches_tile() -> None:
    model = stirred(tiny())
    assert model(images(2, 30)).shape == (2, 3)
    assert model.forward_features(images(2, 30)).shape == (2, 6, 1, 15)
    with pytest.raises(AllmlpError, match=r"patch_size=2, got 7x12; .* 8x12"):
        model(images(7))
    with pytest.raises(AllmlpError, match="3 image channels but got 1; build it with in_chans=1"):
        model(images()[:, :1])


def test_inside_a_large_image_nothing_depends_on_its_size() -> None:
    model = stirred(tiny(img_size=(40, 40)))
    whole = images(40, 40)
    found = model.forward_features(whole)[:, :, 5:10, 5:10]
    # two blocks of three places reach two patches far
    cut = model.forward_features(whole[:, :, 6:24, 6:24])[:, :, 2:7, 2:7]
    torch.testing.assert_close(found, cut, rtol=1e-10, atol=1e-10)


def test_weights_fit_other_sizes_without_a_method(tmp_path: Path) -> None:
    save_file(create_model("convmixer_256_8").state_dict(), tmp_path / "w.safetensors")
    model = create_model("convmixer_256_8", pretrained=tmp_path / "w.safetensors", img_size=48)
    assert model.config.img_size == (48, 48)
    assert model(torch.zeros(2, 3, 48, 48)).shape == (2, 10)
    with pytest.raises(AllmlpError, match="fit images of any size, got resize='block'; leave it"):
        create_model(
            "convmixer_256_8", pretrained=tmp_path / "w.safetensors", img_size=48, resize="block"
        )


def test_checkpointing_counts_a_batch_once() -> None:
    model = tiny()
    model.set_grad_checkpointing()
    model(images().float()).sum().backward()
    counts = [int(t) for name, t in model.state_dict().items() if "num_batches" in name]
    assert counts == [1] * 5


def test_intermediates() -> None:
    model = stirred(tiny())
    final, maps = model.forward_intermediates(images := torch.randn(2, 3, 8, 12).double())
    torch.testing.assert_close(final, model.forward_features(images))
    torch.testing.assert_close(maps[-1], final)
    (tokens,) = model.forward_intermediates(
        images, [0], output_fmt="NLC", intermediates_only=True, norm=True
    )
    torch.testing.assert_close(tokens.mT.reshape(2, 6, 4, 6), maps[0])
    pooled = model.forward_head(final, pre_logits=True)
    torch.testing.assert_close(model.head(pooled), model(images))


def test_drop_path_rises_to_its_rate() -> None:
    rates = [block.drop_path.rate for block in tiny(depth=3, drop_path_rate=0.2).blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2])


def test_bad_sizes() -> None:
    with pytest.raises(AllmlpError, match="kernel_size of at least 1, got 0"):
        tiny(kernel_size=0)
    with pytest.raises(AllmlpError, match=r"drop_path_rate in \[0, 1\), got 1.0"):
        tiny(drop_path_rate=1.0)
    with pytest.raises(AllmlpError, match="patch_size=5, got 8x12; the nearest that fits is 10x10"):
        tiny(patch_size=5)


@pytest.mark.unhooked
def test_an_unknown_activation() -> None:
    with pytest.raises(AllmlpError, match="unknown activation 'rleu'; did you mean relu"):
        tiny(activation="rleu")
