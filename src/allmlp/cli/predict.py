"""`allmlp predict`."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

__all__ = ["predict"]


def predict(
    run: Path,
    images: Annotated[list[Path], Parameter(negative=())],
    /,
    *,
    top: Annotated[int, Parameter(validator=Number(gte=1))] = 5,
    json_output: Annotated[bool, Parameter(name="--json", negative=())] = False,
    device: str = "auto",
) -> None:
    """Classify images with a trained run.

    Parameters
    ----------
    run:
        Folder of a run.
    images:
        Image files: PNG, JPEG and what else Pillow reads.
    top:
        How many classes to show for each image.
    json_output:
        Print one JSON list instead of lines.
    device:
        cpu, cuda, mps …; auto takes an accelerator if there is one.
    """
    from allmlp.runs.run import load_run

    ranked = load_run(run, device=device).predict(images).top(top)
    if json_output:
        rows = [
            {"image": str(path), "top": [{"label": name, "probability": p} for name, p in row]}
            for path, row in zip(images, ranked, strict=True)
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for path, row in zip(images, ranked, strict=True):
        print(f"{path}  " + "  ".join(f"{name} {p:.1%}" for name, p in row))
