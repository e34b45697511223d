import pytest
import torch

from allmlp.data import Augment, ImageSet, Preprocess, Warp, iterate_batches

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
