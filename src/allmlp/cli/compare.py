"""`allmlp compare`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["compare"]


def compare(
    runs: Annotated[list[Path], Parameter(negative=())],
    /,
    *,
    to: Path | None = None,
) -> None:
    """Put runs side by side: accuracy, costs, settings that differ, and whether it is luck.

    Parameters
    ----------
    runs:
        Folders of runs, at least two.
    to:
        Page to write as well: compare.html, say.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from allmlp.report import compare_runs, comparison_page, write_page
    from allmlp.report.sections import describe_count, describe_seconds

    found = compare_runs(runs)
    table = Table(box=None, pad_edge=False)
    table.add_column("#")
    table.add_column("run", overflow="fold")
    for header in ("test", "NLL", "parameters", "MACs", "training"):
        table.add_column(header, justify="right")
    for number, run in enumerate(found.runs, 1):
        scores, (parameters, macs) = run.scores, run.costs
        table.add_row(
            f"{number}",
            escape(str(run.directory.path)),
            f"{scores['accuracy']:.2%}" if scores else "–",
            f"{scores['loss']:.4f}" if scores else "–",
            describe_count(parameters),
            describe_count(macs),
            describe_seconds(run.seconds),
        )
    console = Console()
    console.print(table)
    for path, values in found.differences.items():
        print(f"{path}: " + ", ".join(f"{i} {value}" for i, value in enumerate(values, 1)))
    for (i, j), test in found.tests.items():
        print(
            f"{i + 1} and {j + 1}: {test.only_first} right by the first alone, {test.only_second} "
            f"by the second, p = {found.adjusted[i, j]:.3g} (McNemar, Holm): "
            f"{found.verdict((i, j))}"
        )
    if found.unpaired:
        print(found.unpaired)
    if to is not None:
        names = ", ".join(run.name for run in found.runs[:4])
        write_page(to, comparison_page(found, f"Comparison of {names}", to.resolve().parent))
        print(to)
