"""Images as the content of files, and what such a content is called.

Axes: c channels, h w pixels.
"""

import io

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from allmlp.data.formats import open_header, quietly
from allmlp.errors import AllmlpError

__all__ = ["encode_png", "image_suffix"]

# Pillow's name of a format to the suffix that everybody knows; others are their name
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "JPEG2000": ".jp2", "PPM": ".ppm"}


def encode_png(image: UInt8[Tensor, "c h w"]) -> bytes:
    """The content of a PNG of one grey or RGB image, without loss."""
    pixels = image.permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def image_suffix(content: bytes) -> str:
    """The suffix that belongs to the content of an image file, whatever it is called.

    Raises:
        AllmlpError: no image format that is read; the message is the bare reason.
    """
    try:
        with quietly(), open_header(content) as image:
            kind = image.format or ""
    # damaged headers make Pillow raise nearly anything
    except Exception as e:
        raise AllmlpError("no image format that is read here") from e
    return _SUFFIXES.get(kind, f".{kind.lower()}")
