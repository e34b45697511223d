import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allmlp.data import Warp
from allmlp.data.warp import warp_images
from allmlp.errors import AllmlpError

offset = st.integers(-4, 4)


def one(down: float = 0, right: float = 0, degrees: float = 0, factor: float = 1) -> torch.Tensor:
    return torch.tensor([[down, right, degrees, factor]], dtype=torch.float32)


@given(down=offset, right=offset, h=st.integers(1, 5), w=st.integers(1, 5))
def test_whole_shifts_equal_moving_pixel_by_pixel(down: int, right: int, h: int, w: int) -> None:
    image = torch.randint(1, 256, (1, 2, h, w), dtype=torch.uint8)
    expected = torch.zeros_like(image)
    for row in range(h):
        for column in range(w):
            if 0 <= row + down < h and 0 <= column + right < w:
                expected[..., row + down, column + right] = image[..., row, column]
    assert torch.equal(warp_images(image, one(down, right)), expected)


def test_half_a_pixel_is_the_mean_of_two() -> None:
    image = torch.tensor([[[[0, 100, 200, 40]]]], dtype=torch.uint8)
    assert warp_images(image, one(right=0.5)).flatten().tolist() == [0, 50, 150, 120]


@pytest.mark.parametrize("shape", [(5, 5), (4, 4), (7, 7)])
def test_a_quarter_turn_is_counter_clockwise(shape: tuple[int, int]) -> None:
    image = torch.randint(0, 256, (1, 3, *shape), dtype=torch.uint8)
    turned = warp_images(image, one(degrees=90))
    assert torch.equal(turned, image.rot90(1, (2, 3)))


@given(h=st.integers(1, 6), w=st.integers(1, 6))
def test_half_a_turn_of_a_rectangle(h: int, w: int) -> None:
    image = torch.randint(0, 256, (1, 1, h, w), dtype=torch.uint8)
    assert torch.equal(warp_images(image, one(degrees=180)), image.flip(2, 3))


def test_rectangles_are_turned_in_pixels_not_sheared() -> None:
    image = torch.zeros(1, 1, 5, 9, dtype=torch.uint8)
    image[..., 2, 4:7] = 255  # a bar from the centre to the right
    turned = warp_images(image, one(degrees=90))[0, 0]
    assert turned[0:3, 4].tolist() == [255, 255, 255]  # now it points up
    assert turned.sum() == 3 * 255


def test_a_factor_above_one_enlarges() -> None:
    image = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
    image[..., 3:6, 3:6] = 255
    assert warp_images(image, one(factor=2)).float().mean() > 2 * image.float().mean()
    assert torch.equal(warp_images(image, one()), image)


def test_every_image_is_warped_on_its_own(generator: torch.Generator) -> None:
    images = torch.randint(0, 256, (20, 3, 6, 4), generator=generator).to(torch.uint8)
    warps = Warp(shift=2.0, rotate=30.0, scale=0.2).draw(20, generator)
    together = warp_images(images, warps)
    alone = torch.cat([warp_images(images[i : i + 1], warps[i : i + 1]) for i in range(20)])
    assert torch.equal(together, alone)


def test_draws_are_uniform_within_the_limits(generator: torch.Generator) -> None:
    warps = Warp(shift=2.0, rotate=10.0, scale=0.1).draw(20_000, generator)
    low, high = warps.min(0).values, warps.max(0).values
    torch.testing.assert_close(low, torch.tensor([-2.0, -2.0, -10.0, 0.9]), rtol=0.01, atol=0)
    torch.testing.assert_close(high, torch.tensor([2.0, 2.0, 10.0, 1.1]), rtol=0.01, atol=0)
    # a uniform law on [-a, a] has deviation a / sqrt(3); the sample's is within 1 %
    expected = torch.tensor([2.0, 2.0, 10.0, 0.1]) / 3**0.5
    torch.testing.assert_close(warps.std(0), expected, rtol=0.02, atol=0)


def test_limits_are_checked() -> None:
    assert not Warp()
    assert Warp(scale=0.1)
    with pytest.raises(AllmlpError, match="a rotate of 0 or more, got -1"):
        Warp(rotate=-1.0)
    with pytest.raises(AllmlpError, match=r"scale in \[0, 1\), got 1.0"):
        Warp(scale=1.0)
