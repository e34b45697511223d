"""Draw one block of ResMLP and of gMLP. Sizes are asked, not written.

python docs/models/draw_blocks.py
"""

import matplotlib.pyplot as plt
import torch
from draw_mixer import CHANNELS, OUT, PLAIN, TOKENS, arrow, column, skip

import allmlp

FOLDER = OUT.parent


def resmlp(axes: plt.Axes) -> None:
    """ResMLP-S12's block."""
    model = allmlp.create_model("resmlp_s12")
    n, hidden = model.config.num_tokens, model.config.channel_hidden
    heights = column(
        axes,
        0.0,
        [
            ("Aff: scale and shift", PLAIN),
            (f"tokens {n} → {n}, linear", TOKENS),
            ("γ per channel", PLAIN),
            ("+", "white"),
            ("Aff: scale and shift", PLAIN),
            (f"channels {model.config.width} → {hidden} → {model.config.width}", CHANNELS),
            ("γ per channel", PLAIN),
            ("+", "white"),
        ],
        7.0,
        3.8,
    )
    arrow(axes, (0, 7.85), (0, heights[0] + 0.33), "arc3")
    skip(axes, 0.0, 7.6, heights[3])
    skip(axes, 0.0, 3.5, heights[7])
    arrow(axes, (0, heights[7] - 0.33), (0, -0.75), "arc3")


def gmlp(axes: plt.Axes) -> None:
    """gMLP-S/16's block."""
    model = allmlp.create_model("gmlp_s16")
    n, d, e = model.config.num_tokens, model.config.width, model.config.hidden
    heights = column(
        axes,
        0.0,
        [
            ("LayerNorm", PLAIN),
            (f"channels {d} → {e}, GELU", CHANNELS),
            ("second half: LayerNorm", PLAIN),
            (f"tokens {n} → {n}, linear", TOKENS),
            ("×", "white"),
            (f"channels {e // 2} → {d}", CHANNELS),
            ("+", "white"),
        ],
        6.0,
        3.8,
    )
    arrow(axes, (0, 6.85), (0, heights[0] + 0.33), "arc3")
    skip(axes, 0.0, 6.6, heights[6])
    # the first half goes round the token map
    start, end = heights[1] - 0.5, heights[4]
    axes.plot([0, -2.1, -2.1], [start, start, end], color="#222222", linewidth=0.9)
    arrow(axes, (-2.1, end), (-0.35, end), "arc3")
    axes.text(
        -2.2, (start + end) / 2, "first half", rotation=90, ha="right", va="center", fontsize=8
    )
    arrow(axes, (0, heights[6] - 0.33), (0, -0.75), "arc3")


def main() -> None:
    """Draw both."""
    plt.rcParams["svg.hashsalt"] = "allmlp"  # the same file every time
    for name, draw, top in (("resmlp", resmlp, 8.2), ("gmlp", gmlp, 7.2)):
        figure, axes = plt.subplots(figsize=(3.6, 0.56 * top))
        with torch.device("meta"):
            draw(axes)
        axes.set(xlim=(-2.8, 3.0), ylim=(-0.9, top), aspect="equal")
        axes.axis("off")
        figure.savefig(FOLDER / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)
        print(FOLDER / f"{name}.svg")


if __name__ == "__main__":
    main()
