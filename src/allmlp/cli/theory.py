"""`allmlp theory …`: build a network that a theorem promises, and print its certificate."""

from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from cyclopts import App

from allmlp.cli.theory_files import OUT, Format, read_points, write_certificate
from allmlp.cli.theory_regions import regions
from allmlp.errors import AllmlpError, check_choice

__all__ = ["app"]

app = App(name="theory", help="Theorems you can run: exact networks with certificates.")

app.command(regions)


@app.command
def memorize(
    data: str = "digits",
    *,
    target: str | None = None,
    method: Literal["auto", "staircase", "interpolation"] = "auto",
    directions: int = 8,
    seed: int = 0,
    out: Path = OUT,
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

    X, y = read_points(data, target)
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
    write_certificate("memorize", certificate, figure, out, format)


@app.command
def approximate(
    function: str = "wave",
    *,
    error: float = 0.05,
    activation: str = "relu",
    out: Path = OUT,
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
    write_certificate("approximate", certificate, figure, out, format)


@app.command
def sawtooth(n: int = 10, *, out: Path = OUT, format: Format = "svg") -> None:
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
    write_certificate("sawtooth", certificate, draw_sawtooth(min(n, 4)), out, format)


@app.command
def depth(error: float = 1e-6, *, out: Path = OUT, format: Format = "svg") -> None:
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
    write_certificate("depth", certificate, draw_depth_against_width(), out, format)


@app.command
def width(
    dim: int = 2, *, dim_out: int = 1, seed: int = 298, out: Path = OUT, format: Format = "svg"
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
    write_certificate("width", certificate, draw_escape(path) if dim == 2 else None, out, format)


@app.command
def kolmogorov(
    *, families: int = 9, seed: int = 0, out: Path = OUT, format: Format = "svg"
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
    write_certificate("kolmogorov", certificate, draw_kolmogorov(sums), out, format)


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
    out: Path = OUT,
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
            note = "" if edge.stable else "  (in the limit of small signals; larger ones grow)"
            print(f"  {name:<13} weight variance {edge.weight_var:8.5g} / fan-in{note}")
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
    write_certificate("init", certificate, draw_init(checks), out, format)


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**12 else f"{Decimal(number):.3g}"
