"""`allmlp predict`."""

import json
import sys
from itertools import groupby
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from allmlp.cli.table import holds_table, predict_table, refuse
from allmlp.errors import printable

__all__ = ["predict"]


def predict(
    run: Path,
    images: Annotated[list[str], Parameter(negative=())],
    /,
    *,
    top: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    json_output: Annotated[bool, Parameter(name="--json", negative=())] = False,
    device: str = "auto",
    output: Path | None = None,
) -> None:
    """Classify images, or the rows of a table, with a trained run.

    Parameters
    ----------
    run:
        Folder of a run.
    images:
        Image files: PNG, JPEG and what else Pillow reads; folders of them, whose names mean
        nothing; or data as in training, of which every image is classified: a zip, tars, …. For a
        run on a table, one csv or parquet file.
    top:
        How many classes to show for each image; 5 by default.
    json_output:
        Print one JSON list instead of lines.
    device:
        cpu, cuda, mps …; auto takes an accelerator if there is one.
    output:
        csv file for the predictions of a table; by default TABLE-predictions.csv, here.
    """
    if holds_table(run):
        refuse("a table", {"--top": top, "--json": json_output})
        predict_table(run, images, output, device)
        return
    refuse("images", {"--output": output})

    top = top or 5

    from allmlp.data import BrokenImages, is_data, load_images
    from allmlp.runs.run import load_run

    loaded = load_run(run, device=device)
    ranked: list[tuple[str, list[tuple[str, float]]]] = []
    for data, group in groupby(images, key=is_data):
        if not data:
            paths = list(group)
            ranked += zip(paths, loaded.predict(paths).top(top), strict=True)
            continue
        for source in group:
            found = load_images(source)
            broken = BrokenImages(len(found), loaded.config.data.max_broken)
            names, predictions = loaded.predict_all(found, broken)
            rows = predictions.top(top)
            ranked += zip((f"{source}/{name}" for name in names), rows, strict=True)
            if broken.reasons:
                print(broken, file=sys.stderr)
    if json_output:
        listed = [
            {"image": name, "top": [{"label": label, "probability": p} for label, p in row]}
            for name, row in ranked
        ]
        print(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    for name, row in ranked:
        print(printable(f"{name}  " + "  ".join(f"{label} {p:.1%}" for label, p in row)))
