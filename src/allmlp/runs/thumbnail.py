"""Pictures small enough to stand in a page by the dozen.

Axes: c channels, h w pixels.
"""

import io

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

__all__ = ["thumbnail"]

# pixels: what a page shows, times two for dense screens
_SIDE = 128


def thumbnail(pixels: UInt8[Tensor, "c h w"]) -> tuple[bytes, str]:
    """The content of a small image file, and its suffix: PNG for tiny pictures, else JPEG."""
    # of two channels the first, of four and more the first three: a picture has one or three
    levels = pixels[: 3 if len(pixels) >= 3 else 1].permute(1, 2, 0).cpu().numpy()
    image = Image.fromarray(levels.squeeze(-1) if levels.shape[-1] == 1 else levels)
    tiny = max(image.size) <= 48
    image.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    if tiny:
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue(), ".png" if tiny else ".jpg"
