"""Side-by-side measurements: contestants take turns in one process, so that drift hits all."""

from allmlp.bench.record import Record as Record
from allmlp.bench.timing import Timing as Timing
from allmlp.bench.timing import take_turns as take_turns
from allmlp.training.machine import describe_machine as describe_machine

__all__ = ["Record", "Timing", "describe_machine", "take_turns"]
