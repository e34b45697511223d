"""Timing by turns."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from allmlp.errors import AllmlpError, check_integers

__all__ = ["Timing", "take_turns"]


@dataclass(frozen=True)
class Timing:
    """Seconds that one contestant took in each round."""

    seconds: tuple[float, ...]

    @property
    def min(self) -> float:
        """The fastest round: what the code costs when nothing disturbs it."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """What a user sees."""
        return statistics.median(self.seconds)


def take_turns(
    contestants: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warmup: int = 2,
    device: torch.device | str = "cpu",
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time functions A B C A B C …, so that a machine that slows down slows all of them.

    Args:
        contestants: functions without arguments by name.
        rounds: timed calls of each.
        warmup: untimed calls of each, first.
        device: waited for before the clock is read.
        clock: seconds. `time.process_time` (all threads, added up) and `time.thread_time` (one)
            leave out what other programs take from a shared machine.

    Raises:
        AllmlpError: nobody to time, or a count that is no positive integer.

    Example:
        >>> times = take_turns({"a": lambda: None, "b": lambda: None}, rounds=3)
        >>> len(times["a"].seconds)
        3
    """
    check_integers("take_turns", minimum=1, rounds=rounds)
    check_integers("take_turns", minimum=0, warmup=warmup)
    if not contestants:
        raise AllmlpError("take_turns needs at least one contestant")
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(warmup + rounds):
        for name, call in contestants.items():
            _wait(device)
            started = clock()
            call()
            _wait(device)
            if turn >= warmup:
                seconds[name].append(clock() - started)
    return {name: Timing(tuple(taken)) for name, taken in seconds.items()}


def _wait(device: torch.device | str) -> None:
    if torch.device(device).type != "cpu":
        torch.accelerator.synchronize()
