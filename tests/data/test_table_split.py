import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allmlp.data import group_parts, random_parts, time_parts
from allmlp.errors import AllmlpError


def partition(parts: dict[str, np.ndarray], count: int) -> None:
    assert sorted(np.concatenate([*parts.values()]).tolist()) == list(range(count))
    assert all(len(part) for part in parts.values())


@given(st.integers(10, 200))
def test_random_parts(count: int) -> None:
    parts = random_parts(count)
    partition(parts, count)
    assert len(parts["test"]) == round(0.2 * count)
    labels = np.where(np.arange(count) % 5 == 0, "rare", "often")
    parts = random_parts(count, labels)
    partition(parts, count)
    assert abs((labels[parts["test"]] == "rare").mean() - 0.2) < 2 / len(parts["test"])


@given(st.lists(st.integers(0, 30), min_size=10, max_size=80))
def test_time_goes_one_way(times: list[int]) -> None:
    values = np.array(times, dtype=float)
    if len({*times}) < 3:
        with pytest.raises(AllmlpError, match="more different times"):
            time_parts(values)
        return
    try:
        parts = time_parts(values)
    except AllmlpError:  # one time may fill more than its part
        return
    partition(parts, len(times))
    assert values[parts["train"]].max() < values[parts["val"]].min()
    assert values[parts["val"]].max() < values[parts["test"]].min()


def test_times_may_be_texts() -> None:
    texts = np.array([f"2024-05-{day:02}" for day in range(20, 0, -1)], dtype=object)
    assert time_parts(texts)["test"].tolist() == [3, 2, 1, 0]
    texts[3] = None
    with pytest.raises(AllmlpError, match="every row needs a time"):
        time_parts(texts)


@pytest.mark.parametrize(
    "moments",
    [
        [f"2023-{month:02}" for month in range(1, 13)],
        [f"2024-05-01 {hour:02}:30" for hour in range(9, 20)],
        # as texts the second would be the later one
        [f"2024-05-{day:02}T23:00:00{zone}" for day in range(10, 16) for zone in ("+05:00", "Z")],
    ],
)
def test_dates_are_put_in_their_order(moments: list[str]) -> None:
    texts = np.array(moments[::-1], dtype=object)
    assert time_parts(texts)["test"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("moments", "says"),
    [
        (
            [f"{day}.11.2023" for day in range(1, 13)],
            "by dates such as 2024-05-01, got '1.11.2023'",
        ),
        (["2024-05-01", "2024-05-02T00:00Z"] * 6, "offset from UTC or none of them"),
        (["summer", "winter"] * 6, "got 'summer'; write the column so"),
    ],
)
def test_times_that_do_not_sort_as_they_are_written(moments: list[str], says: str) -> None:
    with pytest.raises(AllmlpError, match=says):
        time_parts(np.array(moments, dtype=object))


@given(st.lists(st.integers(0, 12), min_size=10, max_size=80))
def test_groups_stay_together(groups: list[int]) -> None:
    names = np.array([f"g{g}" for g in groups], dtype=object)
    if len({*groups}) < 3:
        with pytest.raises(AllmlpError, match="at least 3 groups"):
            group_parts(names)
        return
    parts = group_parts(names)
    partition(parts, len(groups))
    seen = [set(names[part]) for part in parts.values()]
    assert sum(map(len, seen)) == len(set.union(*seen))


def test_many_groups_have_the_right_shares() -> None:
    parts = group_parts(np.arange(1000) // 2)
    assert [len(parts[name]) for name in ("train", "val", "test")] == [700, 100, 200]


def test_few_rows() -> None:
    with pytest.raises(AllmlpError, match="three parts need at least 10 rows, got 9"):
        random_parts(9)


@given(st.permutations(["a", "b", "c"]))
def test_a_group_too_large_for_a_test_is_trained_on(names: list[str]) -> None:
    groups = np.repeat(names, [90, 5, 5])
    parts = group_parts(groups)
    partition(parts, 100)
    assert {*groups[parts["train"]]} == {names[0]}


@given(st.lists(st.integers(1, 40), min_size=30, max_size=60))
def test_groups_fill_their_parts(sizes: list[int]) -> None:
    parts = group_parts(np.repeat(np.arange(len(sizes)), sizes))
    count = sum(sizes)
    partition(parts, count)
    assert 0.2 * count - 40 <= len(parts["test"]) <= 0.2 * count
    assert len(parts["val"]) <= max(0.1 * count, min(sizes))
