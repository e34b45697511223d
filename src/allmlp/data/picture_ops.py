"""What policies do to one picture: fifteen operations of Pillow, each with one strength.

Geometry is about the corner or centre that AutoAugment's code has it about; the pictures keep their
size and mode (grey or RGB).
"""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageEnhance, ImageOps

__all__ = ["OPERATIONS", "Canvas", "Operation"]


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """What an operation needs to know beside its strength."""

    fill: tuple[int, ...]  # of each channel: what enters from outside
    resample: Image.Resampling = Image.Resampling.NEAREST
    centre: tuple[float, float] = (0.5, 0.5)  # of a cut-out, as shares of width and height


Operation = Callable[[Image.Image, float, Canvas], Image.Image]


def _affine(
    image: Image.Image, matrix: tuple[float, float, float, float, float, float], canvas: Canvas
) -> Image.Image:
    """Read the pixel at (x, y) from (a x + b y + c, d x + e y + f)."""
    method = Image.Transform.AFFINE
    fill = canvas.fill if len(canvas.fill) > 1 else canvas.fill[0]
    return image.transform(image.size, method, matrix, canvas.resample, fillcolor=fill)


def _shear_x(image: Image.Image, value: float, canvas: Canvas) -> Image.Image:
    return _affine(image, (1.0, value, 0.0, 0.0, 1.0, 0.0), canvas)


def _shear_y(image: Image.Image, value: float, canvas: Canvas) -> Image.Image:
    return _affine(image, (1.0, 0.0, 0.0, value, 1.0, 0.0), canvas)


def _translate_x(image: Image.Image, value: float, canvas: Canvas) -> Image.Image:
    return _affine(image, (1.0, 0.0, value * image.width, 0.0, 1.0, 0.0), canvas)


def _translate_y(image: Image.Image, value: float, canvas: Canvas) -> Image.Image:
    return _affine(image, (1.0, 0.0, 0.0, 0.0, 1.0, value * image.height), canvas)


def _shift_x(image: Image.Image, value: float, canvas: Canvas) -> Image.Image:
    return _affine(image, (1.0, 0.0, value, 0.0, 1.0, 0.0), canvas)


def _shift_y(image: Image.Image, value: float, canvas: Canvas) -> Image.Image:
    return _affine(image, (1.0, 0.0, 0.0, 0.0, 1.0, value), canvas)


def _rotate(image: Image.Image, value: float, canvas: Canvas) -> Image.Image:
    fill = canvas.fill if len(canvas.fill) > 1 else canvas.fill[0]
    return image.rotate(value, canvas.resample, fillcolor=fill)


def _posterize(image: Image.Image, value: float, canvas: Canvas) -> Image.Image:
    # DIFF: one bit at least. At their strongest the codes keep none, which is a black picture, and
    # Pillow 13 refuses to.
    bits = min(8, max(1, int(value)))
    return ImageOps.posterize(image, bits) if bits < 8 else image


def _solarize(image: Image.Image, value: float, canvas: Canvas) -> Image.Image:
    return ImageOps.solarize(image, int(value))


def _solarize_add(image: Image.Image, value: float, canvas: Canvas) -> Image.Image:
    """Add to the dark half of the levels."""
    table = [min(255, level + int(value)) if level < 128 else level for level in range(256)]
    return image.point(table * len(image.getbands()))


def _cutout(image: Image.Image, value: float, canvas: Canvas) -> Image.Image:
    """A square whose side is twice `value` of the picture's, filled."""
    half = (int(value * image.width), int(value * image.height))
    x, y = int(canvas.centre[0] * image.width), int(canvas.centre[1] * image.height)
    box = (
        max(0, x - half[0]),
        max(0, y - half[1]),
        min(image.width, x + half[0]),
        min(image.height, y + half[1]),
    )
    out = image.copy()
    if box[2] > box[0] and box[3] > box[1]:
        out.paste(canvas.fill if len(canvas.fill) > 1 else canvas.fill[0], box)
    return out


# by the papers' names, in lower case
OPERATIONS: dict[str, Operation] = {
    "identity": lambda image, value, canvas: image,
    "shear_x": _shear_x,  # per pixel of height
    "shear_y": _shear_y,
    "translate_x": _translate_x,  # share of the side
    "translate_y": _translate_y,
    "shift_x": _shift_x,  # pixels
    "shift_y": _shift_y,
    "rotate": _rotate,  # degrees, counter-clockwise
    "autocontrast": lambda image, value, canvas: ImageOps.autocontrast(image),
    "invert": lambda image, value, canvas: ImageOps.invert(image),
    "equalize": lambda image, value, canvas: ImageOps.equalize(image),
    "solarize": _solarize,  # levels from here on are inverted
    "solarize_add": _solarize_add,  # levels
    "posterize": _posterize,  # bits that are kept
    # 0 is grey, flat grey, black, blurred; 1 is the picture itself
    "color": lambda image, value, canvas: ImageEnhance.Color(image).enhance(value),
    "contrast": lambda image, value, canvas: ImageEnhance.Contrast(image).enhance(value),
    "brightness": lambda image, value, canvas: ImageEnhance.Brightness(image).enhance(value),
    "sharpness": lambda image, value, canvas: ImageEnhance.Sharpness(image).enhance(value),
    "cutout": _cutout,  # half the side, as a share
}
