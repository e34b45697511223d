import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from allmlp.data import ResizedCrop
from allmlp.data.boxes import BOX_DRAWS
from allmlp.data.crop import crop_and_resize
from allmlp.errors import AllmlpError

side = st.integers(1, 9)


@given(h=side, w=side, c=st.integers(1, 4), b=st.integers(0, 3))
def test_the_whole_box_changes_nothing(h: int, w: int, c: int, b: int) -> None:
    images = torch.randint(0, 256, (b, c, h, w), dtype=torch.uint8)
    boxes = torch.tensor([[0, 0, h, w]] * b, dtype=torch.int64).reshape(b, 4)
    assert torch.equal(crop_and_resize(images, boxes), images)


def test_bytes_are_scaled_as_pillow_does(generator: torch.Generator) -> None:
    images = torch.randint(0, 256, (20, 3, 24, 17), generator=generator).to(torch.uint8)
    boxes = ResizedCrop(scale=(0.1, 1.0)).boxes(
        torch.rand(20, BOX_DRAWS, generator=generator), (24, 17)
    )
    ours = crop_and_resize(images, boxes)
    for image, crop, (top, left, height, width) in zip(images, ours, boxes.tolist(), strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        box = (left, top, left + width, top + height)
        # cut first: with `box=` Pillow would look beyond the box where it enlarges
        theirs = picture.crop(box).resize((17, 24), Image.Resampling.BILINEAR)
        difference = crop.permute(1, 2, 0).int() - torch.from_numpy(np.array(theirs)).int()
        assert difference.abs().max() <= 1  # two fixed-point roundings of the same sum


def test_bytes_and_floats_agree(generator: torch.Generator) -> None:
    images = torch.randint(0, 256, (8, 1, 10, 12), generator=generator).to(torch.uint8)
    boxes = ResizedCrop().boxes(torch.rand(8, BOX_DRAWS, generator=generator), (10, 12))
    exact = crop_and_resize(images.double(), boxes)
    assert exact.dtype == torch.float64
    # bytes are scaled in fixed point, along one axis and rounded, then along the other
    assert (crop_and_resize(images, boxes) - exact).abs().max() < 1.1


@pytest.mark.gpu
def test_on_the_card_it_is_the_same_up_to_one_level(generator: torch.Generator) -> None:
    images = torch.randint(0, 256, (8, 3, 32, 32), generator=generator).to(torch.uint8)
    boxes = ResizedCrop().boxes(torch.rand(8, BOX_DRAWS, generator=generator), (32, 32))
    there = crop_and_resize(images.cuda(), boxes)
    assert there.dtype == torch.uint8
    assert (there.cpu().int() - crop_and_resize(images, boxes).int()).abs().max() <= 1


def test_an_image_of_extreme_proportions_shows_its_middle(generator: torch.Generator) -> None:
    # no attempt fits: as large as the proportions allow, in the middle
    draws = torch.rand(5, BOX_DRAWS, generator=generator)
    wide = ResizedCrop(scale=(0.5, 1.0)).boxes(draws, (10, 1000))
    assert wide.tolist() == [[0, 493, 10, 13]] * 5
    tall = ResizedCrop(scale=(0.5, 1.0)).boxes(draws, (1000, 10))
    assert tall.tolist() == [[493, 0, 13, 10]] * 5


def test_full_scale_and_square_is_the_whole_square(generator: torch.Generator) -> None:
    crop = ResizedCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0))
    assert (
        crop.boxes(torch.rand(3, BOX_DRAWS, generator=generator), (7, 7)).tolist()
        == [[0, 0, 7, 7]] * 3
    )


def test_ranges_are_checked() -> None:
    with pytest.raises(AllmlpError, match="a random-resized-crop needs shares"):
        ResizedCrop(scale=(0.0, 1.0))
