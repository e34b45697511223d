"""An MLP on pixels: images flattened, then the layers of `models.mlp`.

Nothing here knows that pixels have neighbours.
Axes: b batch, c channels, h w pixels, d width, k classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers
from allmlp.layers.block_stack import run_blocks, run_blocks_keeping, show_vector
from allmlp.layers.lipschitz import chain_bound
from allmlp.layers.pixels import Pixels, refuse_resize
from allmlp.models.contract import VisionModel
from allmlp.models.mlp import MLPFeatureExtractor, depth_patterns, exempt_lengths, make_head
from allmlp.models.mlp_config import MLPOptions

__all__ = ["VARIANTS", "ImageMLP", "ImageMLPConfig"]


@dataclass(frozen=True, kw_only=True)
class ImageMLPConfig(MLPOptions):
    """Sizes of one MLP on images; those of the MLP itself are named as there.

    Raises:
        AllmlpError: a size is no positive integer, or as `MLPOptions`.
    """

    img_size: tuple[int, int] = (28, 28)  # pixels, height and width
    in_chans: int = 1
    num_classes: int = 10  # 0 leaves the head out

    SIZES: ClassVar = ("widths", "block", "expansion", "glu")

    def __post_init__(self) -> None:
        super().__post_init__()
        height, width = self.img_size
        check_integers("ImageMLP", minimum=1, height=height, width=width, in_chans=self.in_chans)
        check_integers("ImageMLP", minimum=0, num_classes=self.num_classes)

    @property
    def pixels(self) -> int:
        """Inputs of the MLP: numbers of an image."""
        return self.in_chans * self.img_size[0] * self.img_size[1]


class ImageMLP(VisionModel):
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

    def __init__(self, config: ImageMLPConfig):
        super().__init__()
        self.config = config
        self.grad_checkpointing = False
        self.pixels = Pixels("MLP", in_chans=config.in_chans, img_size=config.img_size)
        self.features = MLPFeatureExtractor(config.pixels, config)
        self.num_features = self.features.out_features
        self.head = make_head(config, self.num_features, config.num_classes)
        reduction = max(config.img_size)
        self.feature_info = [
            {"num_chs": units, "reduction": reduction, "module": f"features.blocks.{i}"}
            for i, units in enumerate(config.units(config.pixels))
        ]

    def forward_features(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        """What the head reads: after the final norm, if there is one."""
        x = self.features.embed(self.pixels(images))
        x = run_blocks(self.features.blocks, x, recompute=self.grad_checkpointing)
        return self.features.norm(x)

    def forward_head(
        self, x: Float[Tensor, "b d"], pre_logits: bool = False
    ) -> Float[Tensor, "b k"]:
        """The head unless `pre_logits`; there is nothing to pool."""
        return x if pre_logits else self.head(x)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        return self.forward_head(self.forward_features(images))

    def forward_intermediates(
        self,
        images: Float[Tensor, "b c h w"],
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        output_fmt: Literal["NCHW", "NLC"] = "NCHW",
        intermediates_only: bool = False,
    ) -> tuple[Tensor, list[Tensor]] | list[Tensor]:
        """The output of chosen blocks, and of the whole body.

        Args:
            images: a batch.
            indices: block numbers (negative ones count from the end), the last n blocks for an
                integer n, or all for None.
            norm: apply the final norm to each; residual blocks alone have one.
            output_fmt: maps of one place (b, d, 1, 1), or tokens (b, 1, d).
            intermediates_only: return the list alone and skip the blocks after the last one asked.

        Raises:
            AllmlpError: a block that does not exist, or an unknown format.
        """
        return run_blocks_keeping(
            self.features.blocks,
            self.features.embed(self.pixels(images)),
            indices,
            show=show_vector,
            output_fmt=output_fmt,
            intermediates_only=intermediates_only,
            final=self.features.norm,
            normalise=norm,
            recompute=self.grad_checkpointing,
        )

    def lipschitz_bound(self) -> float:
        """As `MLP.lipschitz_bound`, of pixels as the model reads them."""
        return chain_bound((self.features, self.head))

    def get_classifier(self) -> nn.Module:
        """The head: a `ClassificationHead`, or `nn.Identity` without classes."""
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """Put in a fresh head for `num_classes` classes; 0 removes it, and it can come back.

        Raises:
            AllmlpError: `num_classes` is negative.
        """
        self.config = replace(self.config, num_classes=num_classes)
        head = make_head(self.config, self.num_features, num_classes)
        self.head = head.to(next(self.features.parameters()))

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
        self.grad_checkpointing = enable

    @staticmethod
    def resize_config(config: ImageMLPConfig, img_size: tuple[int, int], method: Any) -> Any:
        """Always refused: the first layer has weights for each pixel.

        Raises:
            AllmlpError: always.
        """
        refuse_resize("MLP", config.img_size)

    def resize_state(
        self, state: Mapping[str, Tensor], old_config: Any, method: Any
    ) -> dict[str, Tensor]:
        """Always refused, as `resize_config`.

        Raises:
            AllmlpError: always.
        """
        return self.resize_config(old_config, self.config.img_size, method)

    def no_weight_decay(self) -> set[str]:
        """Parameters exempt from decay beyond biases and norms: the lengths of weight norm."""
        return exempt_lengths(self)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns, in timm's form, that sort parameters into the first layer and blocks."""
        return depth_patterns("features", residual=self.config.block == "residual")


VARIANTS = {"mlp": ImageMLPConfig(widths=(512, 512), norm="batch")}
