import time

import pytest

from allmlp.bench import Timing, describe_machine, take_turns
from allmlp.errors import AllmlpError


def test_contestants_take_turns() -> None:
    calls: list[str] = []
    times = take_turns(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2, warmup=1
    )
    assert calls == ["a", "b"] * 3
    assert {name: len(t.seconds) for name, t in times.items()} == {"a": 2, "b": 2}


def test_the_slower_is_slower() -> None:
    times = take_turns({"fast": lambda: None, "slow": lambda: time.sleep(0.01)}, rounds=3)
    assert times["slow"].min >= 0.01 > times["fast"].median


def test_the_time_of_others_can_be_left_out() -> None:
    times = take_turns({"asleep": lambda: time.sleep(0.02)}, rounds=3, clock=time.process_time)
    assert times["asleep"].median < 0.01


def test_min_and_median() -> None:
    timing = Timing((3.0, 1.0, 2.0, 9.0))
    assert (timing.min, timing.median) == (1.0, 2.5)


def test_wrong_counts() -> None:
    with pytest.raises(AllmlpError, match="integer rounds of at least 1"):
        take_turns({"a": lambda: None}, rounds=0)
    with pytest.raises(AllmlpError, match="at least one contestant"):
        take_turns({}, rounds=1)


def test_a_result_names_its_machine() -> None:
    machine = describe_machine()
    assert {"date", "device", "cores", "threads", "load_1min", "python", "torch"} == set(machine)
    assert machine["device"]
