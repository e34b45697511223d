"""`allmlp explain`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from allmlp.cli.table import holds_table
from allmlp.errors import AllmlpError, unknown_name

if TYPE_CHECKING:
    from torch import Tensor

    from allmlp.report import Page
    from allmlp.runs.run import Run

__all__ = ["explain"]


def explain(
    run: Path,
    /,
    *,
    cls: Annotated[str | None, Parameter(name="--class")] = None,
    image: Path | None = None,
    to: Path | None = None,
    device: str = "auto",
) -> None:
    """Show what a trained model looks at, as one HTML page that opens offline.

    What fits the model's kind: eigenfeatures of a bilinear network, token-mixing weights, reach,
    receptive fields, first layers; of one image what its pixels add to the answer. Of a run on a
    table its columns.

    Parameters
    ----------
    run:
        Folder of a run.
    cls:
        Name of the class in question; by default the model's answer.
    image:
        Image to look at; by default a sample of the run's test part.
    to:
        Page to write; by default explain.html in the run.
    device:
        cpu, cuda, mps …; auto takes an accelerator if there is one.
    """
    from allmlp.report import write_page
    from allmlp.runs.directory import RunDirectory

    directory = RunDirectory.open(run)
    page = _table(run, cls, image) if holds_table(run) else _images(run, cls, image, device)
    path = to or directory.explanation
    write_page(path, page)
    print(path)


def _table(run: Path, cls: str | None, image: Path | None) -> "Page":
    from allmlp.report import explain_table
    from allmlp.report.table_record import read_table_run

    if image is not None:
        raise AllmlpError(f"{run} is a run on a table and reads no images; leave out --image")
    return explain_table(read_table_run(run), cls)


def _images(run: Path, cls: str | None, image: Path | None, device: str) -> "Page":
    import torch

    from allmlp.interpret import overview
    from allmlp.report import explain_page
    from allmlp.runs.run import load_run

    loaded = load_run(run, device=device)
    if cls is not None and cls not in loaded.classes:
        raise AllmlpError(unknown_name("class", cls, loaded.classes))
    target = None if cls is None else loaded.classes.index(cls)
    read, samples = loaded.preprocess, _samples(loaded)
    if image is None and samples:
        image = next((path for path in samples if path.stem == str(target)), next(iter(samples)))
    pixels = None
    if image is not None:
        pixels = samples[image] if image in samples else read.decode(image)
    seen = list(samples.values()) or ([] if pixels is None else [pixels])
    found = overview(
        loaded.model,
        target,
        image=None if pixels is None else read.normalize(pixels[None].to(loaded.device))[0],
        images=read.normalize(torch.stack(seen).to(loaded.device)) if seen else None,
    )
    return explain_page(
        found,
        name=loaded.path.resolve().name,
        model=loaded.config.model.name,
        classes=loaded.classes,
        pixels=pixels,
        source="" if image is None else image.name,
    )


def _samples(run: "Run") -> dict[Path, "Tensor"]:
    """The images that training left, in the order of their classes, as the model reads them."""
    files = [path for path in (run.directory.eval / "samples").glob("*") if path.is_file()]
    found = {}
    for path in sorted(files, key=lambda path: (len(path.stem), path.stem)):
        try:
            found[path] = run.preprocess.decode(path)
        except AllmlpError:  # a model of two channels reads no image files
            continue
    return found
