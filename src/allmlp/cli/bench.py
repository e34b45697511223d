"""`allmlp bench`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from allmlp.errors import AllmlpError

if TYPE_CHECKING:
    from rich.table import Table

    from allmlp.bench import Benchmark

__all__ = ["bench"]

Count = Annotated[int, Parameter(validator=Number(gte=1))]


def bench(
    models: Annotated[list[str] | None, Parameter(negative=())] = None,
    /,
    *,
    peers: Annotated[bool, Parameter(negative=())] = False,
    batch: Count | None = None,
    img_size: Count | None = None,
    dtype: Annotated[
        list[Literal["fp32", "bf16"]] | None, Parameter(negative=(), consume_multiple=True)
    ] = None,
    compile_too: Annotated[bool, Parameter(name="--compile", negative=())] = False,
    threads: Count | None = None,
    rounds: Count = 5,
    device: str = "auto",
    out: Path = Path("runs/bench"),
) -> None:
    """Measure models side by side: latency, throughput, training, memory, share of the peak.

    Models take turns in one process. Ctrl-C ends it and keeps what was measured. Writes bench.csv,
    bench.json (every round) and bench.html; earlier ones in the same folder are replaced.

    Parameters
    ----------
    models:
        Names or shell patterns; by default one small model of each family, some minutes.
    peers:
        Also timm's DeiT, ViT and ResNet, and what a block costs against the number of tokens.
    batch:
        Images of a batch; by default 8 on a CPU, 128 on a card.
    img_size:
        Pixels of a side; by default each model's own.
    dtype:
        fp32, bf16 (autocast) or both; by default fp32.
    compile_too:
        Also every model under torch.compile, which takes a minute or so for each.
    threads:
        Of torch on the CPU; by default as many as torch takes.
    rounds:
        Timed turns of each.
    device:
        cpu, cuda, mps …; auto takes an accelerator if there is one.
    out:
        Folder for the files.
    """
    import json
    import sys

    from rich.console import Console

    from allmlp.bench import bench_models, find_models, find_peers
    from allmlp.files import write_text
    from allmlp.report import bench_page, write_page

    contestants = find_models(models or (), img_size=img_size)
    if peers:
        contestants += find_peers(img_size=img_size)
    with Console(stderr=True).status("") as status:
        found = bench_models(
            contestants,
            batch_size=batch,
            precisions=dtype or ["fp32"],
            compiled=compile_too,
            threads=threads,
            rounds=rounds,
            device=device,
            tokens=peers,
            report=status.update,
        )
    if not found.interrupted and all(row.error for row in found.rows):
        reasons = "; ".join(f"{row.label}: {row.error}" for row in found.rows)
        raise AllmlpError(f"nothing was measured. {reasons}")
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "bench.json", json.dumps(found.as_dict(), indent=1) + "\n")
    write_text(out / "bench.csv", found.as_csv())
    write_page(out / "bench.html", bench_page(found))
    console = Console()
    if not console.is_terminal:  # a pipe or file, whose lines need not end
        console = Console(width=200)
    for part in (_costs(found), _speed(found), _machine(found)):
        console.print(part, highlight=False)
        console.print()
    for row in found.rows:
        if row.error:
            print(f"{row.label}: {row.error}", file=sys.stderr)
    print(f"written to {out}: bench.csv, bench.json, bench.html")
    if found.interrupted:
        raise KeyboardInterrupt(f"{out} holds what was measured until then")


def _costs(found: "Benchmark") -> "Table":
    from rich.table import Table

    from allmlp.report.sections import describe_count

    table = Table(box=None, pad_edge=False)
    table.add_column("model", overflow="fold")
    for header in ("parameters", "MACs", "pixels"):
        table.add_column(header, justify="right")
    table.add_column("published top-1 (pre-training)")
    for row in {row.model: row for row in found.rows}.values():
        published = row.published
        table.add_row(
            row.model,
            describe_count(row.parameters),
            describe_count(row.macs),
            "×".join(map(str, row.input_shape[1:])),
            f"{published.top1:.2f} {published.data} ({published.pretraining})" if published else "",
        )
    return table


def _speed(found: "Benchmark") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(f"batch {found.rows[0].batch_size}", overflow="fold")
    for header in (
        "1 image, ms\nmin/median", "forward\nimages/s", "of\npeak", "train\nimages/s", "of\npeak",
        "forward\nMB", "train\nMB",
    ):  # fmt: skip
        table.add_column(header, justify="right")
    for row in found.rows:
        latency = row.latency
        cells = [row.label]
        cells.append(f"{1e3 * latency.min:.1f}/{1e3 * latency.median:.1f}" if latency else "–")
        for work in ("forward", "train"):
            speed, share = row.images_per_second(work), found.peak_share(row, work)
            cells.append("–" if speed is None else f"{speed:.1f}")
            cells.append("–" if share is None else f"{share:.0%}")
        memory = (row.forward_memory, row.train_memory)
        table.add_row(*cells, *("–" if m is None else f"{m / 1e6:.0f}" for m in memory))
    return table


def _machine(found: "Benchmark") -> str:
    from allmlp.report.sections import describe_count

    machine = found.machine
    peaks = ", ".join(f"{name} {describe_count(peak)}FLOP/s" for name, peak in found.peaks.items())
    lines = [
        f"{machine['device']}, {machine['threads']} threads, torch {machine['torch']}"
        + (f"; peak of products: {peaks}" if peaks else "")
    ]
    load, cores = machine["load_1min"], machine["cores"]
    if load is not None:
        lines.append(f"load before {load:g}, after {found.load_after:g}, on {cores} cores")
        if load > 0.5:
            lines.append(
                "something ran in the minute before; if it still does, times are too long, ratios "
                "less so"
            )
    return "\n".join(lines)
