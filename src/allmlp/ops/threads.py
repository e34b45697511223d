"""The processor's cores for code that torch does not run: torch's own threads, as many as it has.

Between two products torch's OpenMP workers keep their cores busy waiting for the next one, so that
threads of any other pool would share cores with them. Hence the same workers, entered by the
symbol that every GNU OpenMP has; torch's own operations, called by one of them, stay on its core.
Where torch was built with something else, and in forked processes, plain threads.

Numba's own parallel loops are no way out: of its layers one ends the process when two threads of
the caller meet in it, another when a forked process uses it.
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import torch

__all__ = ["in_threads", "parts_of", "team"]

_BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def in_threads(work: Callable[[slice], None], rows: int, least: int) -> None:
    """Call `work` on slices that together are range(rows), `torch.get_num_threads()` at once.

    Args:
        work: must release the interpreter to gain from this, and write to its own rows alone.
        rows: how many there are.
        least: rows that are worth a thread.
    """
    parts = min(torch.get_num_threads(), rows // max(least, 1))
    library = _openmp(os.getpid()) if parts > 1 else None
    if parts <= 1 or (library is not None and library.omp_in_parallel()):
        work(slice(0, rows))
        return
    slices = parts_of(rows, parts)
    if library is not None:
        team(lambda part: work(slices[part]), parts)
    else:
        with ThreadPoolExecutor(parts - 1, thread_name_prefix="allmlp") as pool:
            others = [pool.submit(work, piece) for piece in slices[1:]]
            work(slices[0])
        for other in others:
            other.result()


def parts_of(rows: int, parts: int) -> list[slice]:
    """`range(rows)` in as many slices of nearly one length."""
    bounds = [rows * part // parts for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(bounds)]


def team(work: Callable[[int], None], parts: int) -> bool:
    """Call `work` on every number below `parts`, each in a worker of torch's, if that can be done.

    Returns:
        False where torch's workers cannot be entered; then nothing was called.
    """
    library = _openmp(os.getpid())
    if library is None or library.omp_in_parallel():
        return False
    failures: list[BaseException] = []

    def body(_: object) -> None:
        try:  # a team may have fewer members than were asked for
            first, members = library.omp_get_thread_num(), library.omp_get_num_threads()
            for part in range(first, parts, members):
                work(part)
        except BaseException as failure:  # C must not see it
            failures.append(failure)

    library.GOMP_parallel(_BODY(body), None, parts, 0)
    if failures:
        raise failures[0]
    return True


@cache
def _openmp(process: int) -> ctypes.CDLL | None:
    # The library that torch has loaded, nothing new. A forked process inherits a team without
    # threads, which would be waited for without end.
    if process != _PROCESS or not hasattr(os, "RTLD_NOLOAD"):
        return None
    try:
        library = ctypes.CDLL("libgomp.so.1", mode=os.RTLD_NOLOAD)
    except OSError:
        return None
    if not hasattr(library, "GOMP_parallel"):
        return None
    library.GOMP_parallel.argtypes = [_BODY, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    library.GOMP_parallel.restype = None
    return library


_PROCESS = os.getpid()
