import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.theory import PlaneRegions
from allmlp.theory.region_history import region_history, spiral_task


def test_counts_before_and_after_steps() -> None:
    model, step, inputs, labels = spiral_task((2, 8, 8), points=60)
    taken = []

    def counted() -> None:
        taken.append(step())

    history = region_history(model, counted, (0, 5, 20))
    assert [number for number, _ in history] == [0, 5, 20]
    assert len(taken) == 20
    assert taken[-1] < taken[0]
    first, last = history[0][1], history[-1][1]
    assert isinstance(first, PlaneRegions)
    assert isinstance(last, PlaneRegions)
    # a snapshot, not a view of the model
    assert (first.net.weights[0] != last.net.weights[0]).all()
    assert inputs.shape == (60, 2)
    assert labels.sum() == 30


def test_spirals_are_the_same_on_every_call_and_draw_from_their_own_generators() -> None:
    state = torch.get_rng_state()
    (a, *_), (b, *_) = spiral_task((2, 4), seed=3), spiral_task((2, 4), seed=3)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_bad_requests() -> None:
    model, step, *_ = spiral_task((2, 4))
    with pytest.raises(AllmlpError, match="must ascend"):
        region_history(model, step, (3, 1))
    with pytest.raises(AllmlpError, match="lie in the plane"):
        spiral_task((3, 4))
