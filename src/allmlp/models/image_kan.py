"""A KAN on pixels: images flattened, one KAN over all of them.

Paper: Liu et al. 2024, arXiv:2404.19756 (the network; no images there).
Every pixel is an input with functions of its own: nothing here knows that pixels have neighbours.
Axes: b batch, c channels, h w pixels, d nodes of the last hidden layer, k classes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers, check_sizes
from allmlp.layers.recompute import steps
from allmlp.models.kan import KAN
from allmlp.models.kan_config import KANConfig
from allmlp.models.pixel_model import PixelModel

__all__ = ["VARIANTS", "ImageKAN", "ImageKANConfig"]


@dataclass(frozen=True, kw_only=True)
class ImageKANConfig:
    """Sizes of one KAN on images; those of the KAN itself are named as there.

    Raises:
        AllmlpError: a size is no positive integer, or an unknown name or option.
    """

    img_size: tuple[int, int] = (28, 28)  #: pixels, height and width
    in_chans: int = 1
    num_classes: int = 10  #: 0 leaves the head out
    widths: tuple[int, ...] = (64,)  #: hidden nodes
    grid: int = 5
    k: int = 3
    grid_range: tuple[float, float] = (-1.0, 1.0)  #: of pixels too, normalised as they come
    basis: str = "bspline"
    base: str | None = "silu"
    norm: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    SIZES: ClassVar = ("widths", "grid", "k", "basis")

    def __post_init__(self) -> None:
        check_sizes("ImageKAN", count=2, img_size=self.img_size)
        check_integers("ImageKAN", minimum=1, in_chans=self.in_chans)
        if not isinstance(self.widths, tuple):
            raise AllmlpError(f"ImageKAN needs widths as a list of integers, got {self.widths!r}")
        check_integers("ImageKAN", minimum=0, num_classes=self.num_classes)
        if not self.widths:
            raise AllmlpError("ImageKAN needs one hidden width at least, got none")
        self.kan((self.in_chans * self.img_size[0] * self.img_size[1], *self.widths))

    def kan(self, widths: tuple[int, ...]) -> KANConfig:
        """Of a KAN with these widths and the options that are here."""
        return KANConfig(
            widths=widths,
            grid=self.grid,
            k=self.k,
            grid_range=self.grid_range,
            basis=self.basis,
            base=self.base,
            norm=self.norm,
            options=self.options,
        )


class ImageKAN(PixelModel):
    """Pixels to a KAN's hidden layers (`body`) to one more layer of edges (`head`).

    Args:
        config: the sizes.

    Shape:
        images (b, c, h, w) -> logits (b, k), or (b, d) with `num_classes=0`.

    Example:
        >>> import torch
        >>> ImageKAN(ImageKANConfig(widths=(8,)))(torch.zeros(5, 1, 28, 28)).shape
        torch.Size([5, 10])
    """

    NAME = "KAN"

    config: ImageKANConfig

    def __init__(self, config: ImageKANConfig):
        super().__init__(config)
        self.num_features = config.widths[-1]
        height, width = config.img_size
        pixels = config.in_chans * height * width
        self.body = KAN.from_config(config.kan((pixels, *config.widths)))
        self.head = self._make_head()
        self.feature_info = [
            {"num_chs": nodes, "reduction": max(height, width), "module": f"body.layers.{i}"}
            for i, nodes in enumerate(config.widths)
        ]

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns, in timm's form, that sort parameters by layer."""
        return {"stem": r"^body\.layers\.0", "blocks": [(r"^body\.layers\.(\d+)", None)]}

    def _embed(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b p"]:
        return self.pixels(images)

    def _blocks(self) -> list[Callable[[Tensor], Tensor]]:
        return steps(self.body.layers, recomputed=self.grad_checkpointing)

    def _make_head(self) -> nn.Module:
        """One more layer of edges."""
        c = self.config
        if not c.num_classes:
            return nn.Identity()
        return KAN.from_config(c.kan((c.widths[-1], c.num_classes)))


VARIANTS = {"kan": ImageKANConfig()}
