"""Signed maps as pictures. Figures belong to no window; write them with `savefig`.

Axes: n images, h w pixels.
"""

from collections.abc import Sequence

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from allmlp.errors import AllmlpError, check_integers

__all__ = ["draw_images"]


def draw_images(
    images: Float[Tensor, "n h w"],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 5,
    shared_scale: bool = False,
) -> Figure:
    """Signed maps side by side: blue below 0, white at 0, red above.

    Args:
        images: eigenvectors, token maps, attributions.
        titles: one above each.
        columns: of the grid.
        shared_scale: one colour scale for all; otherwise each reaches its own largest modulus.

    Raises:
        AllmlpError: no image, or another number of titles.
    """
    check_integers("draw_images", minimum=1, columns=columns)
    count = len(images)
    if not count or (titles is not None and len(titles) != count):
        given = "no" if titles is None else len(titles)
        raise AllmlpError(f"draw_images needs images and a title for each, got {count} and {given}")
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(1.6 * columns, 1.8 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    values = images.detach().double().cpu().numpy()
    highest = float(abs(values).max()) or 1.0
    for number, axes in enumerate(panels.flat):
        axes.axis("off")
        if number >= count:
            continue
        limit = highest if shared_scale else float(abs(values[number]).max()) or 1.0
        axes.imshow(values[number], cmap="RdBu_r", vmin=-limit, vmax=limit)
        if titles is not None:
            axes.set_title(titles[number], fontsize=9)
    return figure
