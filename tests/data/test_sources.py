import pytest
import torch

from allmlp.data import ImageSet, load_source
from allmlp.errors import AllmlpError


def test_unknown_source_names_the_nearest() -> None:
    with pytest.raises(AllmlpError, match="unknown data source 'digit'; did you mean digits"):
        load_source("digit")


def test_resize_keeps_what_has_the_size_and_averages_what_has_not() -> None:
    images = torch.tensor([[[[0, 0, 200, 200]] * 4]], dtype=torch.uint8)
    data = ImageSet(images, torch.tensor([0]), ("a",))
    assert data.resize((4, 4)) is data
    assert data.resize((2, 2)).images.shape == (1, 1, 2, 2)
    assert data.resize((8, 8)).images.dtype == torch.uint8
    assert data.resize((8, 8)).images[0, 0, :, 0].tolist() == [0] * 8
