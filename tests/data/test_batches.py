from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allmlp.data import (
    Augment,
    ImageSet,
    Padding,
    Preprocess,
    Warp,
    iterate_batches,
    iterate_shares,
)

PLAIN = Preprocess(img_size=(2, 2), in_chans=1, mean=(0.0,), std=(1 / 255,))


WARP = Warp(shift=2.0, rotate=20.0, scale=0.2)


def numbered(count: int) -> ImageSet:
    """Images whose pixels are their number, and labels that repeat it."""
    number = torch.arange(count)
    images = number.to(torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    return ImageSet(images, number, tuple(map(str, range(count))))


def labels(**options: object) -> list[int]:
    return [int(y) for _, ys in iterate_batches(numbered(10), PLAIN, 3, **options) for y in ys]


def test_every_example_once_in_order() -> None:
    assert labels() == list(range(10))
    sizes = [len(y) for _, y in iterate_batches(numbered(10), PLAIN, 3)]
    assert sizes == [3, 3, 3, 1]


def test_order_is_a_function_of_seed_and_epoch() -> None:
    torch.manual_seed(1)
    first = labels(shuffle=(0, 0))
    torch.manual_seed(2)
    assert labels(shuffle=(0, 0)) == first
    assert sorted(first) == list(range(10))
    assert labels(shuffle=(0, 1)) != first
    assert labels(shuffle=(1, 0)) != first


def test_images_stay_with_their_labels() -> None:
    for images, ys in iterate_batches(numbered(10), PLAIN, 4, shuffle=(3, 0)):
        torch.testing.assert_close(images[:, 0, 0, 0], ys.float())


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_a_warp_does_not_depend_on_the_batch(batch_size: int) -> None:
    data = ImageSet(
        torch.randint(0, 256, (10, 1, 5, 5), dtype=torch.uint8), torch.arange(10), ("a",) * 10
    )

    def warped(size: int) -> torch.Tensor:
        batches = list(
            iterate_batches(data, PLAIN, size, shuffle=(0, 0), augment=Augment(warp=WARP))
        )
        images, ys = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
        return images[ys.argsort()]

    torch.testing.assert_close(warped(batch_size), warped(4))
    assert not torch.equal(warped(4), PLAIN.normalize(data.images))


def shares(count: int, batch_size: int, **options: Any) -> list[list[int] | None]:
    """Labels of each batch, None for padding."""
    items = iterate_shares(numbered(count), PLAIN, batch_size, **options)
    return [None if isinstance(item, Padding) else item[1].tolist() for item in items]


@given(
    count=st.integers(1, 20),
    batch_size=st.integers(1, 8),
    size=st.integers(1, 4),
    start=st.integers(0, 5),
)
def test_shares_together_are_the_batches_of_one(
    count: int, batch_size: int, size: int, start: int
) -> None:
    whole = shares(count, batch_size, shuffle=(0, 0))[start:]
    each = [
        shares(count, batch_size, shuffle=(0, 0), start=start, rank=rank, size=size)
        for rank in range(size)
    ]
    # each process takes as many steps as one alone would
    assert all(len(share) == len(whole) for share in each)
    for batch, parts in zip(whole, zip(*each, strict=True), strict=True):
        assert [label for part in parts for label in part or []] == batch
        sizes = [len(part or []) for part in parts]
        assert max(sizes) - min(sizes) <= 1


def test_padding_has_the_form_of_a_batch() -> None:
    (item,) = iterate_shares(numbered(1), PLAIN, 3, rank=1, size=2)
    assert isinstance(item, Padding)
    images, ys = item.batch
    assert images.shape == (1, 1, 2, 2)
    assert images.dtype == torch.float32
    assert (ys.shape, ys.dtype) == ((1,), torch.int64)


def test_an_image_is_warped_alike_in_whatever_share_it_is() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (10, 1, 5, 5), dtype=torch.uint8, generator=generator)
    data = ImageSet(images, torch.arange(10), ("a",) * 10)

    def warped(**options: Any) -> dict[int, torch.Tensor]:
        batches = iterate_shares(
            data, PLAIN, 4, shuffle=(0, 0), augment=Augment(warp=WARP), **options
        )
        return {
            int(y): x
            for b in batches
            if not isinstance(b, Padding)
            for x, y in zip(*b, strict=True)
        }

    whole, part = warped(), warped(start=1, rank=1, size=2)
    assert len(part) == 3
    for number, image in part.items():
        torch.testing.assert_close(image, whole[number])


def test_reading_begins_at_once() -> None:
    class Asked(ImageSet):
        def read(self, batches: Any) -> Any:
            asked.append(len(batches))
            return super().read(batches)

    asked: list[int] = []
    data = numbered(10)
    # before the first batch is wanted, so that random states can be restored after it
    iterate_shares(Asked(data.images, data.labels, data.classes), PLAIN, 3, start=2)
    assert asked == [2]
