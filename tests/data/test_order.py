import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allmlp.data import balanced_order, epoch_generator, repeated_order, shuffled_order
from allmlp.errors import AllmlpError


@given(count=st.integers(0, 50), seed=st.integers(0, 99), epoch=st.integers(0, 99))
def test_shuffled_is_a_permutation_that_depends_on_seed_and_epoch(
    count: int, seed: int, epoch: int
) -> None:
    torch.manual_seed(seed + 1)
    order = shuffled_order(count, seed, epoch)
    assert sorted(order.tolist()) == list(range(count))
    assert torch.equal(order, shuffled_order(count, seed, epoch))
    # the order that runs have had since the first version
    first = torch.randperm(count, generator=epoch_generator(seed, epoch, "order"))
    assert torch.equal(order, first)


def test_epochs_differ() -> None:
    assert not torch.equal(shuffled_order(50, 0, 0), shuffled_order(50, 0, 1))
    assert not torch.equal(shuffled_order(50, 0, 0), shuffled_order(50, 1, 0))


@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(any),
    epoch=st.integers(0, 99),
)
def test_balanced_classes_are_visited_equally_often(sizes: list[int], epoch: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    count = len(labels)
    order = balanced_order(labels, 3, epoch)
    assert torch.equal(order, balanced_order(labels, 3, epoch))
    assert len(order) == count
    assert len(order.unique()) == count  # visits of one image are told apart
    visited = torch.bincount(labels[order % count], minlength=len(sizes))
    present = visited[torch.tensor(sizes) > 0]
    assert present.max() - present.min() <= 1
    assert visited.sum() == present.sum()
    # within a class no image is visited twice more than another
    times = torch.bincount(order % count, minlength=count)
    for label in range(len(sizes)):
        of_class = times[labels == label]
        assert not len(of_class) or of_class.max() - of_class.min() <= 1
    # and the visits of one image are numbered without gap
    for image in range(count):
        numbers = sorted((order[order % count == image] // count).tolist())
        assert numbers == list(range(len(numbers)))


def test_every_batch_is_balanced() -> None:
    labels = torch.tensor([0] * 50 + [1] * 5 + [2] * 20)
    order = balanced_order(labels, 0, 0)
    for batch in order.split(10):
        counts = torch.bincount(labels[batch % 75], minlength=3)
        assert counts.max() - counts.min() <= 2


def test_large_classes_are_seen_in_part_another_part_each_epoch() -> None:
    labels = torch.tensor([0] * 30 + [1] * 2)
    seen = [set((balanced_order(labels, 0, epoch) % 32).tolist()) for epoch in range(12)]
    assert all(len(part) == 16 + 2 for part in seen)
    assert set().union(*seen) == set(range(32))


@given(count=st.integers(1, 40), repeats=st.integers(1, 5), epoch=st.integers(0, 9))
def test_repeats_stand_in_a_row_and_keep_the_length(count: int, repeats: int, epoch: int) -> None:
    order = shuffled_order(count, 0, epoch)
    repeated = repeated_order(order, count, repeats)
    assert len(repeated) == count
    assert len(repeated.unique()) == count
    expected = order.repeat_interleave(repeats)[:count]
    assert torch.equal(repeated % count, expected)
    assert torch.equal(repeated // count, torch.arange(count) % repeats)
    if repeats == 1:
        assert torch.equal(repeated, order)


def test_all_images_are_seen_over_the_epochs() -> None:
    seen = {
        v % 30
        for epoch in range(20)
        for v in repeated_order(shuffled_order(30, 0, epoch), 30, 3).tolist()
    }
    assert seen == set(range(30))


def test_balanced_and_repeated_visits_are_told_apart() -> None:
    labels = torch.tensor([0] * 20 + [1])
    order = repeated_order(balanced_order(labels, 0, 0), 21, 3)
    assert len(order.unique()) == 21
    visited = labels[order % 21]
    assert int((visited == 1).sum()) in (9, 12)  # of seven drawn three or four, three times each


def test_repeats_are_checked() -> None:
    with pytest.raises(AllmlpError, match="an integer repeats of at least 1, got 0"):
        repeated_order(torch.arange(3), 3, 0)
