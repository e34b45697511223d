"""Asked to stop: finish the step first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["StopRequest", "Stopped", "listen_for_stop"]


class Stopped(KeyboardInterrupt):
    """Training ended early because a signal asked for it; everything is saved.

    A `KeyboardInterrupt`, since nobody should catch it by chance.
    """

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.number = number  # of the signal


class StopRequest:
    """Whether a signal has come.

    Attributes:
        number: of the signal, or None.
    """

    number: int | None = None


@contextmanager
def listen_for_stop() -> Iterator[StopRequest]:
    """Note SIGINT and SIGTERM instead of dying of them; a second one interrupts at once.

    Outside the main thread, where Python delivers no signals, nothing is listened for.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        if request.number is not None:
            raise KeyboardInterrupt
        request.number = number

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
