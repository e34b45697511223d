"""What the loop knows about a batch: tensors with a common first axis, in any nesting."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from allmlp.errors import AllmlpError

__all__ = ["count_examples", "split_batch"]


def count_examples(batch: Any) -> int:
    """Length of the first axis of the first tensor.

    Args:
        batch: a tensor, or a tuple, list or mapping of batches.

    Raises:
        AllmlpError: there is no tensor in it.

    Example:
        >>> import torch
        >>> count_examples((torch.zeros(3, 2), torch.zeros(3)))
        3
    """
    if isinstance(batch, Tensor):
        return len(batch)
    parts = batch.values() if isinstance(batch, Mapping) else batch
    if isinstance(parts, str) or not hasattr(parts, "__iter__"):
        raise AllmlpError(
            f"a batch is a tensor, or a tuple, list or dict of tensors, got {type(batch).__name__}"
        )
    for part in parts:
        return count_examples(part)
    raise AllmlpError("a batch needs at least one tensor, got an empty one")


def split_batch(batch: Any, parts: int) -> list[tuple[Any, int]]:
    """Consecutive slices of nearly equal size, and how many examples of each count.

    There are always as many slices as asked for, since processes that share a model must call it
    equally often: a batch that is too short ends in copies of its first example that count 0.

    Example:
        >>> import torch
        >>> [(s.tolist(), n) for s, n in split_batch(torch.arange(5), 3)]
        [([0, 1], 2), ([2, 3], 2), ([4], 1)]
        >>> [(s.tolist(), n) for s, n in split_batch(torch.arange(1), 2)]
        [([0], 1), ([0], 0)]
    """
    count = count_examples(batch)
    if parts == 1:
        return [(batch, count)]
    size, longer = divmod(count, parts)
    slices, start = [], 0
    for index in range(parts):
        stop = start + size + (index < longer)
        empty = start == stop
        slices.append((_cut(batch, slice(0, 1) if empty else slice(start, stop)), stop - start))
        start = stop
    return slices


def _cut(batch: Any, where: slice) -> Any:
    if isinstance(batch, Tensor):
        return batch[where]
    if isinstance(batch, Mapping):
        return {key: _cut(value, where) for key, value in batch.items()}
    parts = [_cut(part, where) for part in batch]
    return batch._make(parts) if hasattr(batch, "_make") else type(batch)(parts)
