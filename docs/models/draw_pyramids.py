"""Draw what CycleMLP, CS-Mixer and RepMLPNet read: asked of the operators, not written.

python docs/models/draw_pyramids.py
"""

from pathlib import Path

import matplotlib as mpl
import torch
from torch import Tensor, nn

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

from allmlp.models.csmixer import SpatialChannelMix
from allmlp.ops import cyclic_pattern, shift_channels
from allmlp.ops.convolution_matrix import convolution_matrix

OUT = Path(__file__).parent / "pictures"
INK, HERE = "#222222", "#d95f02"
COLOURS = ("#1b7f79", "#d95f02", "#7570b3", "#b8860b")


def save(figure: plt.Figure, name: str) -> None:
    """The same file every time."""
    OUT.mkdir(exist_ok=True)
    figure.savefig(OUT / name, bbox_inches="tight", metadata={"Date": None})
    print(OUT / name)


def cycle() -> None:
    """For each channel, the place that the middle of a map reads."""
    channels, side, centre = 6, 5, 2
    kinds = (
        ("stepsize 1 × 3 (along_w)", (1, 3)),
        ("3 × 1 (along_h)", (3, 1)),
        ("3 × 3", (3, 3)),
    )
    figure, rows = plt.subplots(len(kinds), channels, figsize=(8.4, 4.9))
    for i_kind, (axes, (title, steps)) in enumerate(zip(rows, kinds, strict=True)):
        x = torch.zeros(1, side, side, channels, requires_grad=True)
        y = shift_channels(x, cyclic_pattern(channels, steps))
        (read,) = torch.autograd.grad(y[0, centre, centre].sum(), x)
        for c, panel in enumerate(axes):
            row, column = read[0, :, :, c].nonzero()[0].tolist()
            for i in range(side):
                for j in range(side):
                    face = COLOURS[0] if (i, j) == (row, column) else "white"
                    panel.add_patch(Rectangle((j, -i), 1, 1, facecolor=face, ec="#999999", lw=0.6))
            panel.add_patch(
                Rectangle((centre, -centre), 1, 1, facecolor="none", edgecolor=HERE, lw=2.0)
            )
            panel.set(xlim=(-0.1, side + 0.1), ylim=(-side + 0.9, 1.1), aspect="equal")
            panel.axis("off")
            if i_kind == 0:
                panel.set_title(f"channel {c}", fontsize=9)
        axes[0].text(-0.5, -1.5, title, fontsize=9, ha="right", va="center", color=INK)
    save(figure, "cyclemlp.svg")
    plt.close(figure)


def partners(mix: SpatialChannelMix, side: int, place: tuple[int, int]) -> Tensor:
    """The places that one place's compressed numbers depend on."""
    x = torch.randn(1, side, side, 4, requires_grad=True)
    (read,) = torch.autograd.grad(mix._mix(mix.down(x))[0, place[0], place[1]].sum(), x)
    return read[0].abs().sum(-1) > 0


def groups() -> None:
    """Which places of a map form a group, local and global, at groups of 7 × 7."""
    side = 28
    figure, panels = plt.subplots(1, 2, figsize=(8.4, 4.3))
    for panel, grouping in zip(panels, ("local", "global"), strict=True):
        mix = SpatialChannelMix(width=4, heads=1, rank=1, side=7, grouping=grouping)
        nn.init.normal_(mix.weight)
        mix.down.weight.data.fill_(1.0)
        faces = torch.full((side, side, 3), 1.0)
        for colour, place in zip(COLOURS, ((2, 3), (9, 17), (20, 4), (27, 26)), strict=True):
            faces[partners(mix, side, place)] = torch.tensor(mpl.colors.to_rgb(colour))
        panel.imshow(faces.numpy(), extent=(0, side, side, 0), interpolation="nearest")
        panel.set_xticks(range(side + 1), minor=True)
        panel.set_yticks(range(side + 1), minor=True)
        panel.grid(which="minor", color="#cccccc", linewidth=0.5)
        panel.tick_params(which="both", bottom=False, left=False)
        panel.set_xticks([])
        panel.set_yticks([])
        panel.set_title(f"{grouping}: four of the 16 groups of a 28 × 28 map", fontsize=9)
    save(figure, "csmixer.svg")
    plt.close(figure)


def merge() -> None:
    """A matrix over places plus a convolution as a matrix is a matrix over places."""
    side = 6
    generator = torch.Generator().manual_seed(0)
    matrix = 0.15 * torch.randn(1, side * side, side * side, generator=generator)
    kernel = torch.tensor([[[0.2, 0.5, 0.2], [0.5, 1.0, 0.5], [0.2, 0.5, 0.2]]])
    local = convolution_matrix(kernel, (side, side))
    pictures = (
        ("places.weight,\nnorm folded", matrix),
        ("3 × 3 branch as a matrix\n(its zeros: no link)", local),
        ("what deploy keeps:\nthe sum", matrix + local),
    )
    figure, panels = plt.subplots(1, 3, figsize=(8.4, 3.1))
    for panel, (title, picture) in zip(panels, pictures, strict=True):
        panel.imshow(picture[0].numpy(), cmap="RdBu_r", vmin=-1.2, vmax=1.2)
        panel.set_title(title, fontsize=9)
        panel.set_xticks([])
        panel.set_yticks([])
        panel.set_xlabel("place read", fontsize=8)
    panels[0].set_ylabel("place written", fontsize=8)
    for panel, sign in zip(panels[1:], ("+", "="), strict=True):
        panel.text(-0.13, 0.5, sign, transform=panel.transAxes, fontsize=16, ha="center")
    save(figure, "repmlpnet.svg")
    plt.close(figure)


if __name__ == "__main__":
    torch.manual_seed(0)
    plt.rcParams["svg.hashsalt"] = "allmlp"
    cycle()
    groups()
    merge()
