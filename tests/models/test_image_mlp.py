from typing import Any

import pytest
import torch
from torch import Tensor

from allmlp import MLP
from allmlp.errors import AllmlpError
from allmlp.models.image_mlp import ImageMLP, ImageMLPConfig


def tiny(**changes: Any) -> ImageMLP:
    sizes: dict[str, Any] = {"img_size": (4, 6), "in_chans": 2, "num_classes": 3, "widths": (5, 5)}
    return ImageMLP(ImageMLPConfig(**{**sizes, **changes}))


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 2, 4, 6)


@pytest.mark.parametrize("block", ["plain", "residual"])
def test_it_is_an_mlp_on_flattened_pixels(block: str) -> None:
    options: dict[str, Any] = {"block": block, "norm": "layer", "glu": True}
    model, whole = tiny(**options), MLP(48, 3, (5, 5), **options)
    whole.load_state_dict(model.state_dict())
    x = images()
    torch.testing.assert_close(model(x), whole(x.flatten(1)))
    assert whole.config.count_parameters() == sum(p.numel() for p in model.parameters())
    assert model.lipschitz_bound() == whole.lipschitz_bound()


def test_intermediates() -> None:
    model = tiny(block="residual", norm="rms")
    x = images()
    final, maps = model.forward_intermediates(x, norm=True)
    assert [tuple(m.shape) for m in maps] == [(3, 5, 1, 1)] * 2
    torch.testing.assert_close(maps[-1].flatten(1), final)
    torch.testing.assert_close(final, model.forward_features(x))
    raw = model.forward_intermediates(x, [0], intermediates_only=True, output_fmt="NLC")
    torch.testing.assert_close(raw[0][:, 0], model.features.blocks[0](model.features.embed(
        x.flatten(1))))  # fmt: skip


def test_checkpointing_counts_a_batch_once_and_refuses_moving_weights() -> None:
    model = tiny(norm="batch")
    model.set_grad_checkpointing()
    model(images()).sum().backward()
    assert model.features.blocks[0].norm.num_batches_tracked == 1
    spectral = tiny(weight_norm="spectral")
    with pytest.raises(AllmlpError, match="needs the same weights both times"):
        spectral.set_grad_checkpointing()
    spectral.set_grad_checkpointing(False)


def test_head_comes_and_goes() -> None:
    model = tiny().double()
    for count in (0, 7, 0, 3):
        model.reset_classifier(count)
        assert model(images().double()).shape == (3, count or 5)
    with pytest.raises(AllmlpError, match="num_classes of at least 0, got -1"):
        model.reset_classifier(-1)


def test_other_image_sizes_are_refused() -> None:
    model = tiny()
    for attempt in (
        lambda: model.resize_config(model.config, (8, 8), "interpolate"),
        lambda: model.resize_state({}, model.config, "block"),
    ):
        with pytest.raises(AllmlpError, match="weights for each of its 4x6 pixels"):
            attempt()
    with pytest.raises(AllmlpError, match=r"built for images of shape \(2, 4, 6\)"):
        model(torch.zeros(1, 2, 8, 8))
