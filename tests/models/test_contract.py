from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allmlp import create_model
from allmlp.errors import AllmlpError
from allmlp.layers.layout import show_tokens
from allmlp.layers.pool import MeanPool
from allmlp.layers.recompute import steps
from allmlp.models.contract import VisionModel


class Counting(nn.Module):
    """Adds one, and counts how often."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.scale + 1


@dataclass(frozen=True)
class Config:
    img_size: tuple[int, int] = (2, 3)
    num_classes: int = 4


class Counter(VisionModel):
    """Pixels as tokens, blocks that count, a "norm" that doubles."""

    NAME = "counter"

    def __init__(self, depth: int = 3) -> None:
        super().__init__()
        self.config = Config()
        self.num_features = 5
        self.blocks = nn.ModuleList(Counting() for _ in range(depth))
        self.pool = MeanPool(1)
        self.head = self._make_head()
        self.grad_checkpointing = False

    @property
    def calls(self) -> list[int]:
        return [block.calls for block in self.blocks]

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        self.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        return {}

    def _embed(self, images: Tensor) -> Tensor:
        return images.flatten(2).mT

    def _blocks(self) -> list[Callable[[Tensor], Tensor]]:
        return steps(self.blocks, recomputed=self.grad_checkpointing)

    def _finish(self, x: Tensor) -> Tensor:
        return 2 * x

    def _show(self, x: Tensor, output_fmt: str) -> Tensor:
        return show_tokens(x, output_fmt, self.config.img_size)

    def _make_head(self) -> nn.Module:
        return nn.Linear(5, self.config.num_classes) if self.config.num_classes else nn.Identity()


IMAGES = torch.zeros(2, 5, 2, 3)


def test_blocks_then_norm_then_pool_then_head() -> None:
    model = Counter()
    assert model.forward_features(IMAGES).unique().tolist() == [6.0]
    pooled = model.forward_head(model.forward_features(IMAGES), pre_logits=True)
    assert torch.equal(pooled, torch.full((2, 5), 6.0))
    assert torch.equal(model(IMAGES), model.get_classifier()(pooled))


def test_intermediates_in_the_order_asked_and_no_block_too_many() -> None:
    model = Counter(4)
    found = model.forward_intermediates(IMAGES, [2, 0], output_fmt="NLC", intermediates_only=True)
    assert [t.unique().tolist() for t in found] == [[3.0], [1.0]]
    assert [tuple(t.shape) for t in found] == [(2, 6, 5)] * 2
    assert model.calls == [1, 1, 1, 0]


@pytest.mark.parametrize(("norm", "expected"), [(False, 2.0), (True, 4.0)])
def test_the_final_norm_is_applied_where_asked(norm: bool, expected: float) -> None:
    final, (found,) = Counter().forward_intermediates(IMAGES, [1], norm=norm)
    assert final.unique().tolist() == [6.0]
    assert found.unique().tolist() == [expected]
    assert found.shape == (2, 5, 2, 3)


@pytest.mark.parametrize(("recompute", "calls"), [(False, 1), (True, 2)])
def test_recomputing_runs_every_block_again_in_the_backward_pass_alone(
    recompute: bool, calls: int
) -> None:
    model = Counter()
    model.set_grad_checkpointing(recompute)
    images = IMAGES.clone().requires_grad_()
    features = model.forward_features(images)
    assert model.calls == [1, 1, 1]
    features.sum().backward()
    # each block's input is stored, so each runs once more
    assert model.calls == [calls] * 3
    assert images.grad is not None
    assert images.grad.unique().tolist() == [2.0]


@pytest.mark.unhooked
def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(AllmlpError, match="output_fmt"):
        Counter().forward_intermediates(IMAGES, output_fmt="NHWC")


def test_a_missing_block_is_refused() -> None:
    with pytest.raises(AllmlpError, match="blocks"):
        Counter().forward_intermediates(IMAGES, [9])


def test_a_fresh_head_is_like_the_rest_of_the_model() -> None:
    model = Counter().double()
    model.reset_classifier(0)
    assert model(IMAGES.double()).shape == (2, 5)
    model.reset_classifier(7)
    assert model.config.num_classes == 7
    assert {p.dtype for p in model.get_classifier().parameters()} == {torch.float64}


def test_weights_fit_any_size_unless_a_class_says_otherwise() -> None:
    model = Counter()
    assert Counter.resize_config(model.config, (8, 8), None) == Config(img_size=(8, 8))
    assert (
        model.resize_state(model.state_dict(), model.config, None).keys()
        == dict(model.state_dict()).keys()
    )
    with pytest.raises(AllmlpError, match="a counter's weights fit images of any size, got resize"):
        Counter.resize_config(model.config, (8, 8), "block")


def test_a_fresh_head_has_the_mode_of_the_model() -> None:
    model = create_model("mlp", img_size=8, in_chans=1, head_dropout_rate=0.5).eval()
    model.reset_classifier(3)
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize("indices", [[9], [], [-7]])
def test_blocks_that_a_backbone_does_not_have(indices: list[int]) -> None:
    with pytest.raises(AllmlpError):
        create_model("mixer_digits", features_only=True, out_indices=indices)


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mlp", {"widths": 256}, "needs widths as a list of integers, got 256"),
        ("kan", {"widths": 64}, "needs widths as a list of integers, got 64"),
        ("csmixer_t", {"depths": 2}, "needs depths as a list of integers, got 2"),
        ("repmlpnet_t224", {"tile_size": 224}, "tile_size as a list of 2 integers, got 224"),
        ("repmlpnet_t224", {"tile_size": (0, 0)}, r"tile_size\[0\] of at least 1, got 0"),
        ("cyclemlp_b1", {"img_size": (224,)}, r"img_size as a list of 2 integers, got \(224,\)"),
        ("csmixer_t", {"img_size": (224,)}, r"img_size as a list of 2 integers, got \(224,\)"),
    ],
)
def test_sizes_that_are_no_lists(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(AllmlpError, match=message):
        create_model(name, **options)
