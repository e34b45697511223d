from collections import namedtuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allmlp.errors import AllmlpError
from allmlp.training.batch import count_examples, split_batch


@given(count=st.integers(1, 12), parts=st.integers(1, 8))
def test_slices_are_the_batch_in_order_and_nearly_equal(count: int, parts: int) -> None:
    batch = torch.arange(count), {"weight": torch.arange(count).float()}
    slices = split_batch(batch, parts)
    assert len(slices) == parts
    counts = [n for _, n in slices]
    assert sum(counts) == count
    assert max(counts) - min(counts) <= 1
    assert torch.cat([x[:n] for (x, _), n in slices]).tolist() == list(range(count))
    for (x, named), n in slices:
        assert len(x) == max(1, n)  # a slice that counts nothing still has something in it
        assert torch.equal(named["weight"], x.float())


def test_nesting_is_kept() -> None:
    batch = [torch.zeros(4, 2), (torch.zeros(4), {"a": torch.zeros(4, 1)})]
    (half, n), _ = split_batch(batch, 2)
    assert n == 2
    assert isinstance(half, list)
    assert isinstance(half[1], tuple)
    assert half[1][1]["a"].shape == (2, 1)
    assert count_examples(half) == 2
    pair = namedtuple("pair", "x y")
    assert split_batch(pair(torch.zeros(2), torch.ones(2)), 2)[1][0] == pair(*torch.eye(2)[1:].T)


@pytest.mark.parametrize("batch", [3, "abc", None, (1, torch.zeros(2))])
def test_what_is_no_batch_is_named(batch: object) -> None:
    with pytest.raises(
        AllmlpError, match=r"tuple, list or dict of tensors, got (int|str|NoneType)"
    ):
        count_examples(batch)


@pytest.mark.parametrize("batch", [(), [], {}, ((),)])
def test_an_empty_batch_is_refused(batch: object) -> None:
    with pytest.raises(AllmlpError, match="at least one tensor, got an empty one"):
        count_examples(batch)
