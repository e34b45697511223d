"""Draw docs/models/pictures/mixer.svg from a real Mixer: its shapes are asked, not written.

python docs/models/draw_mixer.py
"""

from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import torch

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

import allmlp

OUT = Path(__file__).parent / "pictures" / "mixer.svg"
INK, TOKENS, CHANNELS, PLAIN = "#222222", "#d95f02", "#1b7f79", "#ececec"


def box(axes: plt.Axes, x: float, y: float, text: str, colour: str, width: float) -> None:
    """A rounded box with its centre at (x, y)."""
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - 0.31),
            width,
            0.62,
            boxstyle="round,pad=0.02,rounding_size=0.12",
            facecolor=colour,
            edgecolor=INK,
            linewidth=0.8,
        )
    )
    light = colour in (TOKENS, CHANNELS)
    axes.text(x, y, text, ha="center", va="center", fontsize=9, color="white" if light else INK)


def arrow(axes: plt.Axes, start: tuple[float, float], end: tuple[float, float], bend: str) -> None:
    """An arrow, straight or bent."""
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            connectionstyle=bend,
            arrowstyle="-|>",
            mutation_scale=9,
            linewidth=0.9,
            color=INK,
        )
    )


def skip(axes: plt.Axes, x: float, start: float, end: float) -> None:
    """A residual connection around what lies between two heights."""
    side = x + 2.1
    axes.plot([x, side, side], [start, start, end], color=INK, linewidth=0.9)
    arrow(axes, (side, end), (x + 0.35, end), "arc3")


def column(
    axes: plt.Axes, x: float, steps: list[tuple[str, str]], top: float, width: float
) -> list[float]:
    """Boxes from top to bottom with arrows between; signs are narrow. Returns their heights."""
    heights = [top - 1.0 * i for i in range(len(steps))]
    for y, (text, colour) in zip(heights, steps, strict=True):
        box(axes, x, y, text, colour, 0.62 if len(text) == 1 else width)
    for above, below in pairwise(heights):
        arrow(axes, (x, above - 0.33), (x, below + 0.33), "arc3")
    return heights


def grid(axes: plt.Axes, x: float, y: float, mixed: str, colour: str, title: str) -> None:
    """Tokens by channels, with what one MLP sees marked."""
    rows, columns, cell = 6, 8, 0.3
    for i in range(rows):
        for j in range(columns):
            seen = j == 2 if mixed == "tokens" else i == 2
            face = colour if seen else "white"
            corner = (x + j * cell, y - i * cell)
            axes.add_patch(Rectangle(corner, cell, cell, facecolor=face, edgecolor=INK, lw=0.5))
    axes.text(x + columns * cell / 2, y + 0.45, title, ha="center", fontsize=9, color=INK)
    axes.text(x + columns * cell / 2, y - rows * cell + 0.05, "channels", ha="center", fontsize=8)
    axes.text(x - 0.3, y - rows * cell / 2 + cell, "tokens", rotation=90, va="center", fontsize=8)


def main() -> None:
    """Draw Mixer-B/16: the network, one block, and what each MLP mixes."""
    with torch.device("meta"):
        model = allmlp.create_model("mixer_b16")
        images = torch.empty(1, 3, *model.config.img_size)
        n, d = model.stem(images).shape[1:]
    block, config = model.blocks[0], model.config
    token, channel = block.token_mlp.fc1.out_features, block.channel_mlp.fc1.out_features

    plt.rcParams["svg.hashsalt"] = "allmlp"  # the same file every time
    figure, axes = plt.subplots(figsize=(9.2, 5.4))
    height, width = config.img_size
    column(
        axes,
        1.6,
        [
            (f"image {height}×{width}×{config.in_chans}", PLAIN),
            (f"patches {config.patch_size}×{config.patch_size}, linear", PLAIN),
            (f"{config.depth} × Mixer block", "#fff2cc"),
            ("LayerNorm", PLAIN),
            (f"mean over {n} tokens", PLAIN),
            (f"linear, {config.num_classes} classes", PLAIN),
        ],
        5.0,
        2.6,
    )
    axes.text(1.75, 3.5, f"{n} tokens × {d} channels", fontsize=8, va="center", color=INK)

    x = 6.0
    heights = column(
        axes,
        x,
        [
            ("LayerNorm", PLAIN),
            (f"token MLP {n} → {token} → {n}", TOKENS),
            ("+", "white"),
            ("LayerNorm", PLAIN),
            (f"channel MLP {d} → {channel} → {d}", CHANNELS),
            ("+", "white"),
        ],
        5.0,
        3.8,
    )
    arrow(axes, (x, 5.85), (x, heights[0] + 0.33), "arc3")
    skip(axes, x, 5.6, heights[2])
    skip(axes, x, 2.5, heights[5])
    arrow(axes, (x, heights[5] - 0.33), (x, -0.75), "arc3")
    axes.text(x, 6.0, "one block", ha="center", fontsize=9)

    grid(axes, 9.0, 4.75, "tokens", TOKENS, "token mixing:\none channel, all tokens")
    grid(axes, 9.0, 1.75, "channels", CHANNELS, "channel mixing:\none token, all channels")
    axes.set(xlim=(0, 11.6), ylim=(-0.9, 6.3), aspect="equal")
    axes.axis("off")
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, bbox_inches="tight", metadata={"Date": None})
    print(OUT)


if __name__ == "__main__":
    main()
