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


def draw_map(
    values: Float[Tensor, "h w"], *, alt: str, caption: str = "", large: bool = False
) -> Picture:
    """A signed map; its own largest modulus is the full depth.

    Args:
        values: any finite numbers.
        alt: what it shows, for those who cannot see it.
        caption: below it.
        large: to stand by itself rather than in a small gallery.
    """
    share = values.detach().double().cpu().numpy()
    share = share / (np.abs(share).max() or 1.0)
    hue = np.where(share[..., None] > 0, to_rgb(POSITIVE), to_rgb(NEGATIVE))
    return _picture(np.dstack([hue, np.abs(share)]), alt, caption, large)


def draw_strength(
    values: Float[Tensor, "h w"], *, alt: str, caption: str = "", large: bool = False
) -> Picture:
    """A map of numbers from 0 upwards; the largest is the full depth.

    Args:
        values: no negative ones.
        alt: as in `draw_map`.
        caption: as in `draw_map`.
        large: as in `draw_map`.
    """
    share = values.detach().double().cpu().numpy()
    share = share / (share.max() or 1.0)
    hue = np.broadcast_to(to_rgb(STRENGTH), (*share.shape, 3))
    return _picture(np.dstack([hue, share]), alt, caption, large)


def draw_photo(pixels: UInt8[Tensor, "c h w"], *, alt: str, caption: str = "") -> Picture:
    """An image as it is, large; of two channels the first, of more than three the first three."""
    levels = pixels[: 3 if len(pixels) >= 3 else 1].permute(1, 2, 0).cpu().numpy()
    return _encode(levels.squeeze(-1) if levels.shape[-1] == 1 else levels, alt, caption, True)


def _picture(rgba: Float[np.ndarray, "h w 4"], alt: str, caption: str, large: bool) -> Picture:
    return _encode(np.rint(255 * rgba).astype(np.uint8), alt, caption, large)


def _encode(levels: Shaped[np.ndarray, "h w ..."], alt: str, caption: str, large: bool) -> Picture:
    # browsers blur what they enlarge, unless every pixel is a square already
    factor = max(1, -(-_SIDE // max(levels.shape[:2]))) if large else 1
    buffer = io.BytesIO()
    Image.fromarray(levels.repeat(factor, 0).repeat(factor, 1)).save(buffer, "PNG", optimize=True)
    width = _SIDE if large else None
    return Picture.from_bytes(buffer.getvalue(), "png", alt=alt, caption=caption, width=width)
