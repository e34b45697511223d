"""The processor's cores for code that torch does not run: as many threads as torch has.

A pool of plain threads rather than numba's own parallel loops: of those, one layer ends the process
when two threads of the caller meet in it, another when a forked process uses it.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise

import torch

__all__ = ["in_threads"]


def in_threads(work: Callable[[slice], None], rows: int, least: int) -> None:
    """Call `work` on slices that together are range(rows), `torch.get_num_threads()` at once.

    Args:
        work: must release the interpreter to gain from this, and write to its own rows alone.
        rows: how many there are.
        least: rows that are worth a thread.
    """
    parts = max(min(torch.get_num_threads(), rows // max(least, 1)), 1)
    bounds = [rows * part // parts for part in range(parts + 1)]
    slices = [slice(start, stop) for start, stop in pairwise(bounds)]
    others: list[Future[None]] = [_pool().submit(work, piece) for piece in slices[1:]]
    try:
        work(slices[0])
    finally:
        for other in others:  # their operands must outlive them
            other.exception()
    for other in others:
        other.result()


def _pool() -> ThreadPoolExecutor:
    # threads do not survive a fork, hence one pool for every process
    process = os.getpid()
    if process not in _POOLS:
        _POOLS.clear()
        _POOLS[process] = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="allmlp")
    return _POOLS[process]


_POOLS: dict[int, ThreadPoolExecutor] = {}
