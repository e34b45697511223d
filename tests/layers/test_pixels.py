import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.layers.pixels import Pixels


def test_pixels_stand_in_channel_row_column_order() -> None:
    images = torch.randn(2, 3, 4, 5)
    flat = Pixels("MLP", in_chans=3, img_size=(4, 5))(images)
    assert torch.equal(flat[:, 2 * 20 + 3 * 5 + 1], images[:, 2, 3, 1])


@pytest.mark.parametrize("shape", [(2, 1, 4, 5), (2, 3, 5, 4)])
def test_another_shape_names_the_way_out(shape: tuple[int, ...]) -> None:
    with pytest.raises(AllmlpError, match=r"this MLP was built for images of shape \(3, 4, 5\)"):
        Pixels("MLP", in_chans=3, img_size=(4, 5))(torch.zeros(shape))
