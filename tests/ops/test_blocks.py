import pytest

from allmlp.errors import AllmlpError
from allmlp.ops.blocks import block_numbers


def test_ways_of_asking() -> None:
    assert block_numbers(None, 3) == [0, 1, 2]
    assert block_numbers(1, 3) == [2]
    assert block_numbers([-3, 2, 0], 3) == [0, 2, 0]


@pytest.mark.parametrize("indices", [[3], [-4], []])
def test_blocks_that_do_not_exist(indices: list[int]) -> None:
    with pytest.raises(AllmlpError, match="depth 3, got .*; use numbers from -3 to 2"):
        block_numbers(indices, 3)


@pytest.mark.parametrize("count", [0, -1, 4])
def test_too_many_blocks(count: int) -> None:
    with pytest.raises(AllmlpError, match=f"depth 3 has no last {count} blocks"):
        block_numbers(count, 3)
