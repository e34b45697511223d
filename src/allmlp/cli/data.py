"""`allmlp data check` and `allmlp data shard`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from allmlp.errors import AllmlpError, listing, printable

if TYPE_CHECKING:
    from allmlp.data.check import DataReport

__all__ = ["app"]

# classes and groups of duplicates: what fits into a terminal's memory and a reader's patience
_SHOWN = 100

app = App(name="data", help="Look at data, and pack them.")


@app.command
def check(
    data: str,
    /,
    *,
    sheet: Path | None = None,
    strict: Annotated[bool, Parameter(negative=())] = False,
    target: str | None = None,
) -> None:
    """Count images, parts, classes, sizes and modes; find broken files and duplicates.

    Every image is decoded. Two are duplicates if their decoded pixels are equal. Nothing is
    written but the sheet.

    Parameters
    ----------
    data:
        Name of a data set, or path: a folder or a zip of class folders, IDX, CIFAR, npz, csv, tar,
        parquet; or hf:ORG/NAME.
    sheet:
        PNG to write, with ten training images of each class.
    strict:
        Fail if an image is broken, or lies in two parts or two classes.
    target:
        Column of the classes in parquet and hf: data, if it is not found by its type or name.
    """
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise AllmlpError(f"the sheet is a PNG; give a name that ends in .png instead of {sheet}")
    from allmlp.data import load_source
    from allmlp.data.check import check_splits, sample_sheet

    splits = load_source(data, target)
    for note in splits.notes:
        print(printable(note))
    report = check_splits(splits)
    _print_counts(report)
    _print_images(report)
    if sheet is not None:
        from allmlp.files import replace_file

        with replace_file(sheet) as file:
            sample_sheet(splits).save(file, "PNG")
        print(f"sheet      {sheet}")
    if strict and (report.broken or report.leaks or report.conflicts):
        raise AllmlpError(
            f"{data} is not clean: {len(report.broken)} broken images, {len(report.leaks)} in "
            f"several parts, {len(report.conflicts)} in several classes; the lines above name them"
        )


@app.command
def shard(
    data: str,
    out: Path,
    /,
    *,
    size: Annotated[float, Parameter(validator=Number(gt=0))] = 256,
    count: Annotated[int, Parameter(validator=Number(gte=1))] = 10_000,
    max_broken: Annotated[float, Parameter(validator=Number(gte=0, lt=1))] = 0.01,
    target: str | None = None,
) -> None:
    """Pack data into tars in WebDataset's format, for training from few large files.

    Image files are copied as they are, ready pixels become PNG; parts that are missing are cut as
    in training. The same data give the same bytes. The folder appears when everything is in it:
    Ctrl-C or an error leaves nothing.

    Parameters
    ----------
    data:
        Name or path, as in training.
    out:
        Folder to create.
    size:
        MiB that a tar may have; an image that is larger has one of its own.
    count:
        Images that a tar may have.
    max_broken:
        Share of images that may be unreadable (at least one may) and are left out; 0 stops at the
        first.
    target:
        Column of the classes in parquet and hf: data, if it is not found by its type or name.
    """
    from allmlp.data import BrokenImages, Shard, load_source, write_shards

    splits = load_source(data, target)
    for note in splits.notes:
        print(printable(note))
    broken = BrokenImages(len(splits.part("all")), max_broken)

    def show(written: Shard) -> None:
        print(f"{written.name}  {written.images:,} images, {written.size / 2**20:,.1f} MiB")

    shards = write_shards(
        splits,
        out,
        max_bytes=max(1, round(size * 2**20)),
        max_images=count,
        broken=broken,
        note=show,
    )
    if broken.reasons:
        print(broken)
    total = sum(written.images for written in shards)
    print(f"{out} has {total:,} images in {len(shards):,} tars; train with allmlp train {out}")


def _print_counts(report: "DataReport") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("class", overflow="fold")
    for part in report.counts:
        table.add_column(part, justify="right")
    rows = list(zip(report.classes, *report.counts.values(), strict=True))
    for name, *numbers in rows[:_SHOWN]:
        table.add_row(escape(printable(name)), *(f"{number:,}" for number in numbers))
    if len(rows) > _SHOWN:
        table.add_row(f"… {len(rows) - _SHOWN} more")
    table.add_row("all", *(f"{sum(numbers):,}" for numbers in report.counts.values()))
    Console(highlight=False).print(table)
    print(f"classes    {len(rows)}, the largest has {report.imbalance:.3g} × the smallest")


def _print_images(report: "DataReport") -> None:
    if report.sizes:
        smallest, largest = min(report.sizes), max(report.sizes)
        width, height = report.middle_size
        print(
            f"sizes      {len(report.sizes)} different, width × height: median {width:g} × "
            f"{height:g}, narrowest {_size(smallest)}, widest {_size(largest)}"
        )
    modes = [f"{mode} {count:,}" for mode, count in report.modes.most_common()]
    print(f"modes      {', '.join(modes) or 'none'}")
    print(f"broken     {len(report.broken)}")
    for name, reason in report.broken.items():
        print(printable(f"           {name}: {reason}"))
    print(
        f"duplicates {len(report.copies)} images more than once, {len(report.leaks)} of them in "
        f"several parts, {len(report.conflicts)} in several classes"
    )
    # in several parts or several classes; a copy within both is harmless
    serious = [g for g in report.copies if len({(part, label) for _, part, label in g}) > 1]
    for group in serious[:_SHOWN]:
        named = listing([f"{n} ({part}, {label})" for n, part, label in group])
        print(printable(f"           {named}"))
    if len(serious) > _SHOWN:
        print(f"           … {len(serious) - _SHOWN} more")


def _size(size: tuple[int, int]) -> str:
    return "{} × {}".format(*size)
