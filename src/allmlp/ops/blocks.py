"""Which of a model's blocks somebody asks for, in timm's ways of saying it."""

from collections.abc import Sequence

from allmlp.errors import AllmlpError

__all__ = ["block_numbers"]


def block_numbers(indices: int | Sequence[int] | None, depth: int) -> list[int]:
    """Numbers from 0, in the order asked for.

    Args:
        indices: numbers (negative ones count from the end), the last n blocks for an integer n, or
            all for None.
        depth: how many blocks there are.

    Raises:
        AllmlpError: a block that does not exist, or none at all.

    Example:
        >>> block_numbers([-1, 0], 3), block_numbers(2, 3)
        ([2, 0], [1, 2])
    """
    if indices is None:
        return list(range(depth))
    if isinstance(indices, int):
        if not 0 < indices <= depth:
            raise AllmlpError(f"a model of depth {depth} has no last {indices} blocks")
        return list(range(depth - indices, depth))
    numbers = [i + depth if i < 0 else i for i in indices]
    if not numbers or not all(0 <= i < depth for i in numbers):
        raise AllmlpError(
            f"indices must name blocks of a model of depth {depth}, got {list(indices)}; "
            f"use numbers from {-depth} to {depth - 1}"
        )
    return numbers
