import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from allmlp.data.flip import flip_images, pad_crop_images

side = st.integers(1, 7)
dtypes = st.sampled_from([torch.uint8, torch.float32, torch.int64])


@given(b=st.integers(0, 5), h=side, w=side, dtype=dtypes, seed=st.integers(0, 99))
def test_the_chosen_are_mirrored_the_others_are_not(
    b: int, h: int, w: int, dtype: torch.dtype, seed: int
) -> None:
    g = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (b, 2, h, w), generator=g).to(dtype)
    chosen = torch.rand(b, generator=g) < 0.5
    before = images.clone()
    flipped = flip_images(images, chosen)
    assert torch.equal(images, before)
    assert torch.equal(flipped[chosen], images[chosen].flip(3))
    assert torch.equal(flipped[~chosen], images[~chosen])


@given(
    b=st.integers(1, 4),
    h=side,
    w=side,
    pad=st.integers(1, 5),
    dtype=dtypes,
    seed=st.integers(0, 99),
)
def test_pad_crop_equals_cutting_image_by_image(
    b: int, h: int, w: int, pad: int, dtype: torch.dtype, seed: int
) -> None:
    g = torch.Generator().manual_seed(seed)
    images = torch.randint(1, 256, (b, 3, h, w), generator=g).to(dtype)
    corners = torch.randint(0, 2 * pad + 1, (b, 2), generator=g)
    cropped = pad_crop_images(images, pad, corners)
    assert cropped.dtype == dtype
    for image, crop, (top, left) in zip(images, cropped, corners.tolist(), strict=True):
        padded = F.pad(image, (pad, pad, pad, pad))
        assert torch.equal(crop, padded[:, top : top + h, left : left + w])


def test_the_middle_corner_changes_nothing() -> None:
    images = torch.randint(0, 256, (4, 1, 5, 3), dtype=torch.uint8)
    assert torch.equal(pad_crop_images(images, 2, torch.full((4, 2), 2)), images)
    # a view that is not contiguous, as `permute` and slices give
    turned = images.transpose(2, 3)
    assert torch.equal(pad_crop_images(turned, 1, torch.full((4, 2), 1)), turned)


@pytest.mark.gpu
def test_on_the_card_it_is_the_same(generator: torch.Generator) -> None:
    images = torch.randint(0, 256, (9, 3, 16, 15), generator=generator).to(torch.uint8)
    corners = torch.randint(0, 9, (9, 2), generator=generator)
    assert torch.equal(
        pad_crop_images(images.cuda(), 4, corners).cpu(), pad_crop_images(images, 4, corners)
    )
    chosen = torch.rand(9, generator=generator) < 0.5
    assert torch.equal(flip_images(images.cuda(), chosen).cpu(), flip_images(images, chosen))
