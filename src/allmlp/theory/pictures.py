"""One picture for each theorem, drawn from the networks themselves.

Every function returns a matplotlib `Figure` that belongs to no window; `save` writes it, SVG or PNG
by the file's name.
"""

from collections.abc import Sequence
from itertools import cycle
from typing import IO

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Num
from matplotlib.figure import Figure

from allmlp.theory.barron import BarronRun
from allmlp.theory.escape import EscapePath
from allmlp.theory.exact_net import ExactNet
from allmlp.theory.kolmogorov import Superposition
from allmlp.theory.narrow import StackedNarrowNet
from allmlp.theory.pieces import graph, l1_distance
from allmlp.theory.polynomial_limit import alternation_points, polynomial_limit
from allmlp.theory.sawtooth import sawtooth, shallow_l1_bound
from allmlp.theory.shallow_net import ShallowNet
from allmlp.theory.shallow_sawtooth import best_piecewise_linear
from allmlp.theory.squares import square_sizes
from allmlp.theory.sup_error import Function

__all__ = [
    "draw_approximation",
    "draw_barron",
    "draw_depth_against_width",
    "draw_escape",
    "draw_kolmogorov",
    "draw_memorizer",
    "draw_polynomial_limit",
    "draw_sawtooth",
    "save",
]

_INK, _ACCENT, _SECOND, _PALE = "#222222", "#c0392b", "#2471a3", "#95a5a6"


def save(figure: Figure, file: IO[bytes], *, suffix: str) -> None:
    """Writes a picture; the same figure gives the same bytes on every run.

    Args:
        figure: what to write.
        file: open for writing bytes.
        suffix: `svg` or `png`.
    """
    with mpl.rc_context({"svg.hashsalt": "allmlp", "svg.fonttype": "none"}):
        metadata = {"Date": None} if suffix == "svg" else None
        figure.savefig(file, format=suffix, dpi=150, bbox_inches="tight", metadata=metadata)


def _figure(columns: int = 1, *, height: float = 3.0) -> Figure:
    return Figure(figsize=(1.2 + 3.4 * columns, height), layout="constrained")


def draw_approximation(
    f: Function, low: float, high: float, nets: Sequence[ExactNet | ShallowNet]
) -> Figure:
    """A function and networks that approximate it on [low, high], one panel for each."""
    figure = _figure(len(nets))
    x = np.linspace(low, high, 600)
    panels = figure.subplots(1, len(nets), sharey=True, squeeze=False)[0]
    for axis, net in zip(panels, nets, strict=True):
        certificate = net.certificate()
        name = net.activation if isinstance(net, ShallowNet) else net.activation.name
        axis.plot(x, f(x), color=_INK, label="f")
        axis.plot(x, net(x), color=_ACCENT, label=f"{name}, {net.width} units")
        promised = float(certificate.promised_error or 0)
        axis.set_title(
            f"error {float(certificate.error):.3g}, promised {promised:.3g}", fontsize=10
        )
        axis.margins(y=0.25)  # room for the legend below the curve
        axis.legend(frameon=False, fontsize=9, loc="lower left")
    return figure


def draw_sawtooth(n: int = 4) -> Figure:
    """`T^n`, and how near any function of p pieces can come to it."""
    figure = _figure(2)
    left, right = figure.subplots(1, 2)
    target = graph(sawtooth(n))
    left.plot([float(x) for x in target.knots], [float(y) for y in target.values], color=_INK)
    left.set_title(f"$T^{{{n}}}$: width 2, depth {n + 1}, {2**n} pieces", fontsize=10)
    pieces = list(range(1, 2**n + 1))
    best = [float(l1_distance(target, g)) for g in best_piecewise_linear(n, 2**n)]
    right.plot(pieces, best, ".-", color=_SECOND, label="best p pieces found")
    right.plot(
        pieces, [float(shallow_l1_bound(n, p)) for p in pieces], color=_ACCENT, label="lower bound"
    )
    right.xaxis.get_major_locator().set_params(integer=True)
    right.set_xlabel("pieces p (one hidden layer of m units: p ≤ m + 1)")
    right.set_ylabel("$L^1$ error")
    right.legend(frameon=False, fontsize=9)
    return figure


def draw_depth_against_width(errors: Sequence[float] = (1e-2, 1e-4, 1e-6, 1e-8)) -> Figure:
    """Parameters that x² needs within an error, by the number of hidden layers."""
    figure = _figure(height=3.4)
    axis = figure.subplots()
    shades = (_PALE, _SECOND, _INK, _ACCENT)
    for error, color in zip(errors, cycle(shades), strict=False):
        sizes = square_sizes(error)
        axis.semilogy(
            [size.levels for size in sizes],
            [size.parameters for size in sizes],
            ".-",
            color=color,
            label=f"error {error:.0e}",
        )
        best = min(sizes, key=lambda size: size.parameters)
        axis.semilogy([best.levels], [best.parameters], "o", color=color, markersize=8)
    axis.set_xlabel("hidden layers (circle: fewest parameters)")
    axis.set_ylabel("parameters")
    axis.legend(frameon=False, fontsize=9)
    return figure


def draw_memorizer(
    net: StackedNarrowNet,
    X: Float[np.ndarray, "n d"],
    y: Num[np.ndarray, " n"],
    *,
    first: int = 0,
    count: int = 40,
) -> Figure:
    """The network along its projection: plateaus through `count` neighbouring points.

    Gaps between neighbours differ by orders of magnitude; the picture gives each the same room.
    """
    figure = _figure(2, height=2.8)
    axis = figure.subplots()
    position = X @ net.direction + net.offset
    order = np.argsort(position, kind="stable")[first : first + count]
    at, share = position[order], np.linspace(0, 1, 41)
    # between two points, move along the projection only
    inputs = [X[order[0]]]
    for i in range(len(order) - 1):
        steps = share[1:, None] * (at[i + 1] - at[i]) * net.direction
        inputs.extend(X[order[i]] + steps)
    ranks = np.linspace(0, len(order) - 1, len(inputs))
    axis.plot(ranks, net(np.array(inputs)), color=_SECOND, linewidth=1)
    axis.plot(np.arange(len(order)), y[order], "o", color=_ACCENT, markersize=4)
    axis.set_xlabel(f"points in the order of their projection, {first} to {first + len(order) - 1}")
    axis.set_ylabel("label")
    axis.set_title(f"width 2, depth {net.depth:,}: every point on a plateau", fontsize=10)
    return figure


def draw_escape(path: EscapePath) -> Figure:
    """A network of two inputs as a height map, and the constant path to the boundary."""
    figure = _figure(height=4.0)
    axis = figure.subplots()
    radius = float(path.radius)
    t = np.linspace(-radius, radius, 121)
    grid = np.stack(np.meshgrid(t, t), axis=-1).reshape(-1, 2)
    heights = path.net(grid).reshape(len(t), len(t))
    axis.contourf(t, t, heights, levels=12, cmap="Greys", alpha=0.6)
    x, y = (np.array([float(v[i]) for v in path.vertices]) for i in (0, 1))
    axis.plot(x, y, "o-", color=_ACCENT, markersize=4)
    axis.plot(x[:1], y[:1], "o", color=_INK, markersize=7)
    axis.set_aspect("equal")
    axis.set_xticks([-radius, 0, radius])
    axis.set_yticks([-radius, 0, radius])
    axis.set_title(f"width {path.net.width}: one value from the dot to the edge", fontsize=10)
    return figure


def draw_kolmogorov(sums: Superposition) -> Figure:
    """Two inner functions, enlarged twice, and the error after each round."""
    figure = _figure(3, height=2.8)
    left, middle, right = figure.subplots(1, 3)
    for axis, (low, high) in ((left, (0.0, 1.0)), (middle, (0.3, 0.36))):
        t = np.linspace(low, high, 1500)
        for q, color in ((0, _SECOND), (1, _ACCENT)):
            axis.plot(t, sums.inner(q, t), color=color, linewidth=1, label=f"$\\psi_{q}$")
        axis.legend(frameon=False, fontsize=9)
    left.set_title("inner functions: the same for every f", fontsize=10)
    middle.set_title("enlarged: stairs of stairs", fontsize=10)
    rounds = range(len(sums.errors))
    right.plot(rounds, sums.errors, "o-", color=_INK)
    right.set_xticks(list(rounds))
    right.set_ylim(bottom=0)
    right.set_xlabel("rounds")
    right.set_title(f"sup error, {sums.inner.families} outer functions", fontsize=10)
    return figure


def draw_barron(runs: Sequence[tuple[int, BarronRun]]) -> Figure:
    """Measured mean square errors by dimension, and Barron's bounds."""
    figure = _figure(height=3.4)
    axis = figure.subplots()
    for (dim, run), color in zip(runs, cycle((_SECOND, _ACCENT, _INK)), strict=False):
        n = np.arange(1, len(run.errors) + 1)
        axis.loglog(n, run.errors, color=color, label=f"d = {dim}")
        axis.loglog(n, run.bounds, "--", color=color)
    axis.set_xlabel("units n (dashed: $4 r^2 C_f^2 / n$)")
    axis.set_ylabel("mean square error")
    axis.legend(frameon=False, fontsize=9)
    return figure


def draw_polynomial_limit(degrees: Sequence[int] = tuple(range(1, 21))) -> Figure:
    """How far every polynomial of a degree stays from |x|, against two ReLUs."""
    figure = _figure()
    axis = figure.subplots()
    bounds = [float(polynomial_limit(abs, alternation_points(abs, k)).bound) for k in degrees]
    axis.plot(degrees, bounds, "o-", color=_ACCENT, markersize=3)
    axis.set_ylim(bottom=0)
    axis.set_xticks(list(degrees)[::3])
    axis.set_xlabel("degree of the activation; the width does not matter")
    axis.set_ylabel("sup error for |x| at least")
    axis.set_title("two ReLU units: error 0", fontsize=10)
    return figure
