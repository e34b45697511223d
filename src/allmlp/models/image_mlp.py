"""An MLP on pixels: images flattened, then the layers of `models.mlp`.

Nothing here knows that pixels have neighbours.
Axes: b batch, c channels, h w pixels, d width, k classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers, check_sizes
from allmlp.layers.lipschitz import chain_bound
from allmlp.layers.recompute import steps
from allmlp.models.mlp import MLPFeatureExtractor, depth_patterns, exempt_lengths, make_head
from allmlp.models.mlp_config import MLPOptions
from allmlp.models.pixel_model import PixelModel

__all__ = ["VARIANTS", "ImageMLP", "ImageMLPConfig"]


@dataclass(frozen=True, kw_only=True)
class ImageMLPConfig(MLPOptions):
    """Sizes of one MLP on images; those of the MLP itself are named as there.

    Raises:
        AllmlpError: a size is no positive integer, or as `MLPOptions`.
    """

    img_size: tuple[int, int] = (28, 28)  #: pixels, height and width
    in_chans: int = 1
    num_classes: int = 10  #: 0 leaves the head out

    SIZES: ClassVar = ("widths", "block", "expansion", "glu")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes("ImageMLP", count=2, img_size=self.img_size)
        check_integers("ImageMLP", minimum=1, in_chans=self.in_chans)
        check_integers("ImageMLP", minimum=0, num_classes=self.num_classes)

    @property
    def pixels(self) -> int:
        """Inputs of the MLP: numbers of an image."""
        return self.in_chans * self.img_size[0] * self.img_size[1]


class ImageMLP(PixelModel):
    """Pixels in channel, row, column order to an MLP's body, then its head.

    Args:
        config: the sizes.

    Shape:
        images (b, c, h, w) -> logits (b, k), or (b, d) with `num_classes=0`.

    Raises:
        AllmlpError: at run time, images of another shape.

    Example:
        >>> import torch
        >>> ImageMLP(ImageMLPConfig(widths=(8,)))(torch.zeros(5, 1, 28, 28)).shape
        torch.Size([5, 10])
    """

    NAME = "MLP"

    config: ImageMLPConfig

    def __init__(self, config: ImageMLPConfig):
        super().__init__(config)
        self.features = MLPFeatureExtractor(config.pixels, config)
        self.num_features = self.features.out_features
        self.head = self._make_head()
        reduction = max(config.img_size)
        self.feature_info = [
            {"num_chs": units, "reduction": reduction, "module": f"features.blocks.{i}"}
            for i, units in enumerate(config.units(config.pixels))
        ]

    def lipschitz_bound(self) -> float:
        """As `MLP.lipschitz_bound`, of pixels as the model reads them."""
        return chain_bound((self.features, self.head))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the blocks in the backward pass: less memory, a third more time.

        Raises:
            AllmlpError: with spectral norm, whose weights move with every training pass.
        """
        if enable and self.config.weight_norm == "spectral":
            raise AllmlpError(
                "checkpointing runs a block twice and needs the same weights both times, but "
                "spectral norm moves them with every pass; leave one of them out"
            )
        super().set_grad_checkpointing(enable)

    def no_weight_decay(self) -> set[str]:
        """Parameters exempt from decay beyond biases and norms: the lengths of weight norm."""
        return exempt_lengths(self)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns, in timm's form, that sort parameters into the first layer and blocks."""
        return depth_patterns("features", residual=self.config.block == "residual")

    def _embed(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        return self.features.embed(self.pixels(images))

    def _blocks(self) -> list[Callable[[Tensor], Tensor]]:
        return steps(self.features.blocks, recomputed=self.grad_checkpointing)

    def _finish(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        return self.features.norm(x)

    def _make_head(self) -> nn.Module:
        return make_head(self.config, self.num_features, self.config.num_classes)


VARIANTS = {"mlp": ImageMLPConfig(widths=(512, 512), norm="batch")}
