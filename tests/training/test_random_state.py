import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from allmlp.training import load_checkpoint, save_checkpoint
from allmlp.training.random_state import random_state, restore_random_state

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _others_state_comes_back() -> Iterator[None]:
    before = random_state(CPU)
    yield
    restore_random_state(before, CPU)


def draw() -> tuple[list[float], list[float], list[float]]:
    # an odd number of normal deviates: numpy and Python keep the second of each pair
    return (
        [random.gauss(0, 1) for _ in range(3)],
        np.random.randn(3).tolist(),  # noqa: NPY002
        torch.randn(3).tolist(),
    )


def test_every_sequence_goes_on_where_it_was(tmp_path: Path) -> None:
    draw()
    save_checkpoint(tmp_path / "state", {"random": random_state(CPU)})
    expected = draw()
    assert draw() != expected
    # as a checkpoint gives it back: plain values and tensors
    restore_random_state(load_checkpoint(tmp_path / "state")["random"], CPU)
    assert draw() == expected


def test_a_state_is_a_copy() -> None:
    state = random_state(CPU)
    expected = draw()
    restore_random_state(state, CPU)
    draw()
    restore_random_state(state, CPU)
    assert draw() == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_of_a_card_too_and_not_from_another_kind_of_device() -> None:
    cuda = torch.device("cuda", 0)
    state = random_state(cuda)
    expected = torch.rand(3, device=cuda)
    restore_random_state(state, cuda)
    assert torch.equal(torch.rand(3, device=cuda), expected)
    before = torch.cuda.get_rng_state(cuda)
    restore_random_state(random_state(CPU), cuda)
    assert torch.equal(torch.cuda.get_rng_state(cuda), before)
