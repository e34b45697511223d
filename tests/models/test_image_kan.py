from typing import Any

import pytest
import torch
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.models.image_kan import ImageKAN, ImageKANConfig
from allmlp.models.kan import KAN


def tiny(**changes: Any) -> ImageKAN:
    sizes: dict[str, Any] = {"img_size": (4, 6), "in_chans": 2, "num_classes": 3, "widths": (5, 7)}
    return ImageKAN(ImageKANConfig(**{**sizes, **changes}))


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 2, 4, 6)


def test_it_is_one_kan_on_flattened_pixels() -> None:
    model = tiny(grid=4, k=2, norm=True)
    whole = KAN([48, 5, 7, 3], grid=4, k=2, norm=True)
    state = dict(model.body.state_dict())
    state |= {k.replace("layers.0", "layers.2"): t for k, t in model.head.state_dict().items()}
    whole.load_state_dict(state)
    x = images()
    torch.testing.assert_close(model(x), whole(x.flatten(1)))
    assert sum(p.numel() for p in model.parameters()) == whole.count_parameters()


def test_intermediates_are_hidden_nodes() -> None:
    model = tiny()
    x = images()
    final, maps = model.forward_intermediates(x)
    found = model.body.forward_intermediates(x.flatten(1))
    assert [tuple(m.shape) for m in maps] == [(3, 5, 1, 1), (3, 7, 1, 1)]
    torch.testing.assert_close(maps[0].flatten(1), found["layers.0.nodes"])
    torch.testing.assert_close(final, model.forward_features(x))
    only = model.forward_intermediates(x, [0], intermediates_only=True, output_fmt="NLC")
    assert only[0].shape == (3, 1, 5)
    torch.testing.assert_close(model.forward_head(final, pre_logits=True), final)


def test_head_comes_and_goes() -> None:
    model = tiny().double()
    for count in (0, 7, 0, 3):
        model.reset_classifier(count)
        assert model(images().double()).shape == (3, count or 7)
    with pytest.raises(AllmlpError, match="num_classes of at least 0, got -1"):
        model.reset_classifier(-1)


def test_other_image_sizes_are_refused() -> None:
    model = tiny()
    for attempt in (
        lambda: model.resize_config(model.config, (8, 8), "interpolate"),
        lambda: model.resize_state({}, model.config, "block"),
    ):
        with pytest.raises(
            AllmlpError, match="weights for each of its 4x6 pixels and no rule for others"
        ):
            attempt()
    with pytest.raises(AllmlpError, match=r"built for images of shape \(2, 4, 6\)"):
        model(torch.zeros(1, 2, 8, 8))


def test_bad_sizes() -> None:
    with pytest.raises(AllmlpError, match="one hidden width at least"):
        tiny(widths=())
    with pytest.raises(AllmlpError, match="width of at least 1, got 0"):
        tiny(widths=(0,))
    with pytest.raises(AllmlpError, match="did you mean bspline"):
        tiny(basis="bsplines")
