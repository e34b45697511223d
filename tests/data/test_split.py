import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allmlp.data import ImageSet
from allmlp.data.split import Splits, complete_splits, stratified_cut, take_samples
from allmlp.errors import AllmlpError


@given(st.lists(st.integers(0, 6), min_size=8, max_size=200))
def test_a_cut_is_a_partition_with_the_right_shares(labels: list[int]) -> None:
    given_labels = torch.tensor(labels)
    count = len(labels)
    test, val, train = stratified_cut(given_labels, (0.2, 0.1))
    assert sorted(torch.cat([test, val, train]).tolist()) == list(range(count))
    assert len(test) == max(1, round(0.2 * count))
    assert len(val) == max(1, round(0.1 * count))
    for label in given_labels.unique():
        size = (given_labels == label).sum()
        if size >= 2:
            assert (given_labels[train] == label).any()
        # one image for rounding the class, one for rounding the whole
        assert abs((given_labels[test] == label).sum() - 0.2 * size) <= 2


def test_large_classes_are_cut_to_the_image() -> None:
    labels = torch.arange(1000) % 10
    for part, share in zip(stratified_cut(labels, (0.2, 0.1)), (20, 10, 70), strict=True):
        assert (torch.bincount(labels[part]) - share).abs().max() <= 1


def test_a_cut_depends_on_nothing_that_ran_before() -> None:
    labels = torch.arange(50) % 3
    torch.manual_seed(1)
    first = stratified_cut(labels, (0.3,))
    torch.manual_seed(2)
    for part, again in zip(first, stratified_cut(labels, (0.3,)), strict=True):
        assert torch.equal(part, again)


def images(count: int) -> ImageSet:
    pixels = torch.arange(count, dtype=torch.uint8)[:, None, None, None]
    return ImageSet(pixels, torch.arange(count) % 2, ("a", "b"))


def test_three_parts_stay_and_all_joins_them() -> None:
    splits = complete_splits({"train": images(4), "val": images(5), "test": images(6)}, "data")
    assert [len(splits.part(p)) for p in ("train", "val", "test", "all")] == [4, 5, 6, 15]
    assert splits.notes == ()


def test_a_lonely_part_of_any_name_is_split() -> None:
    splits = complete_splits({"test": images(10)}, "data")
    assert [len(splits.part(p)) for p in ("train", "val", "test")] == [7, 1, 2]


def test_parts_without_train() -> None:
    with pytest.raises(AllmlpError, match="data has val and test but no train part"):
        complete_splits({"val": images(4), "test": images(4)}, "data")


def test_fewer_samples_are_among_more_and_other_parts_stay() -> None:
    labels = torch.arange(100) % 10
    # each image shows its own number
    images = ImageSet(
        torch.arange(100, dtype=torch.uint8)[:, None, None, None], labels, tuple("abcdefghij")
    )
    splits = Splits(images, images.take(torch.arange(10)), images.take(torch.arange(20)), ("cut",))
    kept = {}
    for count in (10, 25, 60):
        fewer = take_samples(splits, count)
        assert len(fewer.train) == count
        assert torch.bincount(fewer.train.labels).tolist() == pytest.approx(
            [count / 10] * 10, abs=1
        )
        assert (len(fewer.val), len(fewer.test)) == (10, 20)
        assert fewer.notes == ("cut", f"{count} of 100 training images, stratified, seed 0")
        assert isinstance(fewer.train, ImageSet)
        kept[count] = set(fewer.train.images.flatten().tolist())
    assert kept[10] < kept[25] < kept[60]
    assert take_samples(splits, 100) is splits
    with pytest.raises(AllmlpError, match="from the 100 images of the training part, got 101"):
        take_samples(splits, 101)
