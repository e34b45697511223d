import torch
from hypothesis import given
from hypothesis import strategies as st

from allmlp.data.augment import draw_shifts, shift_images

offset = st.integers(-4, 4)


@given(down=offset, right=offset, h=st.integers(1, 5), w=st.integers(1, 5))
def test_equals_moving_pixel_by_pixel(down: int, right: int, h: int, w: int) -> None:
    image = torch.randint(1, 256, (1, 2, h, w), dtype=torch.uint8)
    expected = torch.zeros_like(image)
    for row in range(h):
        for column in range(w):
            if 0 <= row + down < h and 0 <= column + right < w:
                expected[..., row + down, column + right] = image[..., row, column]
    assert torch.equal(shift_images(image, torch.tensor([[down, right]])), expected)


def test_every_image_moves_by_its_own_offset(generator: torch.Generator) -> None:
    images = torch.randint(0, 256, (20, 3, 6, 4), generator=generator).to(torch.uint8)
    shifts = draw_shifts(20, 2, generator)
    together = shift_images(images, shifts)
    alone = torch.cat([shift_images(images[i : i + 1], shifts[i : i + 1]) for i in range(20)])
    assert torch.equal(together, alone)


def test_offsets_are_uniform(generator: torch.Generator) -> None:
    shifts = draw_shifts(10_000, 1, generator)
    counts = (shifts + 1).flatten().bincount()
    # 20,000 draws over 3 values: standard deviation 67
    assert (counts - 20_000 / 3).abs().max() < 4 * 67
