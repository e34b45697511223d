"""Rows of a table for three purposes: at random, in the order of time, or by groups.

Axes: n rows.
"""

from datetime import UTC, datetime

import numpy as np
import torch

from allmlp.data.split import SPLIT_SEED, stratified_cut
from allmlp.errors import AllmlpError

__all__ = ["group_parts", "random_parts", "time_parts"]

# of validation and test; training has the rest
_VAL, _TEST = 0.1, 0.2
_FEWEST = 10

Parts = dict[str, np.ndarray]


def random_parts(count: int, labels: np.ndarray | None = None) -> Parts:
    """70 % train, 10 % val, 20 % test, always the same (seed 0).

    Args:
        count: n.
        labels: (n,) of classes, which every part then holds its share of.

    Raises:
        AllmlpError: fewer than 10 rows.

    Example:
        >>> {name: len(rows) for name, rows in random_parts(50).items()}
        {'train': 35, 'val': 5, 'test': 10}
    """
    _check(count)
    codes = np.zeros(count, int) if labels is None else np.unique(labels, return_inverse=True)[1]
    test, val, train = stratified_cut(torch.from_numpy(codes.astype(np.int64)), (_TEST, _VAL))
    return {"train": train.numpy(), "val": val.numpy(), "test": test.numpy()}


def time_parts(times: np.ndarray) -> Parts:
    """The oldest 70 % train, the next 10 % validate, the newest 20 % test.

    Rows of one time stay together, in the earlier part: what is tested is always newer than what
    was learned. Each part is in the order of time.

    Args:
        times: (n,) numbers, or texts as ISO 8601 has them: 2024-05, 2024-05-01, 2024-05-01 13:45,
            all with or all without an offset from UTC.

    Raises:
        AllmlpError: fewer than 10 rows, a time is missing or written otherwise, or too few times
            for three parts.

    Example:
        >>> parts = time_parts(np.array([9, 0, 1, 2, 3, 4, 5, 6, 7, 8]))
        >>> parts["test"].tolist()  # the rows of 8 and 9
        [9, 0]
    """
    _check(len(times))
    if any(v is None or v != v for v in times):
        raise AllmlpError("every row needs a time, some have none; drop them or split otherwise")
    if times.dtype == object:
        times = _moments(times)
    order = np.argsort(times, kind="stable")
    sorted_times = times[order]
    cuts = []
    for share in (1 - _VAL - _TEST, 1 - _TEST):
        at = round(share * len(times))
        # to the end of the rows of this time
        cuts.append(int(np.searchsorted(sorted_times, sorted_times[at - 1], side="right")))
    parts = np.split(order, cuts)
    if not all(len(part) for part in parts):
        raise AllmlpError("three parts need more different times than there are; split otherwise")
    return dict(zip(("train", "val", "test"), parts, strict=True))


def group_parts(groups: np.ndarray) -> Parts:
    """Whole groups for each purpose, about 70, 10 and 20 % of the rows, always the same (seed 0).

    Args:
        groups: (n,) names or numbers; rows without one are a group together. A group too large for
            test and validation is trained on.

    Raises:
        AllmlpError: fewer than 10 rows, or fewer than three groups.
    """
    _check(len(groups))
    names, codes = np.unique([str(g) for g in groups], return_inverse=True)
    if len(names) < 3:
        raise AllmlpError(f"three parts need at least 3 groups, got {len(names)}")
    sizes = np.bincount(codes)
    part_of_group = np.full(len(names), "train", dtype="<U5")
    wanted = {"test": _TEST * len(groups), "val": _VAL * len(groups)}
    missing = dict(wanted)
    for group in np.random.default_rng(SPLIT_SEED).permutation(len(names)):
        # to the part that lacks most of what it should have, if the group is not too large for it
        part = max(missing, key=lambda p: missing[p] / wanted[p])
        if sizes[group] <= missing[part]:
            part_of_group[group] = part
            missing[part] -= sizes[group]
    for part in missing:
        if part not in part_of_group:  # each group is too large: the smallest one
            trained = np.flatnonzero(part_of_group == "train")
            part_of_group[trained[sizes[trained].argmin()]] = part
    of_row = part_of_group[codes]
    return {name: np.flatnonzero(of_row == name) for name in ("test", "val", "train")}


def _moments(texts: np.ndarray) -> np.ndarray:
    """Seconds since 1970 of ISO dates: as texts 2.1.2024 would come before 3.12.2023."""
    moments, aware = np.empty(len(texts)), set()
    for i, text in enumerate(texts):
        try:
            moment = datetime.fromisoformat(f"{text}-01" if len(text) == 7 else text)
        except ValueError:
            raise AllmlpError(
                f"rows are ordered by numbers or by dates such as 2024-05-01, got {text!r}; write "
                "the column so"
            ) from None
        aware.add(moment.tzinfo is not None)
        moments[i] = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if len(aware) > 1:
        raise AllmlpError(
            "times must all have an offset from UTC or none of them, got both; write them alike"
        )
    return moments


def _check(count: int) -> None:
    if count < _FEWEST:
        raise AllmlpError(f"three parts need at least {_FEWEST} rows, got {count}")
