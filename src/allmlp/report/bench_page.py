"""The page of a measurement: models side by side, and how they were measured."""

from allmlp.bench import Benchmark, BenchRow, Timing
from allmlp.report.bench_charts import draw_accuracy_by_time, draw_tokens
from allmlp.report.page import (
    Block,
    Cell,
    Facts,
    Gallery,
    Page,
    Section,
    Table,
    Text,
    Value,
)
from allmlp.report.sections import describe_count

__all__ = ["bench_page"]


def bench_page(benchmark: Benchmark) -> Page:
    """The page of models side by side.

    Args:
        benchmark: from `allmlp.bench.bench_models`.
    """
    rows = benchmark.rows
    sections = [Section("Speed and memory", (_speed(benchmark),))]
    figure = draw_accuracy_by_time(benchmark)
    costs: list[Block] = [_costs(rows)]
    if figure is not None:
        costs.append(Gallery((figure,)))
    sections.append(Section("Accuracy and cost", tuple(costs)))
    if benchmark.tokens:
        sections.append(Section("Tokens", (Gallery(draw_tokens(benchmark.tokens)),)))
    failed = [(row.label, row.error) for row in rows if row.error]
    if failed:
        sections.append(Section("What failed", (Facts(tuple(failed)),)))
    sections.append(Section("How it was measured", (Text(_method(benchmark)), _about(benchmark))))
    lead = f"{len(rows)} rows, measured in turns."
    if benchmark.interrupted:
        lead += " It was interrupted: what is missing was not measured."
    return Page("Models side by side", tuple(sections), lead, _headline(benchmark))


def _headline(benchmark: Benchmark) -> Facts:
    machine = benchmark.machine
    return Facts(
        (
            ("machine", str(machine["device"])),
            ("threads", machine["threads"]),
            ("load before", machine["load_1min"]),
            *(
                (f"peak, {precision}", f"{describe_count(peak)}FLOP/s")
                for precision, peak in benchmark.peaks.items()
            ),
        )
    )


def _speed(benchmark: Benchmark) -> Table:
    head = (
        "#", "model", "one image", "fastest", "images/s", "of peak", "trained/s", "of peak",
        "memory", "training",
    )  # fmt: skip
    rows = tuple(
        (
            number,
            Cell(row.label, hint=row.error),
            _milliseconds(row.latency, "median"),
            _milliseconds(row.latency, "min"),
            _rate(row.images_per_second("forward")),
            Cell.share(benchmark.peak_share(row, "forward")),
            _rate(row.images_per_second("train")),
            Cell.share(benchmark.peak_share(row, "train")),
            _bytes(row.forward_memory),
            _bytes(row.train_memory),
        )
        for number, row in enumerate(benchmark.rows, 1)
    )
    batch = benchmark.rows[0].batch_size
    return Table(
        head,
        rows,
        f"Forward passes of one image; then forward passes and training steps of {batch} images, "
        "and the memory of both. Times are medians beside the fastest, rates are medians, shares "
        "of the peak those of the fastest round. A click on a name sorts.",
        sortable=True,
    )


def _costs(rows: tuple[BenchRow, ...]) -> Table:
    seen: dict[str, tuple[Value | Cell, ...]] = {}
    for row in rows:
        published = row.published
        seen.setdefault(
            row.model,
            (
                row.model,
                row.library,
                "×".join(map(str, row.input_shape[1:])),
                Cell(describe_count(row.parameters), order=row.parameters),
                Cell(describe_count(row.macs), order=row.macs),
                Cell(f"{published.top1:.2f} %", order=published.top1) if published else Cell(),
                f"{published.data}, pre-training: {published.pretraining}" if published else "",
                published.source if published else "",
            ),
        )
    head = ("model", "library", "pixels", "parameters", "MACs", "top-1", "on", "source")
    caption = "Counted by torch; accuracies as published. Compare them only where data agree."
    return Table(head, tuple(seen.values()), caption, sortable=True)


def _method(benchmark: Benchmark) -> str:
    return (
        f"All models are held in one process and take turns, {benchmark.rounds} rounds after a "
        "warm-up, with the same number of threads, so that a machine that slows down slows all of "
        "them. One image is timed three times in each turn. A training step is forward pass, "
        "cross-entropy, backward pass and AdamW, on noise; bf16 is autocast.\n\n"
        "The peak is the fastest product of two large square matrices in the same rounds. Shares "
        "count products alone, three forward passes for a training step.\n\n"
        "Memory is by how much a fresh process grows at most from before it builds the model: "
        "weights, activations, gradients, AdamW's state, and what kernels and the allocator keep. "
        "On a card it is what tensors held."
    )


def _about(benchmark: Benchmark) -> Facts:
    machine = {k: v for k, v in benchmark.machine.items() if k not in ("device", "threads")}
    after = {"load_after": benchmark.load_after, "rounds": benchmark.rounds}
    return Facts(tuple((k.replace("_", " "), v) for k, v in (machine | after).items()))


def _milliseconds(timing: Timing | None, which: str) -> Cell:
    if timing is None:
        return Cell()
    value = 1e3 * float(getattr(timing, which))
    return Cell(f"{value:.3g} ms" if value < 1000 else f"{value:,.0f} ms", order=value)


def _rate(value: float | None) -> Cell:
    if value is None:
        return Cell()
    return Cell(f"{value:.3g}" if value < 1000 else f"{value:,.0f}", order=value)


def _bytes(count: int | None) -> Cell:
    return Cell() if count is None else Cell(f"{count / 1e6:,.0f} MB", order=count)
