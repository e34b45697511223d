"""The pipeline: what happens to an image depends on seed, epoch and visit, and on nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch

from allmlp.data import (
    Augment,
    AutoAugment,
    BrokenImages,
    Erasing,
    ImageFiles,
    ImageSet,
    ImageStream,
    Mix,
    Padding,
    Preprocess,
    RandAugment,
    ResizedCrop,
    TrivialAugment,
    Warp,
    iterate_batches,
    iterate_shares,
    load_source,
    prepare,
    repeated_order,
    shuffled_order,
)
from allmlp.data.augment import EpochAugment
from allmlp.errors import AllmlpError

COUNT = 23
COLOUR = Preprocess(img_size=(9, 7), in_chans=3, mean=(0.4, 0.5, 0.6), std=(0.2,) * 3)
BATCHED = Augment(
    crop=ResizedCrop(scale=(0.3, 1.0)),
    pad=2,
    flip=0.5,
    warp=Warp(shift=1.0, rotate=15.0, scale=0.1),
    erase=Erasing(rate=0.5),
)
EVERYTHING = replace(BATCHED, policy=RandAugment(space="timm", deviation=0.5))
MIXED = replace(EVERYTHING, mix=Mix(mixup=0.8, cutmix=1.0, rate=0.9))
ONE_BY_ONE = {
    "crop": Augment(crop=ResizedCrop(scale=(0.2, 0.5))),
    "pad": Augment(pad=2),
    "flip": Augment(flip=0.5),
    "erase": Augment(erase=Erasing(rate=0.9)),
    "erase mean": Augment(erase=Erasing(rate=0.9, fill="mean")),
    "randaugment": Augment(policy=RandAugment()),
    "trivialaugment": Augment(policy=TrivialAugment()),
    "autoaugment": Augment(policy=AutoAugment()),
    "everything": EVERYTHING,
}

Batches = list[tuple[torch.Tensor, torch.Tensor]]


def pixels(channels: int = 3, size: tuple[int, int] = (9, 7)) -> ImageSet:
    """Noise; the label of an image is its number."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (COUNT, channels, *size), generator=generator)
    names = tuple(map(str, range(COUNT)))
    return ImageSet(images.to(torch.uint8), torch.arange(COUNT), names)


def by_image(batches: Batches) -> torch.Tensor:
    """The images in the order of their numbers."""
    images, labels = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
    return images[labels.argsort()]


def epoch(
    augment: Augment, size: int = 5, seed: int = 1, number: int = 2, **more: object
) -> Batches:
    return list(
        iterate_batches(pixels(), COLOUR, size, shuffle=(seed, number), augment=augment, **more)
    )


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_images_do_not_depend_on_their_batch_or_on_workers(name: str) -> None:
    augment = ONE_BY_ONE[name]
    expected = by_image(epoch(augment, 5))
    assert not torch.equal(expected, COLOUR.normalize(pixels().images))
    for size in (1, 4, COUNT):
        assert torch.equal(by_image(epoch(augment, size)), expected)
    if augment.policy is not None:
        assert torch.equal(by_image(epoch(augment, 6, workers=2)), expected)
    # another epoch, another seed
    assert not torch.equal(by_image(epoch(augment, number=3)), expected)
    assert not torch.equal(by_image(epoch(augment, seed=2)), expected)
    torch.manual_seed(9)
    before = torch.get_rng_state()
    assert torch.equal(by_image(epoch(augment)), expected)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_goes_on_where_it_stopped(workers: int) -> None:
    whole = epoch(MIXED)
    for start in (0, 1, 4, 5):
        rest = list(
            iterate_shares(
                pixels(), COLOUR, 5, shuffle=(1, 2), augment=MIXED, start=start, workers=workers
            )
        )
        assert len(rest) == 5 - start
        for one, other in zip(whole[start:], rest, strict=True):
            assert not isinstance(other, Padding)
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])


@pytest.mark.parametrize("size", [2, 3])
def test_processes_together_see_what_one_alone_sees(size: int) -> None:
    shares = [
        list(
            iterate_shares(
                pixels(), COLOUR, 7, shuffle=(1, 2), augment=EVERYTHING, rank=rank, size=size
            )
        )
        for rank in range(size)
    ]
    for alone, *parts in zip(epoch(EVERYTHING, 7), *shares, strict=True):
        own = [part for part in parts if not isinstance(part, Padding)]
        assert torch.equal(torch.cat([x for x, _ in own]), alone[0])
        assert torch.equal(torch.cat([y for _, y in own]), alone[1])


def test_processes_without_an_image_get_a_padding_of_the_right_form() -> None:
    (batch,) = iterate_shares(
        pixels(), COLOUR, COUNT, shuffle=(0, 0), augment=MIXED, rank=24, size=25
    )
    assert isinstance(batch, Padding)
    images, labels = batch.batch
    assert images.shape == (1, 3, 9, 7)
    assert labels.shape == (1, COUNT)


def test_every_visit_of_an_image_is_varied_anew() -> None:
    order = repeated_order(shuffled_order(COUNT, 1, 2), COUNT, 3)
    batches = epoch(EVERYTHING, 3, order=order)
    images, labels = batches[0]
    assert len(labels.unique()) == 1
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(images[1], images[2])
    # the first visit is the one that an epoch without repeats makes
    assert torch.equal(images[0], by_image(epoch(EVERYTHING))[labels[0]])
    torch.testing.assert_close(by_image(epoch(EVERYTHING, 2, order=order)), by_image(batches))


def test_a_warp_of_fewer_visits_is_the_beginning_of_one_of_more() -> None:
    warp = Warp(shift=1.0, rotate=15.0, scale=0.1)
    few, many = (warp.draw(n, torch.Generator().manual_seed(3)) for n in (7, 1000))
    assert torch.equal(few, many[:7])


def test_without_augmentation_nothing_changes() -> None:
    plain = by_image(epoch(Augment()))
    assert torch.equal(plain, COLOUR.normalize(pixels().images))
    held = list(iterate_batches(pixels(), COLOUR, 5, augment=EVERYTHING))  # no shuffle, no chance
    assert torch.equal(by_image(held), plain)


# --- the order of the operations, and their parts


def changed(augment: Augment, images: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return EpochAugment(augment, seed, 0, len(images), (0.5,) * images.shape[1]).change(
        images, torch.arange(len(images)), cropped=False
    )


def test_the_millionth_visit_costs_what_the_first_does() -> None:
    """A rare image that is balanced has numbers of visits as large as rare times many."""
    images = pixels().images[:2]
    late = EpochAugment(
        Augment(warp=Warp(shift=2.0, rotate=20.0)), 0, 0, 2, (0.5,) * images.shape[1]
    )
    seen = [
        late.change(images, torch.tensor([0, visit]), cropped=False)
        for visit in (1, 2 * 10**12 + 1, 2 * 10**12 + 1, 4 * 10**12 + 1)
    ]
    assert torch.equal(seen[1], seen[2])
    assert not torch.equal(seen[0][1], seen[1][1])
    assert not torch.equal(seen[1][1], seen[3][1])
    assert torch.equal(seen[0][0], seen[1][0])  # the first visit is that of the table


def test_operations_follow_each_other_as_the_fields_do() -> None:
    images = pixels().images
    steps = [
        Augment(crop=BATCHED.crop),
        Augment(pad=2),
        Augment(flip=0.5),
        Augment(warp=BATCHED.warp),
        Augment(erase=BATCHED.erase),
    ]
    one_by_one = images
    for step in steps:
        one_by_one = changed(step, one_by_one)
    assert torch.equal(changed(BATCHED, images), one_by_one)
    assert not torch.equal(changed(BATCHED, images[:, :, :, :]), images)


def test_flips_and_corners_are_uniform() -> None:
    count = 20_000
    spot = torch.zeros(count, 1, 3, 4, dtype=torch.uint8)
    spot[..., 1, 0] = 255
    flipped = changed(Augment(flip=0.3), spot)[:, 0, 1, 3] == 255
    # deviation of a share of 0.3 of 20,000: 0.0032
    assert abs(flipped.float().mean() - 0.3) < 4 * 0.0032
    spot = torch.zeros(count, 1, 5, 5, dtype=torch.uint8)
    spot[..., 2, 2] = 255
    moved = changed(Augment(pad=2), spot)[:, 0].flatten(1)
    assert (moved.sum(1, dtype=torch.int64) == 255).all()
    counts = (moved == 255).sum(0)
    # Pearson's statistic of 25 places has mean 24 and deviation sqrt(48)
    assert ((counts - count / 25) ** 2 / (count / 25)).sum() < 24 + 4 * 48**0.5


def test_operations_draw_independently() -> None:
    spot = torch.zeros(8000, 1, 3, 4, dtype=torch.uint8)
    spot[..., 1, 1] = 255
    flipped = changed(Augment(flip=0.5), spot)[:, 0, 1, 2] == 255
    erased = changed(Augment(erase=Erasing(rate=0.5, fill="mean")), spot).flatten(1).sum(1) != 255
    both = torch.corrcoef(torch.stack([flipped.float(), erased.float()]))[0, 1]
    assert both.abs() < 4 / 8000**0.5


def test_noise_and_means_fill_erased_boxes() -> None:
    black = torch.zeros(400, 3, 16, 16, dtype=torch.uint8)
    noisy = changed(Augment(erase=Erasing(rate=1.0)), black)
    inside = noisy[noisy > 0].long()
    assert abs(inside.float().mean() - 128) < 1  # of 1 to 255
    assert torch.bincount(inside, minlength=256)[1:].min() > 0
    mean = changed(Augment(erase=Erasing(rate=1.0, fill="mean")), black)
    assert mean.unique().tolist() == [0, 128]
    assert (mean.amax((1, 2, 3)) == 128).all()
    # the same boxes, whatever fills them
    assert torch.equal((noisy > 0).any(1) & (mean[:, 0] == 0), torch.zeros(400, 16, 16).bool())


def test_batches_are_mixed_by_their_number() -> None:
    mix = Augment(mix=Mix(mixup=1.0))
    weights = [labels.amax(1) for _, labels in epoch(mix, 4)]
    for _, labels in epoch(MIXED, 4):
        assert labels.shape[1] == COUNT
        torch.testing.assert_close(labels.sum(1), torch.ones(len(labels)))
    # one weight within a batch, another in the next
    mixed = [w[w < 1] for w in weights]
    assert all(len(w.unique()) <= 1 for w in mixed)
    assert len({float(w[0]) for w in mixed if len(w)}) >= 4


# --- files


Place = Callable[[Mapping[str, bytes]], str]
Pictures = Callable[..., dict[str, bytes]]


@pytest.fixture
def files(place: Place, pictures: Pictures) -> ImageFiles:
    part = load_source(place(pictures("cat", "dog", count=10))).part("all")
    assert isinstance(part, ImageFiles)
    return part


def read(files: ImageFiles, *, workers: int = 0, cache_gib: float = 0.0) -> ImageSet | ImageStream:
    return prepare(
        files, COLOUR, broken=BrokenImages(20, 0.5), cache_gib=cache_gib, workers=workers
    )


@pytest.mark.parametrize("name", ["crop", "randaugment", "everything"])
def test_streams_do_not_depend_on_workers_or_batches(files: ImageFiles, name: str) -> None:
    def images(size: int, workers: int) -> torch.Tensor:
        augment = ONE_BY_ONE[name]
        numbered = replace(files, labels=torch.arange(20))
        batches = iterate_batches(
            read(numbered, workers=workers), COLOUR, size, shuffle=(0, 0), augment=augment
        )
        return by_image(list(batches))

    expected = images(7, 0)
    assert torch.equal(images(7, 2), expected)
    assert torch.equal(images(1, 0), expected)


def test_policies_are_the_same_in_memory_and_streamed(files: ImageFiles) -> None:
    augment = replace(EVERYTHING, crop=None)
    memory, stream = (
        list(iterate_batches(read(files, cache_gib=g), COLOUR, 6, shuffle=(0, 1), augment=augment))
        for g in (1.0, 0.0)
    )
    for one, other in zip(memory, stream, strict=True):
        assert torch.equal(one[0], other[0])


def test_files_are_cropped_at_their_full_size(place: Place, encode: Callable[..., bytes]) -> None:
    # a fine chequerboard: scaled to the model's size it is grey, a small box of it is not
    board = torch.arange(144).view(-1, 1) + torch.arange(112)
    content = encode(((board % 2) * 255).to(torch.uint8).numpy())
    source = load_source(place({f"{c}/{i}.png": content for c in "ab" for i in range(5)}))
    crop = Augment(crop=ResizedCrop(scale=(0.004, 0.004), ratio=(1.0, 1.0)))  # 8 x 8 pixels
    stream = read(source.part("all"))
    (images, _), *_ = iterate_batches(stream, COLOUR, 4, shuffle=(0, 0), augment=crop)
    (grey, _), *_ = iterate_batches(stream, COLOUR, 4, shuffle=(0, 0))
    assert grey.std((2, 3)).mean() < 0.1 * images.std((2, 3)).mean()


def test_pixels_in_memory_are_cropped_alike_with_and_without_a_policy() -> None:
    crop = ResizedCrop(scale=(0.3, 1.0))
    inert = RandAugment(space="timm", magnitude=0.0, layers=1)
    batched = epoch(Augment(crop=crop))
    single = epoch(Augment(crop=crop, policy=inert))
    same = [
        bool((a - b).abs().max() < 1.5 / 255 / 0.2)  # one level of rounding
        for (x, _), (y, _) in zip(batched, single, strict=True)
        for a, b in zip(x, y, strict=True)
    ]
    # half are not touched by the policy; of the others most, at magnitude 0
    assert sum(same) >= COUNT // 2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (9, 2)])
def test_small_and_odd_sizes(channels: int, size: tuple[int, int]) -> None:
    data = pixels(channels, size)
    plain = Preprocess(
        img_size=size, in_chans=channels, mean=(0.5,) * channels, std=(1.0,) * channels
    )
    batches = list(iterate_batches(data, plain, 4, shuffle=(0, 0), augment=MIXED))
    assert sum(len(x) for x, _ in batches) == COUNT
    assert all(x.isfinite().all() and x.shape[1:] == (channels, *size) for x, _ in batches)


@pytest.mark.gpu
def test_on_the_card_it_is_the_same_up_to_rounding() -> None:
    here = epoch(replace(MIXED, warp=None))
    there = list(
        iterate_batches(
            pixels().to("cuda"),
            COLOUR,
            5,
            shuffle=(1, 2),
            augment=replace(MIXED, warp=None),
        )
    )
    for one, other in zip(here, there, strict=True):
        assert other[0].is_cuda
        torch.testing.assert_close(other[1].cpu(), one[1])
        # one level of 255 at a deviation of 0.2
        assert (other[0].cpu() - one[0]).abs().max() < 1.5 / 255 / 0.2


def test_settings_are_checked() -> None:
    with pytest.raises(AllmlpError, match="an integer pad of at least 0, got -1"):
        Augment(pad=-1)
    with pytest.raises(AllmlpError, match=r"flip in \[0, 1\], got 1.5"):
        Augment(flip=1.5)
