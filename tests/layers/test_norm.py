import pytest
import torch
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.layers import MAP_NORMS, NORMS, map_norm_factory, norm_factory


@pytest.mark.parametrize("kind", NORMS)
def test_norms_of_maps_do_to_channels_what_norms_do_to_the_last_axis(kind: str) -> None:
    plain, of_map = norm_factory(kind, eps=1e-3)(4), map_norm_factory(kind, eps=1e-3)(4)
    for parameter in plain.parameters():
        nn.init.normal_(parameter)
    of_map.load_state_dict({f"norm.{k}": v for k, v in plain.state_dict().items()})
    x = torch.randn(2, 3, 5, 4)
    found = of_map(x.permute(0, 3, 1, 2))
    torch.testing.assert_close(found, plain(x).permute(0, 3, 1, 2))


def test_the_batch_norm_is_torchs() -> None:
    norm = MAP_NORMS["batch"](4, 1e-5)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.eps == 1e-5


def test_unknown_norms_name_the_nearest() -> None:
    with pytest.raises(AllmlpError, match=r"'layr'.*layer"):
        norm_factory("layr")
    with pytest.raises(AllmlpError, match=r"'bach'.*batch"):
        map_norm_factory("bach")
