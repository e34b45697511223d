"""`allmlp theory …`: build a network that a theorem promises, and print its certificate."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import App

from allmlp.errors import AllmlpError, check_choice

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from allmlp.theory import Certificate, Regions

__all__ = ["app"]

app = App(name="theory", help="Theorems you can run: exact networks with certificates.")

Format = Literal["svg", "png"]

_OUT = Path("runs/theory")


@app.command
def memorize(
    data: str = "digits",
    *,
    target: str | None = None,
    method: Literal["auto", "staircase", "interpolation"] = "auto",
    directions: int = 8,
    seed: int = 0,
    out: Path = _OUT,
    format: Format = "svg",
) -> None:
    """Fit every label of a data set exactly, by a network of width 2.

    Args:
        data: `digits` (bundled with scikit-learn) or a CSV file of numbers with a header.
        target: the CSV column that holds the labels; the last one if not given.
        method: staircase for integer labels, interpolation for real ones.
        directions: random projections to choose from.
        seed: of the projection and of the held-out part.
        out: folder for the certificate (JSON) and the picture.
        format: of the picture.
    """
    import numpy as np

    from allmlp.theory import StackedNarrowNet
    from allmlp.theory import memorize as build
    from allmlp.theory.pictures import draw_memorizer

    X, y = _table(data, target)
    net = build(X, y, method=method, directions=directions, seed=seed)
    if len(y) > 3000 and not isinstance(net, StackedNarrowNet):
        minutes = len(y) ** 2 / 5e7  # 20 s for 4,000 points, and quadratic
        print(f"checking {len(y):,} labels in rationals: about {minutes:.1f} minutes", flush=True)
    certificate = net.verify(X, y) if isinstance(net, StackedNarrowNet) else net.certificate()
    print(certificate)
    fitted = int(certificate["points fitted"].attained)
    print(f"\nlabels returned exactly: {fitted:,} of {len(y):,}")

    order = np.random.default_rng(seed).permutation(len(y))
    held_out, kept = np.split(order, [len(y) // 5])
    if len(held_out) and isinstance(net, StackedNarrowNet):
        part = build(X[kept], y[kept], method=method, directions=directions, seed=seed)
        accuracy = float((np.round(part(X[held_out])) == y[held_out]).mean())
        values, counts = np.unique(y[kept], return_counts=True)
        chance = float((y[held_out] == values[counts.argmax()]).mean())
        print(
            f"held-out accuracy of the same construction on 80 %: {accuracy:.1%}; always the "
            f"commonest label: {chance:.1%}. The theorem promises memory, not generalisation"
        )
    figure = draw_memorizer(net, X, y) if isinstance(net, StackedNarrowNet) else None
    _write("memorize", certificate, figure, out, format)


@app.command
def approximate(
    function: str = "wave",
    *,
    error: float = 0.05,
    activation: str = "relu",
    out: Path = _OUT,
    format: Format = "svg",
) -> None:
    """Approximate a function on [0, 1] by one hidden layer, with the error promised beforehand.

    Args:
        function: `wave` (|sin 6x|), `square`, `root` (of x + 0.01) or `runge`.
        error: largest error allowed.
        activation: relu, leaky_relu, hard_sigmoid, sigmoid or tanh.
        out: folder for the certificate (JSON) and the picture.
        format: of the picture.
    """
    import numpy as np

    from allmlp.theory import approximate as build
    from allmlp.theory.pictures import draw_approximation

    # each with a Lipschitz constant on [0, 1]
    functions: dict[str, Any] = {
        "wave": (lambda x: np.abs(np.sin(6 * x)), 6.0),
        "square": (np.square, 2.0),
        "root": (lambda x: np.sqrt(x + 0.01), 5.0),
        # 1 / (1 + 25 t²) with t = 2x - 1, steepest at t² = 1/75
        "runge": (lambda x: 1 / (1 + 25 * (2 * x - 1) ** 2), 6.5),
    }
    check_choice("function", function, functions)
    f, lipschitz = functions[function]
    net = build(f, (0, 1), lipschitz=lipschitz, error=error, activation=activation)
    certificate = net.certificate()
    print(certificate)
    figure = draw_approximation(f, 0.0, 1.0, [net])
    _write("approximate", certificate, figure, out, format)


@app.command
def sawtooth(n: int = 10, *, out: Path = _OUT, format: Format = "svg") -> None:
    """Build the n-th iterate of the tent map, and say what a shallow network would need.

    Args:
        n: iterates; 2^n pieces.
        out: folder for the certificate (JSON) and the picture.
        format: of the picture.
    """
    from allmlp.theory import sawtooth as build
    from allmlp.theory import units_for_l1_error
    from allmlp.theory.pictures import draw_sawtooth

    net = build(n)
    certificate = net.certificate()
    print(certificate)
    print(
        f"\nL1 error below 1/16: this network has {2 * n} hidden units; one hidden layer needs at "
        f"least {_count(units_for_l1_error(n))}, two layers "
        f"{_count(units_for_l1_error(n, layers=2))} each"
    )
    _write("sawtooth", certificate, draw_sawtooth(min(n, 4)), out, format)


@app.command
def depth(error: float = 1e-6, *, out: Path = _OUT, format: Format = "svg") -> None:
    """Show what x² within an error costs, from one hidden layer to the deepest.

    Args:
        error: sup error on [0, 1].
        out: folder for the certificate (JSON) and the picture.
        format: of the picture.
    """
    from allmlp.theory import square_net, square_sizes
    from allmlp.theory.pictures import draw_depth_against_width

    sizes = square_sizes(error)
    best = min(sizes, key=lambda size: size.parameters)
    print(f"{'hidden layers':>13}  {'width':>7}  {'parameters':>10}  {'error':>9}")
    for size in sizes:
        width = size.fold + (size.levels > 1)
        mark = "  fewest" if size == best else ""
        error = float(size.error)
        print(f"{size.levels:>13}  {width:>7,}  {size.parameters:>10,}  {error:>9.2e}{mark}")
    certificate = square_net(best.levels, best.fold).certificate()
    print(f"\n{certificate}")
    _write("depth", certificate, draw_depth_against_width(), out, format)


@app.command
def width(
    dim: int = 2, *, dim_out: int = 1, seed: int = 298, out: Path = _OUT, format: Format = "svg"
) -> None:
    """List the least widths that are dense, and walk out of a narrow network on a constant path.

    Args:
        dim: inputs; 2 or more for the path, 2 for its picture.
        dim_out: outputs, for the list.
        seed: of the narrow network's weights; in the plane, the default turns twice.
        out: folder for the certificate (JSON) and the picture.
        format: of the picture.
    """
    import random
    from fractions import Fraction

    from allmlp.theory import ExactNet, escape_path, minimal_widths
    from allmlp.theory.pictures import draw_escape

    rows = minimal_widths(dim, dim_out)
    print(f"least widths for functions from R^{dim} to R^{dim_out}")
    for row in rows:
        if row.upper is None:
            least = f">= {row.lower}"
        else:
            least = f"= {row.lower}" if row.lower == row.upper else f"{row.lower} to {row.upper}"
        print(f"  {row.space:<29} {row.activation:<14} {least:<8} {row.source}")
    if dim == 1:
        print("\none input: networks of width 1 are monotone, so there is no path to walk")
        return
    rng = random.Random(seed)

    def weight() -> Fraction:
        return Fraction(rng.randrange(-9, 10), 6)

    hidden = [
        ([[weight() for _ in range(dim)] for _ in range(dim)], [Fraction(1, 2)] * dim)
        for _ in range(4)
    ]
    net = ExactNet([*hidden, ([[weight() for _ in range(dim)]], [0])])
    path = escape_path(net, [Fraction(0)] * dim)
    certificate = path.certificate()
    print(f"\n{certificate}")
    _write("width", certificate, draw_escape(path) if dim == 2 else None, out, format)


@app.command
def kolmogorov(
    *, families: int = 9, seed: int = 0, out: Path = _OUT, format: Format = "svg"
) -> None:
    """Run the first rounds of Kolmogorov's proof on a function of two variables.

    Args:
        families: outer functions, 5 to 30; the theorem needs 5, more converge sooner.
        seed: of the points at which errors are measured.
        out: folder for the certificate (JSON) and the picture.
        format: of the picture.
    """
    import numpy as np

    if families > 30:
        raise AllmlpError(
            f"kolmogorov takes 5 to 30 families here, but got {families}; "
            "allmlp.theory.inner_functions takes more, with finer grids"
        )
    from allmlp.theory import inner_functions, superpose
    from allmlp.theory.pictures import draw_kolmogorov

    sums = superpose(
        lambda x: np.sin(3 * x[:, 0]) * np.cos(2 * x[:, 1]) + x[:, 0] * x[:, 1],
        inner_functions((6, max(300, 24 * families)), families=families),
        seed=seed,
    )
    certificate = sums.certificate()
    print(certificate)
    _write("kolmogorov", certificate, draw_kolmogorov(sums), out, format)


@app.command
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
    out: Path = _OUT,
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
    _write("regions", certificate, figure, out, format)
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


@app.command
def init(
    activation: str = "relu",
    *,
    weight_var: float | None = None,
    bias_var: float = 0.0,
    width: int = 256,
    depth: int = 10,
    draws: int = 50,
    seed: int = 0,
    out: Path = _OUT,
    format: Format = "svg",
) -> None:
    """Predict the variance of every layer at initialisation, and draw networks to compare.

    Args:
        activation: relu, tanh, gelu and seventeen more; the table lists them.
        weight_var: weights have this variance over the fan-in; by default the edge of chaos.
        bias_var: variance of the biases.
        width: units of every layer.
        depth: layers.
        draws: networks to measure.
        seed: of them.
        out: folder for the certificate (JSON) and the picture.
        format: of the picture.
    """
    from allmlp.errors import check_integers
    from allmlp.theory import ACTIVATIONS, MeanField, check_init, edge_of_chaos
    from allmlp.theory.region_pictures import draw_init

    check_integers("theory init", minimum=1, depth=depth)
    check_choice("activation", activation, ACTIVATIONS)
    print("edge of chaos without biases")
    for name in ACTIVATIONS:
        try:
            edge = edge_of_chaos(name)
            print(f"  {name:<13} weight variance {edge.weight_var:8.5g} / fan-in")
        except AllmlpError:
            print(f"  {name:<13} none")
    if weight_var is None:
        weight_var = edge_of_chaos(activation, bias_var).weight_var
    checks = [
        check_init(
            MeanField(activation, factor * weight_var, bias_var), [width] * depth, draws=draws,
            seed=seed,
        )
        for factor in (1.0, 0.5, 1.2)
    ]  # fmt: skip
    print(f"\n{'layer':>5}  {'predicted':>10}  {'measured':>10}  standard errors off")
    rows = zip(checks[0].predicted, checks[0].measured, checks[0].scores, strict=True)
    for i, (predicted, measured, score) in enumerate(rows):
        print(f"{i + 1:>5}  {predicted:>10.4g}  {measured:>10.4g}  {score:+.1f}")
    certificate = checks[0].certificate()
    print(f"\n{certificate}")
    _write("init", certificate, draw_init(checks), out, format)


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


def _table(data: str, target: str | None) -> tuple[Any, Any]:
    """Points and labels of `digits` or of a CSV file of numbers."""
    import csv

    import numpy as np

    if data == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        return digits.data, digits.target
    path = Path(data)
    if not path.is_file():
        raise AllmlpError(
            f"DATA must be `digits` or a CSV file, but {data!r} is neither; check the path"
        )
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # Excel writes a mark in front
            reader = csv.reader(file)
            lines = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise AllmlpError(
            f"{path} must be a CSV file in UTF-8, but cannot be read ({error}); "
            "export it as one from the program that made it"
        ) from None
    if len(lines) < 2 or len(lines[0][1]) < 2:
        raise AllmlpError(
            f"{path} must hold a header of two or more columns and at least one row below it, but "
            f"has {len(lines)} lines with text; add a header, features and a label column"
        )
    (_, header), *rows = lines
    column = target if target is not None else header[-1]
    check_choice("column", column, header)
    for line, row in rows:
        bad = [cell for cell in row if not _is_number(cell)]
        if bad or len(row) != len(header):
            fact = f"line {line} holds {bad[0]!r}" if bad else f"line {line} has {len(row)} cells"
            raise AllmlpError(
                f"{path} must hold {len(header)} numbers on every line below its header, but "
                f"{fact}; encode names as integers and fill gaps"
            )
    values = np.array([row for _, row in rows], dtype=np.float64)
    at = header.index(column)
    return np.delete(values, at, axis=1), values[:, at]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**12 else f"{Decimal(number):.3g}"


def _write(
    name: str, certificate: "Certificate", figure: "Figure | None", out: Path, format: str
) -> None:
    from allmlp.files import replace_file, write_text
    from allmlp.theory.pictures import save

    out.mkdir(parents=True, exist_ok=True)
    written = [out / f"{name}.json"]
    write_text(written[0], certificate.to_json() + "\n")
    if figure is not None:
        written.append(out / f"{name}.{format}")
        with replace_file(written[1]) as file:
            save(figure, file, suffix=format)
    print(f"\nwrote {' and '.join(map(str, written))}")
