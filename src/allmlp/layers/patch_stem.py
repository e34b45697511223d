"""Cut an image into patches, embed each, and line them up as tokens.

Axes: b batch, c image channels, h w pixels, n tokens, d width.
"""

from collections.abc import Callable

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers
from allmlp.layers.patch_embed import patch_embed

__all__ = ["PatchStem", "check_channels", "check_patches"]


def check_channels(owner: str, images: Float[Tensor, "b c h w"], in_chans: int) -> None:
    """Require images of the channels that a model was built for.

    Raises:
        AllmlpError: they have others.
    """
    if (channels := images.shape[1]) != in_chans:
        raise AllmlpError(
            f"{owner} was built for {in_chans} image channels but got {channels}; build it with "
            f"in_chans={channels}"
        )


def check_patches(owner: str, img_size: tuple[int, int], patch_size: int) -> None:
    """Require an image size, (height, width) in pixels, that patches tile.

    Raises:
        AllmlpError: no pair of positive integers, or a side is no multiple of the patch; the
            nearest size that fits is named.
    """
    if not isinstance(img_size, tuple) or len(img_size) != 2:
        raise AllmlpError(f"{owner} needs img_size=(height, width), got {img_size!r}")
    height, width = img_size
    check_integers(f"{owner}'s img_size", minimum=1, height=height, width=width)
    if height % patch_size or width % patch_size:
        fit = [max(round(side / patch_size), 1) * patch_size for side in img_size]
        raise AllmlpError(
            f"{owner} needs an image size divisible by patch_size={patch_size}, got "
            f"{height}x{width}; the nearest that fits is {fit[0]}x{fit[1]}"
        )


class PatchStem(nn.Module):
    """Patches embedded by `embed`, then row-major flattening of the grid.

    Args:
        img_size: height and width in pixels, multiples of `patch_size`.
        in_chans: c.
        patch_size: pixels per side of a patch.
        width: d.
        embed: from image channels, patch size and width to a module (b, c, h, w) -> (b, d, y, x);
            the linear map of every patch, or another of `layers.STEMS`.

    Shape:
        (b, c, h, w) -> (b, n, d) with n = (h / patch_size) * (w / patch_size); dtype unchanged.

    Raises:
        AllmlpError: at run time, images of another size or channel count.
    """

    def __init__(
        self,
        *,
        img_size: tuple[int, int],
        in_chans: int,
        patch_size: int,
        width: int,
        embed: Callable[[int, int, int], nn.Module] = patch_embed,
    ):
        super().__init__()
        check_patches("PatchStem", img_size, patch_size)
        self.img_size = img_size
        self.in_chans = in_chans
        self.patch_size = patch_size
        self.grid = (img_size[0] // patch_size, img_size[1] // patch_size)
        self.proj = embed(in_chans, patch_size, width)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n d"]:
        self._check(images)
        # A view would keep the convolution's layout, and every sum and norm after it as well: each
        # LayerNorm of the net would copy first.
        return rearrange(self.proj(images), "b d h w -> b (h w) d").contiguous()

    def _check(self, images: Tensor) -> None:
        check_channels("this model", images, self.in_chans)
        height, width = images.shape[2:]
        if (height, width) != self.img_size:
            raise AllmlpError(
                f"this model was built for {self.grid[0] * self.grid[1]} tokens (img_size="
                f"{self.img_size[0]}x{self.img_size[1]}, patch_size={self.patch_size}) but got "
                f"images of {height}x{width}; resize them or build it with "
                f"img_size=({height}, {width})"
            )
