import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allmlp.data import epoch_generator
from allmlp.data.draws import _stream, draw_bytes, draw_uniforms

whole = st.integers(0, 2**31)


def test_the_stream_is_splitmix64() -> None:
    # the published first words from state 1234567 (Rosetta Code, Pseudo-random numbers/Splitmix64)
    words = _stream(np.array([1234567], dtype=np.uint64), 3)[0].tolist()
    assert words == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@given(seed=st.integers(-(2**31), 2**31), epoch=whole, visit=st.integers(0, 2**62))
def test_draws_depend_on_nothing_else(seed: int, epoch: int, visit: int) -> None:
    alone = draw_uniforms(seed, epoch, "flip", torch.tensor([visit]), 3)
    among = draw_uniforms(seed, epoch, "flip", torch.tensor([5, visit, 6]), 8)
    assert torch.equal(alone[0], among[1, :3])
    assert 0 <= float(alone.min()) <= float(alone.max()) < 1


@pytest.mark.parametrize("other", [(1, 3, "flip"), (0, 4, "flip"), (0, 3, "pad")])
def test_draws_of_other_seeds_epochs_and_purposes_are_unrelated(
    other: tuple[int, int, str],
) -> None:
    visits = torch.arange(20_000)
    a, b = draw_uniforms(0, 3, "flip", visits, 1), draw_uniforms(*other, visits, 1)
    # the correlation of 20,000 independent pairs has deviation 1 / sqrt(20,000) = 0.007
    assert abs(np.corrcoef(a[:, 0], b[:, 0])[0, 1]) < 4 * 0.007


def test_draws_are_uniform_and_unrelated_among_each_other() -> None:
    drawn = draw_uniforms(0, 0, "crop", torch.arange(100_000), 4).double()
    counts = torch.stack([torch.histc(column, 50, 0, 1) for column in drawn.T])
    # Pearson's statistic of 50 cells has mean 49 and deviation sqrt(98)
    assert ((counts - 2000) ** 2 / 2000).sum(1).max() < 49 + 4 * 98**0.5
    corner = torch.corrcoef(drawn.T) - torch.eye(4)
    assert corner.abs().max() < 4 / 100_000**0.5
    neighbours = torch.corrcoef(torch.stack([drawn[:-1, 0], drawn[1:, 0]]))[0, 1]
    assert neighbours.abs() < 4 / 100_000**0.5


def test_bytes_are_uniform_and_do_not_depend_on_how_many_there_are() -> None:
    visits = torch.arange(2000)
    many = draw_bytes(0, 0, "noise", visits, 131)
    assert many.shape == (2000, 131)
    assert torch.equal(draw_bytes(0, 0, "noise", visits, 3), many[:, :3])
    counts = torch.bincount(many.flatten().long(), minlength=256)
    expected = many.numel() / 256
    assert ((counts - expected) ** 2 / expected).sum() < 255 + 4 * 510**0.5


def test_generators_of_different_purposes_differ() -> None:
    a, b = (torch.rand(3, generator=epoch_generator(0, 0, p)) for p in ("order", "warp"))
    assert not torch.equal(a, b)
