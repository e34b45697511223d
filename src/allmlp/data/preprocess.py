"""From an image file, or bytes, to what one model expects. Stored with the model.

Axes: b batch, c channels, h w pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from allmlp.errors import AllmlpError

__all__ = ["Preprocess"]

_MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Size, channels and normalisation that a model was trained with."""

    img_size: tuple[int, int]  # pixels, height and width
    in_chans: int
    mean: tuple[float, ...]  # of each channel, of pixels in [0, 1]
    std: tuple[float, ...]

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Preprocess":
        """The inverse of `dataclasses.asdict` after a trip through JSON, which has no tuples.

        Raises:
            KeyError: a field is missing.
        """
        return cls(
            img_size=(fields["img_size"][0], fields["img_size"][1]),
            in_chans=fields["in_chans"],
            mean=tuple(fields["mean"]),
            std=tuple(fields["std"]),
        )

    def normalize(self, images: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Bytes to float32 with mean 0 and deviation 1 over the training data."""
        # one multiply-add on the bytes instead of three passes
        scale = torch.tensor(self.std, device=images.device).mul_(255).reciprocal_()
        shift = torch.tensor(self.mean, device=images.device).mul_(255).mul_(scale)
        return images * scale[:, None, None] - shift[:, None, None]

    def decode(self, path: Path) -> UInt8[Tensor, "c h w"]:
        """Read an image file: upright, in the model's channels, scaled and cropped to its centre.

        Raises:
            AllmlpError: no such file, or no image that Pillow can read.
        """
        if not path.is_file():
            raise AllmlpError(f"no image at {path}; give the path of an image file")
        try:
            with Image.open(path) as image:
                return self.convert(image)
        except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as e:
            reason = "no image format Pillow knows" if isinstance(e, UnidentifiedImageError) else e
            raise AllmlpError(
                f"cannot read the image {path}: {reason}; give an intact PNG, JPEG or similar"
            ) from e

    def convert(self, image: Image.Image) -> UInt8[Tensor, "c h w"]:
        """The same for an image that Pillow already holds.

        Raises:
            AllmlpError: the model takes neither 1 nor 3 channels.
        """
        if self.in_chans not in _MODES:
            raise AllmlpError(
                f"image files have 1 or 3 channels, this model takes {self.in_chans}; "
                "pass a tensor of bytes (n, c, h, w) instead"
            )
        upright = ImageOps.exif_transpose(image).convert(_MODES[self.in_chans])
        height, width = self.img_size
        fitted = ImageOps.fit(upright, (width, height), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(fitted)).reshape(height, width, -1).permute(2, 0, 1)
