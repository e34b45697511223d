"""Numbers on a grid as pictures of a page: one hue for each sign, the deeper the larger.

Where a map is 0 the paper shows through, so that one picture is right on light and dark pages.
Axes: c channels, h w rows and columns.
"""

import io

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from matplotlib.colors import to_rgb
from PIL import Image
from torch import Tensor

from allmlp.report.page import Picture
from allmlp.report.palette import NEGATIVE, POSITIVE, STRENGTH

__all__ = ["draw_map", "draw_photo", "draw_strength"]

_SIDE = 240  # pixels at which large pictures are shown
# one pixel of thousands may be ten times as strong as all others, which would then be invisible;
# of up to 200 values the largest one counts
_CUT = 0.995


def draw_map(
    values: Float[Tensor, "h w"], *, alt: str, caption: str = "", large: bool = False
) -> Picture:
    """A signed map; full depth is its own largest modulus, but for the few values above `_CUT`.

    Args:
        values: any finite numbers.
        alt: what it shows, for those who cannot see it.
        caption: below it.
        large: to stand by itself rather than in a small gallery.
    """
    share = _scaled(values)
    hue = np.where(share[..., None] > 0, to_rgb(POSITIVE), to_rgb(NEGATIVE))
    return _picture(np.dstack([hue, np.abs(share)]), alt, caption, large)


def draw_strength(
    values: Float[Tensor, "h w"], *, alt: str, caption: str = "", large: bool = False
) -> Picture:
    """A map of numbers from 0 upwards, on a scale of its own as in `draw_map`.

    Args:
        values: no negative ones.
        alt: as in `draw_map`.
        caption: as in `draw_map`.
        large: as in `draw_map`.
    """
    share = _scaled(values)
    hue = np.broadcast_to(to_rgb(STRENGTH), (*share.shape, 3))
    return _picture(np.dstack([hue, share]), alt, caption, large)


def draw_photo(pixels: UInt8[Tensor, "c h w"], *, alt: str, caption: str = "") -> Picture:
    """An image as it is, large; of two channels the first, of more than three the first three."""
    levels = pixels[: 3 if len(pixels) >= 3 else 1].permute(1, 2, 0).cpu().numpy()
    return _encode(levels.squeeze(-1) if levels.shape[-1] == 1 else levels, alt, caption, True)


def _scaled(values: Float[Tensor, "h w"]) -> Float[np.ndarray, "h w"]:
    """In [-1, 1]."""
    levels = values.detach().double().cpu().numpy()
    sizes = np.abs(levels)
    limit = np.quantile(sizes, _CUT, method="higher") or sizes.max() or 1.0
    return (levels / limit).clip(-1, 1)


def _picture(rgba: Float[np.ndarray, "h w 4"], alt: str, caption: str, large: bool) -> Picture:
    return _encode(np.rint(255 * rgba).astype(np.uint8), alt, caption, large)


def _encode(levels: Shaped[np.ndarray, "h w ..."], alt: str, caption: str, large: bool) -> Picture:
    # browsers blur what they enlarge, unless every pixel is a square already
    factor = max(1, -(-_SIDE // max(levels.shape[:2]))) if large else 1
    buffer = io.BytesIO()
    Image.fromarray(levels.repeat(factor, 0).repeat(factor, 1)).save(buffer, "PNG", optimize=True)
    width = _SIDE if large else None
    return Picture.from_bytes(buffer.getvalue(), "png", alt=alt, caption=caption, width=width)
