"""Work on several cores: every row once, failures raised, nothing waited for after a fork."""

import multiprocessing
import threading
from collections.abc import Iterator

import pytest
import torch

from allmlp.ops import threads
from allmlp.ops.threads import in_threads, parts_of, team


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.rand(300, 300) @ torch.rand(300, 300)  # torch's workers are up
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["openmp", "plain"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    kind: str = request.param
    if kind == "plain":
        monkeypatch.setattr(threads, "_openmp", lambda process: None)
    elif threads._openmp(threads._PROCESS) is None:
        pytest.skip("torch was not built with GNU OpenMP")
    return kind


def covered(rows: int, least: int) -> tuple[list[int], int]:
    seen, workers = [0] * rows, set()

    def work(piece: slice) -> None:
        workers.add(threading.get_native_id())
        for row in range(rows)[piece]:
            seen[row] += 1

    in_threads(work, rows, least)
    return seen, len(workers)


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 101])
def test_every_row_once(kind: str, rows: int) -> None:
    assert covered(rows, 1)[0] == [1] * rows


def test_as_many_workers_as_torch_has_and_as_are_worth_it(kind: str) -> None:
    barrier = threading.Barrier(2, timeout=20)  # passed only by two at once
    in_threads(lambda piece: barrier.wait() and None, 2, 1)
    assert covered(100, 51) == ([1] * 100, 1)


def test_failures_are_raised_whoever_fails(kind: str) -> None:
    def work(piece: slice) -> None:
        if piece.start == failing:
            raise ValueError(piece.start)

    for failing in (0, 50):
        with pytest.raises(ValueError, match=str(failing)):
            in_threads(work, 100, 1)


def test_inside_a_team_there_is_no_further_one(kind: str) -> None:
    if kind == "plain":
        assert not team(lambda part: None, 2)
        return
    found: list[tuple[bool, list[int]]] = []
    assert team(lambda part: found.append((team(print, 2), covered(9, 1)[0])), 2)
    assert found == [(False, [1] * 9)] * 2


def test_more_parts_than_workers() -> None:
    done: list[int] = []
    if team(done.append, 7):
        assert sorted(done) == list(range(7))


def _in_a_child(queue: "multiprocessing.Queue[list[int]]") -> None:
    queue.put(covered(10, 1)[0])


def test_a_forked_process_is_served_as_well() -> None:
    covered(10, 1)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_a_child, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=30) == [1] * 10
    finally:
        child.join(5)
        child.kill()


@pytest.mark.parametrize("parts", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [0, 1, 7, 8])
def test_parts_are_of_nearly_one_length(rows: int, parts: int) -> None:
    slices = parts_of(rows, parts)
    lengths = [piece.stop - piece.start for piece in slices]
    assert (len(slices), sum(lengths), slices[0].start, slices[-1].stop) == (parts, rows, 0, rows)
    assert max(lengths) - min(lengths) <= 1
    assert lengths[-1] == max(lengths)
