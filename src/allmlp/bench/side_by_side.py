"""Models side by side: costs, memory, latency, throughput, in turns and under fixed threads."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import product
from typing import Any

import torch
from torch import nn

from allmlp.bench.benchmark import Benchmark, BenchRow
from allmlp.bench.contestants import Contestant
from allmlp.bench.memory import describe_failure, measure_memory
from allmlp.bench.timing import Timing, take_turns
from allmlp.bench.token_cost import TokenCost, measure_token_cost
from allmlp.bench.work import forward_pass, matrix_product, noise, training_step
from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.training import choose_autocast_dtype, choose_device, describe_machine
from allmlp.zoo.macs import count_macs

__all__ = ["bench_models"]

PRECISIONS = ("fp32", "bf16")
# untimed calls of each, at most; of one image so many calls a turn, for its weights to be near
_WARMUP, _STREAK = 5, 3
# bytes for each parameter in training: weight, gradient, two moments of AdamW
_BYTES = 16
Report = Callable[[str], None]


def bench_models(
    contestants: Sequence[Contestant],
    *,
    batch_size: int | None = None,
    precisions: Sequence[str] = ("fp32",),
    compiled: bool = False,
    threads: int | None = None,
    rounds: int = 5,
    device: str = "auto",
    tokens: bool = False,
    report: Report = lambda text: None,
) -> Benchmark:
    """Measure models in turns, so that a machine that slows down slows all of them.

    First the memory of each (`measure_memory`), then the latency of one image, forward passes of a
    batch and training steps with AdamW on it. All models are built and warmed up, until a call is
    no longer faster than the one before, then timed A B C A B C …; a large matrix product takes
    part in every round, for the peak. Models too large to be held at once take turns in groups.

    A model that fails gets a row that says so. Ctrl-C ends everything early; rows hold what was
    measured by then. A script that calls this needs `if __name__ == "__main__"`.

    Args:
        contestants: from `find_models`, `find_peers`, or your own.
        batch_size: of throughput and memory; None for 8 on a CPU and 128 on a card.
        precisions: `fp32`, `bf16` (autocast): a row for each.
        compiled: a further row for each, under `torch.compile`; without memory, of which the
            compiler would be the larger part.
        threads: of torch on the CPU; None for as many as torch has now.
        rounds: timed calls of each.
        device: cpu, cuda …; auto takes an accelerator if there is one.
        tokens: measure blocks against tokens as well (`measure_token_cost`).
        report: told what is measured now.

    Raises:
        AllmlpError: no contestant, a number that is no positive integer, an unknown precision or a
            device that is not there.
    """
    if not contestants:
        raise AllmlpError("bench_models needs at least one model")
    for precision in precisions:
        check_choice("precision", precision, PRECISIONS)
    place = choose_device(device)
    batch_size = (8 if place.type == "cpu" else 128) if batch_size is None else batch_size
    threads = torch.get_num_threads() if threads is None else threads
    check_integers("bench_models", minimum=1, batch_size=batch_size, threads=threads, rounds=rounds)
    table = [
        (c, BenchRow(c.name, c.library, p, compile_it, batch_size, c.input_shape, c.published))
        for c, p, compile_it in product(
            contestants, dict.fromkeys(precisions), (False, True) if compiled else (False,)
        )
    ]
    peaks: dict[str, float] = {}
    costs: tuple[TokenCost, ...] = ()
    interrupted = False
    with _fixed(threads), _many_compilations() if compiled else nullcontext():
        machine = describe_machine(place)
        try:
            _count(table)
            _weigh(table, place, threads, report)
            if tokens:
                costs = measure_token_cost(rounds=rounds, device=place, report=report)
            for group in _groups(table, place):
                _time(group, peaks, place, rounds, report)
        except KeyboardInterrupt:
            interrupted = True
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    rows = tuple(row for _, row in table)
    return Benchmark(
        machine, None if load is None else round(load, 2), rounds, peaks, rows, costs, interrupted
    )


Table = list[tuple[Contestant, BenchRow]]


def _count(table: Table) -> None:
    """Parameters and products, without computing anything."""
    for contestant, row in table:
        try:
            with torch.device("meta"):
                model = contestant.build().eval()
            row.parameters = sum(p.numel() for p in model.parameters())
            row.macs = count_macs(model, contestant.input_shape)
        except Exception as e:
            row.error = describe_failure(e)


def _weigh(table: Table, device: torch.device, threads: int, report: Report) -> None:
    for contestant, row in table:
        if row.error or row.compiled:
            continue
        report(f"memory of {row.label}")
        found = measure_memory(
            contestant, row.batch_size, precision=row.precision, device=device, threads=threads
        )
        row.forward_memory, row.train_memory, row.error = found.forward, found.train, found.error


def _groups(table: Table, device: torch.device) -> Iterator[Table]:
    """Parts of the table whose models, in training, fill at most half of the memory."""
    group: Table = []
    held = 0
    for contestant, row in table:
        if _given_up(row, "forward"):
            continue
        needs = _BYTES * (row.parameters or 0)
        if group and held + needs > _memory(device) / 2:
            yield group
            group, held = [], 0
        group.append((contestant, row))
        held += needs
    if group:
        yield group


def _given_up(row: BenchRow, work: str) -> bool:
    # what cannot be trained, for want of memory say, may answer all the same
    return bool(row.error) and (work == "train" or row.forward_memory is None)


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # no POSIX
        return 8 << 30


def _time(
    group: Table, peaks: dict[str, float], device: torch.device, rounds: int, report: Report
) -> None:
    """Latency, forward passes and training steps of models that are held together."""
    models: dict[Contestant, nn.Module] = {}
    runners: list[tuple[Contestant, BenchRow, Any]] = []
    for contestant, row in group:
        try:
            if contestant not in models:
                models[contestant] = contestant.build().to(device)
            model = models[contestant]
            # every row by itself: what is compiled for one precision is of no use to another
            runner = torch.compile(model, dynamic=False) if row.compiled else model
            runners.append((contestant, row, runner))
        except Exception as e:
            row.error = describe_failure(e)
    for work in ("latency", "forward", "train"):
        for model in models.values():
            model.train(work == "train")
        calls: list[tuple[BenchRow, Callable[[], object]]] = []
        for contestant, row, runner in runners:
            if _given_up(row, work):
                continue
            report(f"{work}: {row.label} warms up")
            try:
                dtype = choose_autocast_dtype(row.precision, device)
                count = 1 if work == "latency" else row.batch_size
                images, labels = noise(contestant.input_shape, count, device)
                call: Callable[[], object] = (
                    training_step(runner, images, labels, dtype)
                    if work == "train"
                    else forward_pass(runner, images, dtype)
                )
                first = _warm_up(call, device)
            except Exception as e:
                row.error = f"{work}: {describe_failure(e)}"
                continue
            if row.compiled:
                row.compile_seconds = (row.compile_seconds or 0.0) + first
            calls.append((row, call))
        _take_rounds(work, calls, peaks, device, rounds, report)


def _warm_up(call: Callable[[], object], device: torch.device) -> float:
    """Call until that is no longer a tenth faster than before; the seconds of the first call."""
    taken: list[float] = []
    while len(taken) < 2 or (taken[-1] < 0.9 * taken[-2] and len(taken) < _WARMUP):
        taken += take_turns({"": call}, rounds=1, warmup=0, device=device)[""].seconds
    return taken[0]


def _take_rounds(
    work: str,
    calls: list[tuple[BenchRow, Callable[[], object]]],
    peaks: dict[str, float],
    device: torch.device,
    rounds: int,
    report: Report,
) -> None:
    products = {
        precision: matrix_product(device, torch.bfloat16 if precision == "bf16" else torch.float32)
        for precision in dict.fromkeys(row.precision for row, _ in calls)
    }
    streak = _STREAK if work == "latency" else 1
    for number in range(1, rounds + 1):
        report(f"{work}: round {number} of {rounds}, {len(calls)} rows")
        for precision, (call, flops) in products.items():
            timing = take_turns({"": call}, rounds=1, warmup=int(number == 1), device=device)[""]
            peaks[precision] = max(peaks.get(precision, 0.0), flops / timing.min)
        for row, call in calls.copy():
            try:
                seconds = take_turns({"": call}, rounds=streak, warmup=0, device=device)[""].seconds
            except Exception as e:
                row.error = f"{work}: {describe_failure(e)}"
                calls.remove((row, call))
                continue
            so_far: Timing | None = getattr(row, work)
            setattr(row, work, Timing((so_far.seconds if so_far else ()) + seconds))


@contextmanager
def _fixed(threads: int) -> Iterator[None]:
    """So many threads, one seed; afterwards everything is as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            yield
    finally:
        torch.set_num_threads(before)


def _many_compilations() -> AbstractContextManager[object]:
    # networks share the functions of their layers; beyond the limit of one function's compilations,
    # eight, torch would go on without compiling and say nothing
    import torch._dynamo.config

    return torch._dynamo.config.patch(recompile_limit=1000, accumulated_recompile_limit=10_000)
