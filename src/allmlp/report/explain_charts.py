"""The figures of `allmlp explain`. Names that users chose are not drawn, as in `charts`.

Axes: r features, h w rows and columns of an image.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from allmlp.report.figures import new_figure, picture
from allmlp.report.page import Picture
from allmlp.report.palette import LIGHT, NEGATIVE, POSITIVE

__all__ = ["Line", "draw_pairs", "draw_spectrum"]

Place = tuple[int, int]  # row and column
Line = tuple[Place, Place | None, float]  # from, to (None: one place by itself), contribution


def draw_spectrum(values: Float[Tensor, " r"]) -> Picture:
    """Eigenvalues, the largest modulus first, in the colour of their sign."""
    sizes = values.double().cpu().numpy()
    ranks = np.arange(1, len(sizes) + 1)
    with new_figure() as figure:
        axis = figure.subplots()
        for colour, chosen in ((POSITIVE, sizes > 0), (NEGATIVE, sizes < 0)):
            axis.vlines(ranks[chosen], 0, sizes[chosen], color=colour, linewidth=1.2)
        axis.axhline(0, color=LIGHT["muted"], linewidth=0.7)
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set(xlabel="number of the feature", title="eigenvalue")
    positive = int((sizes > 0).sum())
    return picture(
        figure,
        alt=f"Spectrum of {len(sizes)} eigenvalues by falling modulus, {positive} of them above 0; "
        f"the first is {sizes[0]:.3g}, the twentieth {sizes[min(19, len(sizes) - 1)]:.3g}.",
        caption="Eigenvalues by falling modulus: orange ones can only raise the logit, blue ones "
        "only lower it.",
    )


def draw_pairs(image: Float[Tensor, "h w"], lines: Sequence[Line]) -> Picture:
    """Pairs of pixels over the image, the stronger the wider.

    Args:
        image: what the pixels show, from 0 to 1.
        lines: in any order.
    """
    shade = np.empty((*image.shape, 4))
    shade[..., :3] = to_rgb("#808080")
    shade[..., 3] = 0.65 * image.cpu().numpy()
    largest = max((abs(value) for *_, value in lines), default=1.0)
    with new_figure(4.4, 4.4 * max(0.4, min(1.6, image.shape[0] / image.shape[1]))) as figure:
        axis = figure.subplots()
        axis.imshow(shade, interpolation="nearest")
        for (y, x), to, value in sorted(lines, key=lambda line: abs(line[2])):
            share = abs(value) / largest
            colour = POSITIVE if value > 0 else NEGATIVE
            if to is None or to == (y, x):
                axis.plot([x], [y], "o", color=colour, markersize=3 + 5 * share)
            else:
                axis.plot([x, to[1]], [y, to[0]], color=colour, linewidth=0.6 + 3 * share)
        axis.set_axis_off()
    raised = sum(value > 0 for *_, value in lines)
    return picture(
        figure,
        alt=f"The image with {raised} pairs of pixels that speak for the class and "
        f"{len(lines) - raised} that speak against it.",
        caption="Orange pairs raise the logit, blue ones lower it; the wider, the more. Dots are "
        "pixels by themselves.",
    )
