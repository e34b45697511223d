"""From an image file, or bytes, to what one model expects. Stored with the model.

Axes: b batch, c channels, h w pixels.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from allmlp.data.boxes import Box
from allmlp.data.formats import open_header, quietly
from allmlp.errors import AllmlpError, check_choice

__all__ = ["INTERPOLATIONS", "Preprocess", "open_image", "resizable", "to_tensor"]

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

_MODES = {1: "L", 3: "RGB"}

# what shows through transparent pixels; white is what most viewers and paper show
_BACKGROUND = "white"

# what the decoder can scale; the latter is what many cameras write
_DRAFTABLE = ("JPEG", "MPO")

# EXIF's tag, and what brings each of its values upright
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = {5, 6, 7, 8}


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Size, channels, resampling and normalisation that a model was trained with.

    Raises:
        AllmlpError: an unknown interpolation, or a crop outside (0, 1].
    """

    img_size: tuple[int, int]  # pixels, height and width
    in_chans: int
    mean: tuple[float, ...]  # of each channel, of pixels in [0, 1]
    std: tuple[float, ...]
    interpolation: str = "bilinear"  # one of INTERPOLATIONS; all but nearest are antialiased
    # side of the box that is scaled to img_size, as a fraction of the largest box that fits: 0.875
    # is "short side to 256, centre 224"
    crop: float = 1.0

    def __post_init__(self) -> None:
        check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        if not 0 < self.crop <= 1:
            raise AllmlpError(f"Preprocess needs crop in (0, 1], got {self.crop}")

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Preprocess":
        """The inverse of `dataclasses.asdict` after a trip through JSON, which has no tuples.

        Raises:
            KeyError: a field without default is missing.
        """
        return cls(
            img_size=(fields["img_size"][0], fields["img_size"][1]),
            in_chans=fields["in_chans"],
            mean=tuple(fields["mean"]),
            std=tuple(fields["std"]),
            # the first runs had neither
            interpolation=fields.get("interpolation", "bilinear"),
            crop=fields.get("crop", 1.0),
        )

    def normalize(self, images: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Bytes to float32 with mean 0 and deviation 1 over the training data."""
        # two passes in place, on memory that is taken once: in large batches twice as fast as three
        scale = torch.tensor(self.std, device=images.device).mul_(255).reciprocal_()
        shift = torch.tensor(self.mean, device=images.device).mul_(255).mul_(scale)
        return images.float().mul_(scale[:, None, None]).sub_(shift[:, None, None])

    def decode(self, path: Path) -> UInt8[Tensor, "c h w"]:
        """Read an image file: upright, in the model's channels, scaled and cropped to its centre.

        Raises:
            AllmlpError: no such file, or no image that Pillow can read.
        """
        if not path.is_file():
            raise AllmlpError(f"no image at {path}; give the path of an image file")
        try:
            return self.decode_bytes(path.read_bytes())
        except (AllmlpError, OSError) as e:
            raise AllmlpError(
                f"cannot read the image {path}: {e}; give an intact PNG, JPEG or similar"
            ) from e

    def decode_bytes(self, data: bytes) -> UInt8[Tensor, "c h w"]:
        """The same for the content of an image file.

        Raises:
            AllmlpError: no image that Pillow can read; the message is the bare reason.
        """
        return to_tensor(self.decode_picture(data))

    def decode_picture(
        self, data: bytes, choose: Callable[[tuple[int, int]], Box] | None = None
    ) -> Image.Image:
        """The same as a Pillow image, grey or RGB.

        Args:
            data: the content of an image file.
            choose: tells which box of the upright image is scaled to the model's size, given its
                height and width; None takes the centre.

        Raises:
            AllmlpError: as `decode_bytes`.
        """
        shares = None  # of the header's size: a JPEG may be decoded at another one

        def before_loading(header: Image.Image) -> None:
            nonlocal shares
            self._check_channels()
            if header.format not in _DRAFTABLE:
                return
            shorter = self.crop * min(header.size)
            if choose is not None:
                left, top, right, bottom = _chosen_box(header, choose)
                shorter = min(right - left, bottom - top)
                width, height = header.size
                shares = left / width, top / height, right / width, bottom / height
            self._draft(header, shorter)

        image = open_image(data, before_loading)
        if choose is None:
            return self._scale(image, None)
        if shares is None:
            return self._scale(image, _chosen_box(image, choose))
        left, top, right, bottom = shares
        width, height = image.size
        return self._scale(
            image,
            (left * width, top * height, min(right * width, width), min(bottom * height, height)),
        )

    def convert(self, image: Image.Image) -> UInt8[Tensor, "c h w"]:
        """The same for an image that Pillow already holds.

        Grey, palette and CMYK become the model's channels; 16 bits are scaled to 8; transparent
        pixels show white.

        Raises:
            AllmlpError: the model takes neither 1 nor 3 channels, or the pixels have no range that
                could be scaled to bytes.
        """
        self._check_channels()
        return to_tensor(self._scale(image, None))

    def _scale(
        self, image: Image.Image, box: tuple[float, float, float, float] | None
    ) -> Image.Image:
        """Part of an image at the model's size, upright, in its channels.

        Args:
            image: as its file has it.
            box: left, top, right and bottom in pixels; None is the centre.
        """
        image = resizable(image)
        orientation = _orientation(image)
        height, width = self.img_size
        if orientation in _ON_ITS_SIDE:
            height, width = width, height
        if box is None:
            box = _centre_box(image.size, (width, height), self.crop)
        if image.size != (width, height) or box != (0, 0, width, height):
            image = image.resize((width, height), INTERPOLATIONS[self.interpolation], box=box)
        if orientation in _UPRIGHT:  # the small image, which is cheaper to turn
            image = image.transpose(_UPRIGHT[orientation])
        return _flatten(image, _MODES[self.in_chans])

    def _draft(self, image: Image.Image, shorter: float) -> None:
        """Let the JPEG decoder scale by 1/2, 1/4 or 1/8 while at least twice the size remains.

        Four to eight times as fast on photographs; what is left is resampled as usual.

        Args:
            image: not loaded yet.
            shorter: pixels, the shorter side of the box that is shown.
        """
        # orientation may turn it: the longer side of the target is safe for both
        side = 2 * max(self.img_size)
        if shorter >= 2 * side:
            scale = side / shorter
            image.draft(None, (math.ceil(scale * image.width), math.ceil(scale * image.height)))

    def _check_channels(self) -> None:
        if self.in_chans not in _MODES:
            raise AllmlpError(
                f"image files have 1 or 3 channels, this model takes {self.in_chans}; "
                "pass a tensor of bytes (n, c, h, w) instead"
            )


def open_image(
    data: bytes, before_loading: Callable[[Image.Image], None] | None = None
) -> Image.Image:
    """Decode the content of an image file; of several frames the first.

    Args:
        data: the file's bytes.
        before_loading: called when the header is known and the pixels are not.

    Raises:
        AllmlpError: no image, or of a format that is not read; the message is the bare reason.
    """
    try:
        with quietly():
            image = open_header(data)
            if before_loading is not None:
                before_loading(image)
            image.load()
    except AllmlpError:
        raise
    except UnidentifiedImageError:
        raise AllmlpError("no image format that is read here") from None
    except Image.DecompressionBombError as e:
        raise AllmlpError(f"too large ({e})") from e
    # damaged files make decoders raise nearly anything: struct.error, IndexError, SyntaxError, …
    except Exception as e:
        raise AllmlpError(f"{e}" or type(e).__name__) from e
    return image


def to_tensor(picture: Image.Image) -> UInt8[Tensor, "c h w"]:
    """The pixels of a grey or RGB picture."""
    pixels = np.array(picture)
    return torch.from_numpy(pixels).reshape(picture.height, picture.width, -1).permute(2, 0, 1)


def _orientation(image: Image.Image) -> int:
    """EXIF's number; 1, as it is, where it says nothing or is damaged."""
    try:
        with quietly():
            number = image.getexif().get(_ORIENTATION, 1)
        return number if number in _UPRIGHT else 1
    except Exception:  # it may be of any type, which `in` may refuse, and damaged anywhere
        return 1


def _chosen_box(
    image: Image.Image, choose: Callable[[tuple[int, int]], Box]
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the chosen box, as the file has it."""
    width, height = image.size
    if _orientation(image) in _ON_ITS_SIDE:
        # A box of the upright image with its axes exchanged. Some orientations mirror it as well,
        # which does not matter: mirrored places are equally likely.
        left, top, wide, tall = choose((width, height))
    else:
        top, left, tall, wide = choose((height, width))
    return float(left), float(top), float(left + wide), float(top + tall)


def _centre_box(
    size: tuple[int, int], target: tuple[int, int], crop: float
) -> tuple[float, float, float, float]:
    """The largest centred box of the target's proportions, shrunk by `crop`; (width, height)."""
    scale = crop * min(size[0] / target[0], size[1] / target[1])
    width, height = scale * target[0], scale * target[1]
    left, top = max(0.0, (size[0] - width) / 2), max(0.0, (size[1] - height) / 2)
    return left, top, min(left + width, size[0]), min(top + height, size[1])


def resizable(image: Image.Image) -> Image.Image:
    """An image in a mode that Pillow resamples well: L, RGB, RGBA, and F with values up to 255.

    Raises:
        AllmlpError: its pixels have no known range, or no way leads to RGB.
    """
    if image.mode.startswith("I"):
        # 16 bits, which Pillow would clip at 255; older formats keep them in 32
        levels = np.asarray(image)
        if levels.min() < 0 or levels.max() > 65535:
            raise AllmlpError(
                "32-bit pixels beyond 0 to 65,535 have no known range; save it with 8 or 16 bits"
            )
        exif = image.getexif()
        image = Image.fromarray(levels.astype(np.float32) / 257)
        image.getexif().update(exif)
        return image
    if image.mode == "F":
        raise AllmlpError("pixels of type float have no known range; save it with 8 or 16 bits")
    if image.mode in ("L", "RGB", "RGBA") and not image.has_transparency_data:
        return image
    mode = "RGBA" if image.has_transparency_data else "L" if image.mode == "1" else "RGB"
    if image.mode == mode:
        return image
    try:
        return image.convert(mode)
    except ValueError as e:  # for example LAB
        raise AllmlpError(f"{e}; save it as RGB") from e


def _flatten(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == "F":
        # overshoot of the sharper filters is cut, as Pillow does for bytes
        levels = np.rint(np.asarray(image)).clip(0, 255)
        image = Image.fromarray(levels.astype(np.uint8))
    if image.mode == "RGBA":
        below = Image.new("RGBA", image.size, _BACKGROUND)
        image = Image.alpha_composite(below, image)
    return image if image.mode == mode else image.convert(mode)
