"""What docs/mistakes.md says is so, where no test of the part in question says it already."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import allmlp
from allmlp import BilinearMLP
from allmlp.interpret.bilinear import interaction_matrix
from allmlp.layers import Affine, BSplineBasis, GatedLinear, KANLinear
from allmlp.theory import ExactNet, graph, sawtooth

PAGE = Path(__file__).parents[1] / "docs" / "mistakes.md"


def test_every_mistake_names_its_proof() -> None:
    items = re.findall(
        r"^- \*\*.*?(?=^- |^#|\Z)", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert len(items) > 30
    for item in items:
        assert re.search(r"\]\((?!http)|arxiv\.org", item), item


def on_paper(name: str) -> Any:
    with torch.device("meta"):
        return allmlp.create_model(name)


def test_which_mlp_mixes_what() -> None:
    block = on_paper("mixer_b16").blocks[0]
    shapes = [tuple(mlp.fc1.weight.shape) for mlp in (block.token_mlp, block.channel_mlp)]
    assert shapes == [(384, 196), (3072, 768)]
    assert on_paper("mixer_b32").blocks[0].token_mlp.fc1.weight.shape == (384, 49)


def test_filters_of_32_pixels_are_the_patch_embedding() -> None:
    assert on_paper("mixer_s32").stem.proj.weight.shape == (512, 3, 32, 32)


def test_a_mixer_has_no_token_and_no_position_of_its_own() -> None:
    blocks = ("stem.", "blocks.", "norm.", "head.")
    assert all(name.startswith(blocks) for name, _ in on_paper("mixer_b16").named_parameters())


def shuffled(images: Tensor, order: Tensor) -> Tensor:
    """Images of 2 x 2 patches of 4 pixels, their patches in another order."""
    patches = rearrange(images, "b c (h p) (w q) -> b (h w) c p q", p=4, q=4)[:, order]
    return rearrange(patches, "b (h w) c p q -> b c (h p) (w q)", h=2)


def test_a_mixer_permutes_its_weights_where_a_convmixer_sees_another_image() -> None:
    images, order = torch.randn(2, 3, 8, 8, dtype=torch.float64), torch.tensor([2, 0, 3, 1])
    sizes: dict[str, Any] = {
        "img_size": 8,
        "patch_size": 4,
        "width": 8,
        "depth": 1,
        "num_classes": 5,
    }
    mixer = allmlp.create_model("mixer_nano", **sizes, init="timm").double().eval()
    before = mixer(images)
    mlp = mixer.blocks[0].token_mlp
    with torch.no_grad():
        mlp.fc1.weight.copy_(mlp.fc1.weight[:, order])
        mlp.fc2.weight.copy_(mlp.fc2.weight[order])
        mlp.fc2.bias.copy_(mlp.fc2.bias[order])
    torch.testing.assert_close(mixer(shuffled(images, order)), before)
    conv = allmlp.create_model("convmixer_256_8", **sizes, kernel_size=3).double().eval()
    conv.head.weight.data.normal_()
    assert not torch.allclose(conv(shuffled(images, order)), conv(images), rtol=1e-3)


def test_a_linear_map_takes_up_an_affine_and_a_token_map_does_not() -> None:
    affine, linear = Affine(3).double(), torch.nn.Linear(3, 4).double()
    affine.alpha.data, affine.beta.data = torch.randn(2, 3).double()
    x, tokens = torch.randn(5, 3).double(), torch.randn(5, 5).double()
    weight = linear.weight * affine.alpha
    torch.testing.assert_close(linear(affine(x)), x @ weight.T + linear(affine.beta))
    # one map of the tokens serves all channels; twenty examples show that none does
    x, alpha = torch.randn(5, 3, 20).double(), affine.alpha[:, None]
    wanted = torch.einsum("mn,ncb->mcb", tokens, x * alpha).flatten(1)
    found = torch.linalg.lstsq(x.flatten(1).T, wanted.T).solution.T
    assert (found @ x.flatten(1) - wanted).norm() > 0.1 * wanted.norm()


class Operations(TorchDispatchMode):
    """The names of all operations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(func))
        return func(*args, **(kwargs or {}))


def test_no_attention_in_csmixer() -> None:
    small: dict[str, Any] = {"width": 8, "depths": (1, 1, 1, 1), "heads": (1, 1, 1, 1)}
    model = allmlp.create_model("csmixer_t", img_size=56, **small).eval()
    with torch.no_grad(), Operations() as ran:
        model(torch.randn(1, 3, 56, 56))
    assert not [name for name in ran.names if "softmax" in name or "attention" in name]


def test_a_kan_is_linear_in_its_weights() -> None:
    layer, x = KANLinear(3, 2).double(), torch.randn(5, 3).double()
    once = layer(x)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(2)
    torch.testing.assert_close(layer(x), 2 * once)
    # what SiLU of a weight would make of doubling it
    assert (F.silu(torch.tensor(2.0)) / F.silu(torch.tensor(1.0))).item() == pytest.approx(
        2.41, abs=0.005
    )


def splines(x: Tensor) -> Tensor:
    return BSplineBasis(1, grid=5, k=3).double()(x[:, None])[..., 0]  # (n, 8)


def test_the_last_k_functions_are_part_of_the_basis() -> None:
    x = torch.linspace(-1, 1, 2001).double()
    values = splines(x)
    assert values.shape[1] == 8
    torch.testing.assert_close(values.sum(1), torch.ones_like(x))
    kept = values[:, :5].sum(1)
    assert kept[-1].abs() < 1e-12  # nothing can be learned at the end of the grid
    assert 1 - kept.mean().item() == pytest.approx(0.3, abs=0.001)


def test_scaling_by_the_batch_ties_examples_together() -> None:
    def scaled(batch: list[float]) -> float:
        low, high = min(batch), max(batch)
        return 2 * (batch[0] - low) / (high - low) - 1

    assert scaled([0.3, -1, 1]) == pytest.approx(0.3)
    assert scaled([0.3, -1, 10]) == pytest.approx(-0.76, abs=0.005)
    layer, x = KANLinear(1, 1), torch.tensor([[0.3], [-1.0], [1.0]])
    other = torch.tensor([[0.3], [-1.0], [10.0]])
    torch.testing.assert_close(layer(x)[0], layer(other)[0])


def test_coefficients_are_not_the_function() -> None:
    x = torch.linspace(-1, 1, 401).double()
    coefficients = torch.linalg.lstsq(splines(x), x.square()[:, None]).solution[:, 0]
    torch.testing.assert_close(splines(x) @ coefficients, x.square())
    assert coefficients.max().item() == pytest.approx(1.907, abs=0.001)
    assert coefficients.min().item() == pytest.approx(-0.0133, abs=0.0001)


def test_a_bilinear_output_is_a_form_over_inputs() -> None:
    model = BilinearMLP(6, 3, hidden=4).double()
    x = torch.randn(6).double()
    matrix = interaction_matrix(model, 1)
    assert matrix.shape == (6, 6)
    torch.testing.assert_close(x @ matrix @ x, model(x[None])[0, 1])


def test_torchs_bilinear_is_another_layer() -> None:
    def weights(layer: torch.nn.Module) -> int:
        return sum(p.numel() for p in layer.parameters())

    assert weights(torch.nn.Bilinear(784, 784, 10, bias=False)) == 6_146_560
    assert weights(GatedLinear(784, 10, bias=False)) == 15_680


def test_the_printed_sawtooth_folds_nothing() -> None:
    # f = 2 relu(2 f) - 1, ten times
    layers = [([[2]], [0])] + [([[4]], [-2])] * 9 + [([[2]], [-1])]
    assert graph(ExactNet(layers), 0, 1).num_pieces == 2
    assert graph(sawtooth(10)).num_pieces == 1024


def test_a_difference_of_two_relus_is_a_ramp() -> None:
    x = np.array([-1.0, 0.5, 2.0, 50.0])
    ramp = np.maximum(x, 0) - np.maximum(x - 1, 0)
    assert ramp.tolist() == [0, 0.5, 1, 1]  # and 1 for ever, where an indicator is 0 again
