"""Draw the pictures of initialisation.md, mup.md and gradflow.md from what they show.

python docs/draw_initialisation.py
"""

import json
import runpy
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from torch import nn

from allmlp import MLP
from allmlp.interpret import draw_flow
from allmlp.training import GradFlow

HERE = Path(__file__).parent
OUT = HERE / "pictures"
RIGHT, WRONG = "#2471a3", "#c0392b"


def initialisations() -> Figure:
    """Mean squares by depth, from the rows of the example."""
    example = runpy.run_path(str(HERE.parent / "examples" / "30_initialisation.py"))
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    axes.set_yscale("log")
    right = {"He normal", "He uniform", "orthogonal"}
    marks = iter("osD^vxP*+")
    for name, init in example["ROWS"].items():
        axes.plot(
            range(1, example["DEPTH"] + 1),
            example["mean_squares"](init),
            color=RIGHT if name in right else WRONG,
            marker=next(marks),
            markersize=4,
            linewidth=1,
            label=name,
        )
    axes.set_xticks([1, 5, 10, 15, 20])
    axes.set_xlabel("ReLU layers of width 256")
    axes.set_ylabel("mean square of activations")
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def transfer() -> Figure:
    """Loss against learning rate for each width, from the committed record."""
    path = HERE.parent / "benchmarks" / "results" / "mup_transfer.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind, title in zip(panels, ("standard", "mup"), ("standard", "muP"), strict=True):
        for key, losses in record["losses"].items():
            if not key.startswith(kind):
                continue
            width = int(key.split()[-1])
            points = sorted((int(e), sum(runs) / len(runs)) for e, runs in losses.items())
            (line,) = axes.plot(*zip(*points, strict=True), marker=".", label=f"width {width}")
            best = min(points, key=lambda point: point[1])
            axes.plot(*best, "o", markersize=9, fillstyle="none", color=line.get_color())
        axes.set_title(title)
        axes.set_xlabel("log2 of the learning rate")
        axes.set_ylim(0.05, 0.35)
    panels[0].set_ylabel("loss after 120 steps")
    panels[1].legend(fontsize=8, frameon=False)
    return figure


def flow() -> Figure:
    """Twenty ReLU layers at torch's default start, on random labels."""
    torch.manual_seed(0)
    net = MLP(784, 10, (256,) * 20, init="default", use_bias=False)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    with GradFlow(net) as watched:
        logits = net(torch.randn(256, 784))
        nn.functional.cross_entropy(logits, torch.randint(0, 10, (256,))).backward()
        optimizer.step()
    return draw_flow(watched.report())


def main() -> None:
    """Writes the pictures."""
    with mpl.rc_context({"svg.hashsalt": "allmlp", "svg.fonttype": "none"}):
        for name, figure in (
            ("initialisation", initialisations()),
            ("mup_transfer", transfer()),
            ("gradient_flow", flow()),
        ):
            figure.savefig(OUT / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
