import json
import os
import socket
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist

from allmlp.training import ALONE, Ranks, join_ranks
from allmlp.training.ranks import _meet

CPU = torch.device("cpu")


def test_alone_everything_is_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_ranks(CPU) as ranks:
        assert ranks is ALONE
        assert not dist.is_initialized()
    assert ranks.main
    assert ranks.total(3, CPU) == 3
    assert ranks.gather("mine") == ["mine"]
    assert ranks.from_main(lambda: 5) == 5
    assert [ranks.any(flag) for flag in (False, True)] == [False, True]


def test_sums_keep_counts_exact_beside_floats() -> None:
    large = 2**24 + 1  # the first whole number that float32 does not hold
    sums = ALONE.sums({"count": large, "loss": torch.tensor(0.5), "hits": torch.tensor(large)})
    assert sums == {"count": large, "loss": 0.5, "hits": large}
    assert ALONE.sums({}) == {}


def test_an_error_of_the_first_process_is_that_of_all() -> None:
    def fail() -> None:
        raise ValueError("no room")

    with pytest.raises(ValueError, match="no room"):
        ALONE.from_main(fail)


def test_processes_started_anew_do_not_find_addresses_of_dead_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = dist.TCPStore("127.0.0.1", 0, is_master=True)  # by torchrun, for all attempts
    for name, value in {
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(kept.port),
        "RANK": "1",
        "WORLD_SIZE": "2",
    }.items():
        monkeypatch.setenv(name, value)
    stores = []
    for attempt in ("0", "1"):
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", attempt)
        store, rank, size = _meet()
        assert (rank, size) == (1, 2)
        stores.append(store)
    stores[0].set("address", "of a process that is dead by now")
    assert not stores[1].check(["address"])


def two(rank: int, port: int) -> list[object]:
    """What one of two processes hears from both."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }

    def fail() -> None:
        raise ValueError(f"raised in {rank}")

    with join_ranks(CPU) as ranks:
        with join_ranks(CPU) as again:  # a group that is there already is used, and left
            assert again == ranks == Ranks(rank, 2)
        with pytest.raises(ValueError, match="raised in 0"):
            ranks.from_main(fail)
        answer = [
            ranks.main,
            int(ranks.total(rank + 1, CPU)),
            ranks.sums({"count": 2**24 + rank, "loss": torch.tensor(0.25)}),
            [ranks.any(flag) for flag in (False, rank == 1)],
            ranks.gather(rank * 10),
            ranks.from_main(lambda: f"made in {rank}"),
        ]
    assert not dist.is_initialized()
    return answer


@pytest.mark.slow  # two fresh processes; tests/runs/test_distributed.py trains with forked ones
def test_two_ask_each_other() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    processes = [
        subprocess.Popen([sys.executable, __file__, rank, port], stdout=subprocess.PIPE)
        for rank in ("0", "1")
    ]
    answers = [json.loads(p.communicate(timeout=60)[0]) for p in processes]
    shared = [3, {"count": 2**25 + 1, "loss": 0.5}, [False, True], [0, 10], "made in 0"]
    assert answers == [[True, *shared], [False, *shared]]


if __name__ == "__main__":
    print(json.dumps(two(*map(int, sys.argv[1:]))))
