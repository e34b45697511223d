import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allmlp.errors import AllmlpError
from allmlp.ops.resize import (
    TokenMaps,
    interpolate_reading,
    interpolate_token_map,
    interpolate_token_maps,
    tile_counts,
    tile_order,
    tile_reading,
    tile_token_map,
    tile_token_maps,
)

side = st.integers(1, 4)


def maps(grid: tuple[int, int], hidden: int = 3) -> TokenMaps:
    n = grid[0] * grid[1]
    sizes = ((hidden, n), (hidden,), (n, hidden), (n,))
    return TokenMaps(*(torch.randn(*size, dtype=torch.float64) for size in sizes))


@given(h=side, w=side, kh=side, kw=side)
def test_tile_order_numbers_every_token_once_where_it_lies(
    h: int, w: int, kh: int, kw: int
) -> None:
    order = tile_order((h, w), (kh, kw))
    assert order.flatten().sort().values.tolist() == list(range(h * w * kh * kw))
    for a in range(kh):
        for b in range(kw):
            for i in range(h):
                for j in range(w):
                    expected = (a * h + i) * (kw * w) + (b * w + j)
                    assert order[a * kw + b, i * w + j] == expected


@given(h=side, w=side, kh=st.integers(1, 3), kw=st.integers(1, 3))
def test_every_tile_is_mixed_as_before_and_alone(h: int, w: int, kh: int, kw: int) -> None:
    old = maps((h, w))
    new = tile_token_maps(old, (h, w), (kh * h, kw * w))
    tokens = torch.randn(kh * h * kw * w, 5, dtype=torch.float64)
    mixed = new.w2 @ torch.tanh(new.w1 @ tokens + new.b1[:, None]) + new.b2[:, None]
    for index in tile_order((h, w), (kh, kw)):
        hidden = torch.tanh(old.w1 @ tokens[index] + old.b1[:, None])
        torch.testing.assert_close(mixed[index], old.w2 @ hidden + old.b2[:, None])


@given(h=side, w=side, new_h=st.integers(1, 6), new_w=st.integers(1, 6))
def test_interpolation_keeps_what_constant_tokens_give(
    h: int, w: int, new_h: int, new_w: int
) -> None:
    old = maps((h, w))
    new = interpolate_token_maps(old, (h, w), (new_h, new_w))
    assert new.w1.shape == (3, new_h * new_w)
    assert new.w2.shape == (new_h * new_w, 3)
    torch.testing.assert_close(new.w1.sum(1), old.w1.sum(1))
    torch.testing.assert_close(new.b1, old.b1)


def test_interpolation_to_the_same_grid_changes_nothing() -> None:
    old = maps((3, 4))
    new = interpolate_token_maps(old, (3, 4), (3, 4))
    for name in ("w1", "b1", "w2", "b2"):
        torch.testing.assert_close(getattr(new, name), getattr(old, name))


def test_interpolation_of_a_smooth_map_samples_it() -> None:
    def ramp(n: int) -> torch.Tensor:  # values at the centres of n cells of [0, 1]
        return (torch.arange(n, dtype=torch.float64) + 0.5) / n

    old = TokenMaps(torch.zeros(1, 8).double(), torch.zeros(1).double(), ramp(8)[:, None], ramp(8))
    new = interpolate_token_maps(old, (1, 8), (1, 16))
    # linear between the old centres; the outermost cells lie beyond them and are held
    torch.testing.assert_close(new.w2[1:-1, 0], ramp(16)[1:-1])
    torch.testing.assert_close(new.b2[1:-1], ramp(16)[1:-1])


def test_block_needs_whole_multiples() -> None:
    assert tile_counts((2, 3), (4, 9)) == (2, 3)
    with pytest.raises(AllmlpError, match="14x14 patches .* cannot fill 24x24; .*interpolate"):
        tile_counts((14, 14), (24, 24))


@given(h=side, w=side, kh=st.integers(1, 3), kw=st.integers(1, 3))
def test_a_single_map_acts_in_every_tile_alone(h: int, w: int, kh: int, kw: int) -> None:
    weight, bias = torch.randn(h * w, h * w).double(), torch.randn(h * w).double()
    large, large_bias = tile_token_map(weight, bias, (h, w), (kh * h, kw * w))
    tokens = torch.randn(kh * h * kw * w, 5, dtype=torch.float64)
    mixed = large @ tokens + large_bias[:, None]
    means = tile_reading(weight, (h, w), (kh * h, kw * w)) @ tokens
    order = tile_order((h, w), (kh, kw))
    for index in order:
        torch.testing.assert_close(mixed[index], weight @ tokens[index] + bias[:, None])
    torch.testing.assert_close(means, torch.stack([weight @ tokens[i] for i in order]).mean(0))


@given(h=side, w=side, new_h=st.integers(1, 6), new_w=st.integers(1, 6))
def test_interpolating_a_single_map_keeps_what_constant_tokens_give(
    h: int, w: int, new_h: int, new_w: int
) -> None:
    weight, bias = torch.randn(h * w, h * w).double(), torch.randn(h * w).double()
    new, new_bias = interpolate_token_map(weight, bias, (h, w), (new_h, new_w))
    assert new.shape == (new_h * new_w, new_h * new_w)
    # equal tokens give the row sums: a map of the grid, resampled as the bias is
    sums = weight.sum(1)
    _, expected = interpolate_token_map(weight, sums, (h, w), (new_h, new_w))
    torch.testing.assert_close(new.sum(1), expected)
    read = interpolate_reading(weight, (h, w), (new_h, new_w))
    torch.testing.assert_close(read.sum(1), sums)
    if (h, w) == (new_h, new_w):
        torch.testing.assert_close((new, new_bias), (weight, bias))
