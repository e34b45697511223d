"""What the sweep over all variants does not see of the Scaling MLPs."""

from typing import Any

import pytest
import torch
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.models.scaling_mlp import ScalingMlp, ScalingMlpConfig, StandardBlock
from allmlp.zoo import create_model, model_info


def tiny(**changes: Any) -> ScalingMlp:
    sizes: dict[str, Any] = {"img_size": (4, 6), "width": 5, "depth": 3, "num_classes": 3}
    return ScalingMlp(ScalingMlpConfig(**{**sizes, **changes})).double()


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("b6_w256", 9.19),
        ("b12_w256", 12.35),
        ("b6_w512", 24.66),
        ("b12_w512", 37.26),
        ("b6_w1024", 74.47),
        ("b12_w1024", 124.84),
        ("s6_w2048", 69.18),
    ],
)
def test_the_papers_counts_are_with_its_21k_head(name: str, millions: float) -> None:
    info = model_info(f"scaling_mlp_{name}", num_classes=11230)
    assert round(info.parameters / 1e6, 2) == millions


def test_the_two_orders() -> None:
    code, paper = StandardBlock(width=4), StandardBlock(width=4, order="paper")
    paper.load_state_dict(code.state_dict())
    x, g = torch.randn(3, 4), nn.functional.gelu
    torch.testing.assert_close(code(x), code.fc(g(code.norm(x))))
    torch.testing.assert_close(paper(x), g(paper.fc(paper.norm(x))))


def test_one_fixed_permutation_of_pixels_changes_nothing() -> None:
    model, images = tiny(), torch.randn(2, 3, 4, 6, dtype=torch.float64)
    order = torch.randperm(72)
    before = model(images)
    with torch.no_grad():
        model.embed.weight.copy_(model.embed.weight[:, order])
    after = model(images.flatten(1)[:, order].view_as(images))
    torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("block", ["bottleneck", "standard", "standard_paper"])
def test_every_block_has_checkpointed_gradients(block: str) -> None:
    model, images = tiny(block=block), torch.randn(2, 3, 4, 6, dtype=torch.float64)
    grads = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        grads.append(torch.autograd.grad(model(images).square().sum(), list(model.parameters())))
    assert all(grad.abs().max() > 0 for grad in grads[0])
    torch.testing.assert_close(grads[1], grads[0], rtol=0, atol=0)
    assert len(model.blocks) == (3 if block == "bottleneck" else 2)


def test_a_fixed_size_names_the_way_out() -> None:
    with pytest.raises(AllmlpError, match=r"built for images of shape \(3, 4, 6\).*scale them, or"):
        tiny()(torch.zeros(1, 3, 8, 8, dtype=torch.float64))
    model = tiny()
    for attempt in (
        lambda: model.resize_config(model.config, (8, 8), None),
        lambda: model.resize_state({}, model.config, "block"),
    ):
        with pytest.raises(AllmlpError, match="each of its 4x6 pixels and no rule for others"):
            attempt()
    with pytest.raises(AllmlpError, match="depth of at least 2, got 1"):
        tiny(block="standard", depth=1)
    with pytest.raises(AllmlpError, match="unknown ScalingMlpConfig field 'drop_path_rate'"):
        create_model("scaling_mlp_b6_w256", drop_path_rate=0.1)
