"""Side-by-side measurements: contestants take turns in one process, so that drift hits all."""

from allmlp.bench.benchmark import Benchmark as Benchmark
from allmlp.bench.benchmark import BenchRow as BenchRow
from allmlp.bench.contestants import Contestant as Contestant
from allmlp.bench.contestants import find_models as find_models
from allmlp.bench.contestants import find_peers as find_peers
from allmlp.bench.memory import Memory as Memory
from allmlp.bench.memory import measure_memory as measure_memory
from allmlp.bench.record import Record as Record
from allmlp.bench.side_by_side import bench_models as bench_models
from allmlp.bench.timing import Timing as Timing
from allmlp.bench.timing import take_turns as take_turns
from allmlp.bench.token_cost import SelfAttention as SelfAttention
from allmlp.bench.token_cost import TokenCost as TokenCost
from allmlp.bench.token_cost import measure_token_cost as measure_token_cost
from allmlp.bench.work import forward_pass as forward_pass
from allmlp.bench.work import training_step as training_step
from allmlp.training.machine import describe_machine as describe_machine

__all__ = [
    "BenchRow",
    "Benchmark",
    "Contestant",
    "Memory",
    "Record",
    "SelfAttention",
    "Timing",
    "TokenCost",
    "bench_models",
    "describe_machine",
    "find_models",
    "find_peers",
    "forward_pass",
    "measure_memory",
    "measure_token_cost",
    "take_turns",
    "training_step",
]
