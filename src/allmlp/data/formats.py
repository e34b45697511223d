"""Which image formats are read: decoders that stay within this process, and no others.

Pillow knows more. Among them is EPS, which it hands to Ghostscript, an interpreter of programs.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from PIL import Image

__all__ = ["open_header", "quietly"]

# Pillow's names, the likeliest first, and last the one that has no mark of its own
_FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "BMP",
    "DIB",
    "PPM",
    "TIFF",
    "JPEG2000",
    "AVIF",
    "MPO",
    "TGA",
)


def open_header(data: bytes) -> Image.Image:
    """The image in the content of a file, its pixels not decoded yet.

    Raises:
        Exception: nearly any, as damaged headers make Pillow raise.
    """
    return Image.open(io.BytesIO(data), formats=_available())


@contextmanager
def quietly() -> Iterator[None]:
    """Without Pillow's warnings about damage it can live with, one for each such file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def _available() -> tuple[str, ...]:
    Image.init()
    return tuple(kind for kind in _FORMATS if kind in Image.OPEN)
