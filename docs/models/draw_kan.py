"""Draw the pictures of docs/models/kan.md from the library's own bases and layers.

python docs/models/draw_kan.py
"""

from pathlib import Path

import matplotlib as mpl
import torch

mpl.use("svg")
import matplotlib.pyplot as plt

from allmlp.layers import KANLinear, adapt_layer, make_basis, refine_layer

OUT = Path(__file__).parent / "pictures"
INK, SPLINE, TAIL, GRID = "#222222", "#1b7f79", "#d95f02", "#ececec"

# what is drawn of each family: options that show it well
FAMILIES = {
    "bspline": {"grid": 5, "k": 3},
    "bspline, k=1": {"grid": 5, "k": 1},
    "relu": {"grid": 5, "k": 3},
    "rbf": {"size": 6, "grid_range": (-1.0, 1.0)},
    "switch": {"size": 6, "grid_range": (-1.0, 1.0)},
    "mexican_hat": {"size": 4, "grid_range": (-1.0, 1.0)},
    "chebyshev": {"degree": 5},
    "legendre": {"degree": 5},
    "bernstein": {"degree": 5},
    "jacobi": {"degree": 4},
    "gram": {"degree": 4},
    "fourier": {"frequencies": 2},
}


def draw_bases() -> None:
    """Every family on [-1.6, 1.6]; what lies outside of a grid is shaded."""
    x = torch.linspace(-1.6, 1.6, 641)[:, None]
    figure, panels = plt.subplots(3, 4, figsize=(10, 6.2), sharex=True)
    for axes, (title, options) in zip(panels.flat, FAMILIES.items(), strict=True):
        basis = make_basis(title.split(",")[0], 1, **options)
        values = basis(x)[:, :, 0]
        for j in range(values.shape[1]):
            axes.plot(x, values[:, j], linewidth=1.1, color=plt.cm.viridis(j / values.shape[1]))
        ends = basis.grid_range()
        if ends is not None:
            for side in ((-1.6, float(ends[0])), (float(ends[1]), 1.6)):
                axes.axvspan(*side, color=GRID, linewidth=0)
        axes.set_title(title, fontsize=9, color=INK)
        axes.set_xlim(-1.6, 1.6)
        axes.tick_params(labelsize=7)
        low, high = float(values[:, :].amin()), float(values.amax())
        inside = values[(x.abs() <= 1)[:, 0]]
        low, high = float(inside.amin()), float(inside.amax())
        axes.set_ylim(low - 0.35 * (high - low), high + 0.35 * (high - low))
    figure.tight_layout()
    figure.savefig(OUT / "kan_bases.svg", metadata={"Date": None})


def draw_grids() -> None:
    """One edge: beyond its grid, on twice the intervals, and on a grid that follows data."""
    torch.manual_seed(1)
    edge = KANLinear(1, 1, grid=5, base=None).double().requires_grad_(False)
    edge.spline_weight.copy_(
        torch.tensor([0.2, -0.5, 0.4, 1.0, 0.1, -0.8, 0.3, 0.6])[None, :, None]
    )
    x = torch.linspace(-2, 2, 801, dtype=torch.float64)[:, None]
    figure, (beyond, finer, moved) = plt.subplots(1, 3, figsize=(10, 3), sharey=True)

    styles = {"linear": (SPLINE, "-"), "clamp": (TAIL, "--"), "zero": ("#7570b3", ":")}
    for mode, (colour, style) in styles.items():
        other = KANLinear(1, 1, grid=5, base=None, outside=mode).double().requires_grad_(False)
        other.spline_weight.copy_(edge.spline_weight)
        beyond.plot(x, other(x), style, color=colour, linewidth=1.4, label=f'outside="{mode}"')
    beyond.legend(fontsize=7, loc="lower left")
    beyond.set_title("beyond the grid", fontsize=9)

    refined = refine_layer(edge, 10)
    finer.plot(x, refined(x), color=SPLINE, linewidth=1.4)
    finer.set_title("10 intervals instead of 5: the same function", fontsize=9)
    basis = refined.basis(x)[:, :, 0] * refined.spline_weight[0, :, 0]
    finer.plot(x, basis, color=INK, linewidth=0.5, alpha=0.6)

    data = torch.cat([torch.randn(300, 1) * 0.12 - 0.6, torch.rand(60, 1) * 2 - 0.7]).double()
    adapted = adapt_layer(edge, data)
    moved.plot(x, edge(x), color=INK, linewidth=0.8, label="before")
    moved.plot(x, adapted(x), color=SPLINE, linewidth=1.4, label="after")
    moved.plot(data, torch.full_like(data, -1.35), "|", color=TAIL, markersize=5, alpha=0.5)
    moved.legend(fontsize=7, loc="upper right")
    moved.set_title("a grid that follows data (marks)", fontsize=9)

    for axes, layer in ((beyond, edge), (finer, refined), (moved, adapted)):
        low, high = (float(end) for end in layer.basis.grid_range())
        for side in ((-2, low), (high, 2)):
            axes.axvspan(*side, color=GRID, linewidth=0)
        k = layer.basis.k
        for knot in layer.basis.knots[0, k : -k or None]:
            axes.axvline(float(knot), color=INK, linewidth=0.3, alpha=0.5)
        axes.set(xlim=(-2, 2), ylim=(-1.5, 1.5))
        axes.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(OUT / "kan_grids.svg", metadata={"Date": None})


if __name__ == "__main__":
    plt.rcParams["svg.hashsalt"] = "allmlp"  # the same file every time
    OUT.mkdir(exist_ok=True)
    draw_bases()
    draw_grids()
    print(*sorted(OUT.glob("kan_*.svg")))
