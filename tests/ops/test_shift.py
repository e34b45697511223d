import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.ops.shift import (
    ShiftPattern,
    cyclic_pattern,
    dilated_pattern,
    make_pattern,
    random_pattern,
    shift_channels,
)

side = st.integers(1, 6)
step = st.sampled_from([1, 3, 5, 7])
kind = st.sampled_from(["cyclic", "random", "dilated"])


def by_loops(x: Tensor, pattern: ShiftPattern) -> Tensor:
    batch, height, width, channels = x.shape
    y = torch.zeros_like(x)
    for b, i, j, c in itertools.product(*map(range, (batch, height, width, channels))):
        row, column = i + pattern.offsets[c][0], j + pattern.offsets[c][1]
        if 0 <= row < height and 0 <= column < width:
            y[b, i, j, c] = x[b, row, column, c]
    return y


def maps(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@given(height=side, width=side, channels=side, steps=st.tuples(step, step), name=kind)
def test_slices_against_loops(
    height: int, width: int, channels: int, steps: tuple[int, int], name: str
) -> None:
    # heights and widths of 1, and maps smaller than the displacement, are among them
    pattern = make_pattern(name, channels, steps, seed=channels)
    x = maps(2, height, width, channels)
    assert torch.equal(shift_channels(x, pattern), by_loops(x, pattern))


@given(height=side, width=side, offset=st.tuples(st.integers(-7, 7), st.integers(-7, 7)))
def test_any_displacement(height: int, width: int, offset: tuple[int, int]) -> None:
    x = maps(2, height, width, 2)
    pattern = ShiftPattern((offset, (0, 0)))
    assert torch.equal(shift_channels(x, pattern), by_loops(x, pattern))


def test_the_cycle_of_the_released_weights() -> None:
    # the released code: channel 0 stays, and positive means right or below
    columns = [column for _, column in cyclic_pattern(8, (1, 3)).offsets]
    assert columns == [0, 1, -1, 0, 1, -1, 0, 1]
    rows = [row for row, _ in cyclic_pattern(8, (7, 1)).offsets]
    assert rows == [0, 1, 2, 3, -3, -2, -1, 0]
    assert cyclic_pattern(5, (1, 1)).offsets == ((0, 0),) * 5


def test_a_cycle_along_both_axes_visits_the_whole_window() -> None:
    window = set(itertools.product((-1, 0, 1), (-2, -1, 0, 1, 2)))
    assert set(cyclic_pattern(15, (3, 5)).offsets) == window
    assert cyclic_pattern(30, (3, 5)).offsets[15:] == cyclic_pattern(15, (3, 5)).offsets


def test_random_is_the_same_deal_in_another_order() -> None:
    cyclic, dealt = cyclic_pattern(30, (1, 3)), random_pattern(30, (1, 3), seed=1)
    assert dealt != cyclic
    assert sorted(dealt.offsets) == sorted(cyclic.offsets)
    assert dealt == random_pattern(30, (1, 3), seed=1)
    assert dealt != random_pattern(30, (1, 3), seed=2)


def test_patterns_leave_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    random_pattern(30, (1, 3))
    assert torch.equal(before, torch.get_rng_state())


def test_dilated_reads_twice_as_far() -> None:
    near, far = cyclic_pattern(9, (3, 1)), dilated_pattern(9, (3, 1))
    assert far.offsets == tuple((2 * row, 2 * column) for row, column in near.offsets)


def test_nothing_is_multiplied() -> None:
    # a mask would make NaN of 0 · inf at every place that reads elsewhere
    x = torch.zeros(1, 3, 3, 3)
    x[0, 1, 1] = torch.inf
    y = shift_channels(x, cyclic_pattern(3, (1, 3)))
    assert not y.isnan().any()
    assert y.isinf().sum() == 3


def test_strided_input() -> None:
    x = maps(2, 4, 6, 5)
    pattern = cyclic_pattern(5, (3, 3))
    y = shift_channels(x.permute(0, 2, 1, 3), pattern)
    assert y.is_contiguous()
    assert torch.equal(y, by_loops(x.permute(0, 2, 1, 3), pattern))


@pytest.mark.parametrize("steps", [(1, 3), (3, 1), (3, 3)])
@pytest.mark.parametrize("name", ["cyclic", "random", "dilated"])
def test_gradients(name: str, steps: tuple[int, int]) -> None:
    pattern = make_pattern(name, 4, steps)
    x = maps(2, 3, 4, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: shift_channels(x, pattern), (x,))
    square = lambda x: shift_channels(shift_channels(x, pattern).square(), pattern)  # noqa: E731
    assert torch.autograd.gradgradcheck(square, (x,))


# torch.func.jvp compiles its decompositions with torch.jit
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_transforms_of_torch_func() -> None:
    pattern = cyclic_pattern(4, (3, 3))
    x, t = maps(2, 3, 4, 4), maps(2, 3, 4, 4)

    def f(x: Tensor) -> Tensor:
        return shift_channels(x, pattern).square().sum()

    gradient = torch.func.grad(f)(x)
    _, tangent = torch.func.jvp(f, (x,), (t,))
    torch.testing.assert_close(tangent, (gradient * t).sum())
    each = torch.func.vmap(torch.func.grad(lambda one: f(one[None])))(x)
    torch.testing.assert_close(each, gradient)


@pytest.mark.unhooked
def test_compiles_whole_with_its_gradient() -> None:
    pattern = cyclic_pattern(4, (1, 3))
    compiled = torch.compile(lambda x: shift_channels(x, pattern).square().sum(), fullgraph=True)
    x = maps(2, 3, 4, 4).requires_grad_()
    compiled(x).backward()
    expected = 2 * by_loops(by_loops(x.detach(), pattern), reverse(pattern))
    torch.testing.assert_close(x.grad, expected)


def reverse(pattern: ShiftPattern) -> ShiftPattern:
    return ShiftPattern(tuple((-row, -column) for row, column in pattern.offsets))


def test_bad_patterns() -> None:
    with pytest.raises(AllmlpError, match="odd steps, got 1 along height and 4 along width"):
        cyclic_pattern(4, (1, 4))
    with pytest.raises(AllmlpError, match="integer channels of at least 1, got 0"):
        cyclic_pattern(0, (1, 3))
    with pytest.raises(AllmlpError, match="for 3 channels, the map has 4"):
        shift_channels(maps(1, 2, 2, 4), cyclic_pattern(3, (1, 3)))
    with pytest.raises(AllmlpError, match="unknown shift pattern 'cyclick'; did you mean cyclic"):
        make_pattern("cyclick", 3, (1, 3))
