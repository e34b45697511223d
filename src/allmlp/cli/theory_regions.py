"""`allmlp theory regions`: the linear regions of a random, a trained or a stored network."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from allmlp.cli.theory_files import OUT, Format, write_certificate
from allmlp.errors import AllmlpError, check_choice

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from allmlp.theory import Regions

__all__ = ["regions"]


def regions(
    run: Path | None = None,
    *,
    widths: str = "2,64,64",
    slice: str | None = None,
    box: tuple[float, float] | None = None,
    bias_std: float = 0.1,
    steps: int = 0,
    seed: int = 0,
    export: Literal["none", "npz", "geojson"] = "none",
    out: Path = OUT,
    format: Format = "svg",
) -> None:
    """Count the linear regions of a ReLU network, each of them, and draw them.

    Args:
        run: folder of a trained run whose model is an MLP of Linear and ReLU; without it, a random
            network.
        widths: inputs and hidden layers of the random network, He's weights.
        slice: of a run, two or three image files to lay a line or plane through (by default samples
            of its first three classes); of a random network, `line`, `plane` or `box` (the whole
            box, by linear programs, for small networks).
        box: where to count, low and high of every coordinate; around the images by default, else
            -1 1.
        bias_std: of the random network's hidden biases.
        steps: train the random network on two spirals for so many steps, counting on the way.
        seed: of the network, and of the slice's directions.
        export: write the polygons as well.
        out: folder for the certificate (JSON), the picture and the polygons.
        format: of the picture.
    """
    import json

    from allmlp.files import replace_file, write_text
    from allmlp.theory import (
        LineRegions,
        PlaneRegions,
        expected_regions,
        lipschitz_certificate,
    )
    from allmlp.theory.region_files import region_geojson, save_regions
    from allmlp.theory.region_pictures import draw_history, draw_line, draw_regions

    figure: Figure | None = None
    if run is not None:
        found, points = _run_regions(run, slice, box)
    else:
        sizes, limits = _widths(widths), box or (-1.0, 1.0)
        points = None
        if steps:
            from allmlp.theory.region_history import region_history, spiral_task

            if slice not in (None, "plane"):
                raise AllmlpError("--steps trains in the plane; leave --slice out")
            model, step, inputs, labels = spiral_task(sizes, seed=seed)
            at = sorted({0, *(round(steps * share) for share in (0.01, 0.05, 0.15, 0.5, 1))})
            history = region_history(model, step, at, box=limits)
            for number, counted in history:
                print(f"step {number:>6,}: {counted.count:,} activation regions")
            print()
            figure = draw_history(history, points=inputs.double().numpy(), labels=labels.numpy())
            found = history[-1][1]
        else:
            found = _random_regions(sizes, slice, limits, bias_std, seed)
    certificate = found.certificate()
    print(certificate)
    if run is None and not steps and slice != "box" and bias_std > 0:
        where = None if sizes[0] <= 2 and slice is None else getattr(found, "slice", None)
        mean = expected_regions(sizes, limits, where, bias_std=bias_std)
        print(f"\nexpected at initialisation (wide layers): {mean:,.0f}")
    if isinstance(found, PlaneRegions):
        print(f"\n{lipschitz_certificate(found)}")
    if figure is None and isinstance(found, PlaneRegions):
        figure = draw_regions(found, points=points)
    elif isinstance(found, LineRegions):
        figure = draw_line(found)
    write_certificate("regions", certificate, figure, out, format)
    if export != "none":
        if not isinstance(found, PlaneRegions):
            raise AllmlpError("--export writes polygons, which a plane has; use --slice plane")
        path = out / f"regions.{export}"
        if export == "npz":
            with replace_file(path) as file:
                save_regions(found, file)
        else:
            write_text(path, json.dumps(region_geojson(found)) + "\n")
        print(f"wrote {path}")


def _widths(text: str) -> list[int]:
    """`2,64,64` as numbers."""
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if len(sizes) < 2 or min(sizes) < 1:
        raise AllmlpError(
            f"--widths needs the inputs and at least one hidden layer, such as 2,64,64, but got "
            f"{text!r}; separate positive numbers by commas"
        )
    return sizes


def _random_regions(
    sizes: list[int], kind: str | None, limits: tuple[float, float], bias_std: float, seed: int
) -> "Regions":
    """The regions of a random network: on a random slice, unless the inputs are the slice."""
    import numpy as np

    from allmlp.theory import Slice, count_regions, random_relu_net

    net = random_relu_net(sizes, bias_std=bias_std, seed=seed)
    d = sizes[0]
    kind = kind or ("line" if d == 1 else "plane")
    check_choice("slice", kind, ("line", "plane", "box"))
    m = {"line": 1, "plane": 2, "box": d}[kind]
    if m > d:
        raise AllmlpError(f"a plane needs two inputs or more, but --widths has {d}; use a line")
    if m == d:
        return count_regions(net, limits)
    directions = np.random.default_rng(seed).standard_normal((m, d))
    return count_regions(net, limits, Slice.through(np.zeros(d), *directions))


def _run_regions(
    path: Path, images: str | None, box: tuple[float, float] | None
) -> tuple["Regions", Any]:
    """The regions of a run's model through pictures, and the pictures' slice coordinates."""
    import torch

    from allmlp.runs.run import load_run
    from allmlp.theory import Slice, count_regions

    run = load_run(path, device="cpu")
    if images is None:
        files = sorted((run.path / "eval" / "samples").glob("*"))[:3]
    else:
        files = [Path(name) for name in images.split(",")]
    if len(files) not in (2, 3):
        raise AllmlpError(
            f"a slice goes through two or three images, but there are {len(files)}; "
            "name them: --slice a.png,b.png,c.png"
        )
    pictures = run.preprocess.normalize(torch.stack([run.preprocess.decode(f) for f in files]))
    plane = Slice.through(*pictures.double().flatten(1).numpy())
    at = plane.coordinates(pictures.double().flatten(1).numpy())
    limits: Any = box
    if box is None:  # the pictures, and half as much around them
        low, high = at.min(axis=0), at.max(axis=0)
        limits = list(zip(low - (high - low) / 2, high + (high - low) / 2, strict=True))
    found = count_regions(run.model, limits, plane, example=pictures)
    return found, at if at.shape[1] == 2 else None
