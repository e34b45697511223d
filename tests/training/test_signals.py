import os
import signal
import threading

import pytest

from allmlp.training import Stopped, listen_for_stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_interrupts(number: int) -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with listen_for_stop() as stop:
        assert stop.number is None
        os.kill(os.getpid(), number)
        assert stop.number == number
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_another_thread_is_not_listened_in() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def listen() -> None:
        with listen_for_stop() as stop:
            seen.append((stop.number, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [(None, before)]


def test_nobody_catches_a_stop_by_chance() -> None:
    stopped = Stopped("after step 3", signal.SIGTERM)
    assert not isinstance(stopped, Exception)
    assert (str(stopped), stopped.number) == ("after step 3", 15)
