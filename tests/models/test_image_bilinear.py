from typing import Any

import pytest
import torch
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.bilinear import eigenfeatures
from allmlp.models.image_bilinear import ImageBilinear, ImageBilinearConfig


def tiny(**changes: Any) -> ImageBilinear:
    sizes: dict[str, Any] = {"img_size": (4, 6), "in_chans": 2, "num_classes": 3, "hidden": 5}
    return ImageBilinear(ImageBilinearConfig(**{**sizes, **changes}))


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 2, 4, 6)


@pytest.mark.parametrize("changes", [{}, {"depth": 2, "embed": 5, "residual": True, "bias": False}])
def test_it_is_one_network_on_flattened_pixels(changes: dict[str, Any]) -> None:
    model = tiny(**changes)
    x = images()
    torch.testing.assert_close(model.to_mlp()(x.flatten(1)), model(x))
    model.eval()
    assert not model.to_mlp().training


def test_what_a_run_trains_can_be_decomposed() -> None:
    model, x = tiny().double(), images().double()
    found = eigenfeatures(model.to_mlp()).logits(x.flatten(1))
    torch.testing.assert_close(found, model(x).detach(), rtol=1e-10, atol=1e-10)


def test_intermediates() -> None:
    model = tiny(depth=2, hidden=4)
    x = images()
    final, maps = model.forward_intermediates(x)
    assert [tuple(m.shape) for m in maps] == [(3, 4, 1, 1)] * 2
    torch.testing.assert_close(final, model.blocks[1](model.blocks[0](x.flatten(1))))
    torch.testing.assert_close(maps[1].flatten(1), final)
    (only,) = model.forward_intermediates(x, [0], intermediates_only=True, output_fmt="NLC")
    torch.testing.assert_close(only[:, 0], model.blocks[0](x.flatten(1)))


def test_head_comes_and_goes() -> None:
    model = tiny().double()
    for count in (0, 7, 0, 3):
        model.reset_classifier(count)
        assert model(images().double()).shape == (3, count or 5)
    assert tiny(num_classes=0)(images()).shape == (3, 5)
    with pytest.raises(AllmlpError, match="has classes; give this network a head first"):
        tiny(num_classes=0).to_mlp()


def test_mistakes_are_answered() -> None:
    model = tiny()
    for attempt in (
        lambda: model.resize_config(model.config, (8, 8), "interpolate"),
        lambda: model.resize_state({}, model.config, "block"),
    ):
        with pytest.raises(AllmlpError, match="weights for each of its 4x6 pixels"):
            attempt()
    with pytest.raises(AllmlpError, match=r"built for images of shape \(2, 4, 6\)"):
        model(torch.zeros(1, 2, 8, 8))
    with pytest.raises(AllmlpError, match="maps 48 to 5; set embed=5"):
        tiny(residual=True)
