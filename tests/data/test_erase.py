import pytest
import torch

from allmlp.data import Erasing
from allmlp.data.erase import ERASE_DRAWS, erase_images
from allmlp.errors import AllmlpError


def test_as_many_are_erased_as_the_rate_says(generator: torch.Generator) -> None:
    draws = torch.rand(20_000, ERASE_DRAWS, generator=generator)
    boxes = Erasing(rate=0.3).boxes(draws, (32, 32))
    erased = boxes[:, 2] > 0
    # a share of 0.3 of 20,000 has deviation 0.0032
    assert abs(erased.float().mean() - 0.3) < 4 * 0.0032
    assert (boxes[~erased] == 0).all()
    share = boxes[erased, 2] * boxes[erased, 3] / 1024
    # from 2 % to a third; rounding a box of 5 x 4 or so moves its area by a fifth
    assert 0.015 < share.min() < 0.022
    assert 0.32 < share.max() < 0.36
    ratio = boxes[erased, 3] / boxes[erased, 2]
    assert abs((ratio > 1).float().mean() - (ratio < 1).float().mean()) < 0.03


@pytest.mark.parametrize(("rate", "count"), [(0.0, 0), (1.0, 50)])
def test_never_and_always(generator: torch.Generator, rate: float, count: int) -> None:
    boxes = Erasing(rate=rate).boxes(torch.rand(50, ERASE_DRAWS, generator=generator), (224, 160))
    assert int((boxes[:, 2] > 0).sum()) == count


def test_a_box_is_overwritten_and_nothing_else() -> None:
    images = torch.zeros(2, 3, 5, 4, dtype=torch.uint8)
    noise = torch.arange(1, 19, dtype=torch.uint8).view(3, 3, 2)
    boxes = torch.tensor([[1, 2, 3, 2], [0, 0, 0, 0]])
    erased = erase_images(images, boxes, [noise, noise])
    assert torch.equal(erased[0, :, 1:4, 2:4], noise)
    assert int((erased[0] > 0).sum()) == 18
    assert not erased[1].any()
    assert not images.any()


def test_a_colour_for_the_whole_box() -> None:
    level = torch.tensor([1, 2, 3], dtype=torch.uint8)[:, None, None]
    erased = erase_images(
        torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.tensor([[0, 0, 4, 4]]), [level]
    )
    assert erased.unique(dim=3).squeeze().T.unique(dim=0).tolist() == [[1, 2, 3]]


def test_settings_are_checked() -> None:
    with pytest.raises(AllmlpError, match=r"a rate in \[0, 1\], got 2"):
        Erasing(rate=2.0)
    with pytest.raises(AllmlpError, match="random erasing needs shares"):
        Erasing(area=(0.5, 0.1))


@pytest.mark.unhooked
def test_an_unknown_fill_is_answered() -> None:
    with pytest.raises(
        AllmlpError, match="unknown fill of erased boxes 'nois'; did you mean noise"
    ):
        Erasing(fill="nois")
