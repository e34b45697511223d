"""What the sweep over all variants does not see of RepMLPNet."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.models.repmlp import RepMLPNet, RepMLPNetConfig
from allmlp.zoo import create_model, model_info

THIN: dict[str, Any] = {
    "img_size": (16, 24),
    "widths": (4, 8),
    "depths": (1, 2),
    "share_sets": (2, 4),
    "num_classes": 3,
}


def stirred(model: nn.Module) -> Any:
    """Norms that are no identity, in eval mode and double precision."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 1.5) if "var" in name else nn.init.normal_(
                tensor, std=0.3
            )
    return model.double().eval()


def tiny(**changes: Any) -> Any:
    return stirred(RepMLPNet(RepMLPNetConfig(**{**THIN, **changes})))


def maps(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "parameters", "gmacs"),
    # counted by hand: the bias of s n numbers a unit instead of two branches and three norms
    [
        ("t224", 38_331_720, 2.798),
        ("t256", 58_739_400, 4.246),
        ("b224", 68_332_664, 6.657),
        ("b256", 96_568_184, 9.616),
        ("d256", 86_985_280, 8.611),
        ("l256", 117_820_600, 11.579),
    ],
)
def test_the_injected_form(name: str, parameters: int, gmacs: float) -> None:
    info = model_info(f"repmlpnet_{name}", form="injected")
    assert (info.parameters, round(info.macs / 1e9, 3)) == (parameters, gmacs)


def test_images_of_whole_tiles() -> None:
    model = tiny()
    final, found = model.forward_intermediates(maps(2, 3, 32, 72))
    assert [tuple(m.shape) for m in found] == [(2, 4, 8, 18), (2, 8, 4, 9)]
    assert final.shape == (2, 8, 4, 9)
    with pytest.raises(AllmlpError, match=r"tiles of 16x24 pixels but got images of 24x24; take"):
        model(maps(1, 3, 24, 24))
    with pytest.raises(AllmlpError, match="3 image channels but got 1; build it with in_chans=1"):
        model(maps(1, 1, 16, 24))


def test_features_are_the_maps_before_down_sampling() -> None:
    with torch.device("meta"):
        model = create_model("repmlpnet_t256", features_only=True)
        found = model(torch.empty(1, 3, 256, 256))
    assert model.feature_info.reduction() == [4, 8, 16, 32]
    assert [m.shape[1:] for m in found] == [(64, 64, 64), (128, 32, 32), (256, 16, 16), (512, 8, 8)]


def test_weights_at_another_size_by_tiles() -> None:
    model = tiny()
    config = RepMLPNet.resize_config(model.config, (32, 24), "block")
    assert (config.img_size, config.tile) == ((32, 24), (16, 24))
    large = RepMLPNet(config).double().eval()
    large.load_state_dict(large.resize_state(model.state_dict(), model.config, "block"))
    images = maps(1, 3, 32, 24)
    torch.testing.assert_close(large(images), model(images))
    with pytest.raises(AllmlpError, match="cannot fill"):
        RepMLPNet.resize_config(model.config, (24, 24), "block")


@pytest.mark.parametrize("form", ["training", "injected"])
def test_weights_at_another_size_by_resampling(form: Any) -> None:
    model = tiny(form=form)
    config = RepMLPNet.resize_config(model.config, (32, 32), "interpolate")
    assert config.tile == (32, 32)
    large: Any = RepMLPNet(config).double().eval()
    state = large.resize_state(model.state_dict(), model.config, "interpolate")
    large.load_state_dict(state)
    assert large(maps(1, 3, 32, 32)).shape == (1, 3)
    old, new = (m.stages[0].blocks[0].mix.places.weight for m in (model, large))
    # constant maps are mixed to the same mean, up to resampling what is written
    assert new.shape == (2, 64, 64)
    torch.testing.assert_close(new.sum(-1).mean(-1), old.sum(-1).mean(-1), rtol=0.5, atol=0.5)
    same = large.resize_state(large.state_dict(), config, "interpolate")
    torch.testing.assert_close(same, dict(large.state_dict()))


def test_bad_sizes() -> None:
    with pytest.raises(AllmlpError, match="5 share-sets do not divide the width 8"):
        tiny(share_sets=(2, 5))
    with pytest.raises(AllmlpError, match="tiles of multiples of 8 pixels, got 12x24"):
        tiny(img_size=(12, 24))
    with pytest.raises(AllmlpError, match="needs odd kernels"):
        tiny(kernels=(1, 2))
    with pytest.raises(AllmlpError, match="share-sets for each stage, got 2, 1 and 2"):
        tiny(depths=(1,))
    with pytest.raises(AllmlpError, match="images of 16x24"):
        tiny(tile_size=(16, 16))
