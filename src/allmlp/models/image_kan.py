"""A KAN on pixels: images flattened, one KAN over all of them.

Paper: Liu et al. 2024, arXiv:2404.19756 (the network; no images there).
Every pixel is an input with functions of its own: nothing here knows that pixels have neighbours.
Axes: b batch, c channels, h w pixels, d nodes of the last hidden layer, k classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers
from allmlp.layers.block_stack import run_blocks, run_blocks_keeping, show_vector
from allmlp.layers.pixels import Pixels, refuse_resize
from allmlp.models.contract import VisionModel
from allmlp.models.kan import KAN
from allmlp.models.kan_config import KANConfig

__all__ = ["VARIANTS", "ImageKAN", "ImageKANConfig"]


@dataclass(frozen=True, kw_only=True)
class ImageKANConfig:
    """Sizes of one KAN on images; those of the KAN itself are named as there.

    Raises:
        AllmlpError: a size is no positive integer, or an unknown name or option.
    """

    img_size: tuple[int, int] = (28, 28)  # pixels, height and width
    in_chans: int = 1
    num_classes: int = 10  # 0 leaves the head out
    widths: tuple[int, ...] = (64,)  # hidden nodes
    grid: int = 5
    k: int = 3
    grid_range: tuple[float, float] = (-1.0, 1.0)  # of pixels too, normalised as they come
    basis: str = "bspline"
    base: str | None = "silu"
    norm: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    SIZES: ClassVar = ("widths", "grid", "k", "basis")

    def __post_init__(self) -> None:
        height, width = self.img_size
        check_integers("ImageKAN", minimum=1, height=height, width=width, in_chans=self.in_chans)
        check_integers("ImageKAN", minimum=0, num_classes=self.num_classes)
        if not self.widths:
            raise AllmlpError("ImageKAN needs one hidden width at least, got none")
        self.kan((self.in_chans * height * width, *self.widths))

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


class ImageKAN(VisionModel):
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

    def __init__(self, config: ImageKANConfig):
        super().__init__()
        self.config = config
        self.num_features = config.widths[-1]
        self.grad_checkpointing = False
        height, width = config.img_size
        self.pixels = Pixels("KAN", in_chans=config.in_chans, img_size=config.img_size)
        pixels = config.in_chans * height * width
        self.body = KAN.from_config(config.kan((pixels, *config.widths)))
        self.head = _head(config)
        self.feature_info = [
            {"num_chs": nodes, "reduction": max(height, width), "module": f"body.layers.{i}"}
            for i, nodes in enumerate(config.widths)
        ]

    def forward_features(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        """Nodes of the last hidden layer."""
        x = self.pixels(images)
        return run_blocks(self.body.layers, x, recompute=self.grad_checkpointing)

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
        """The nodes of chosen hidden layers, and of the last one.

        Args:
            images: a batch.
            indices: hidden layers (negative ones count from the end), the last n for an integer n,
                or all for None.
            norm: without effect, there is no final norm.
            output_fmt: maps of one place (b, d, 1, 1), or tokens (b, 1, d).
            intermediates_only: return the list alone and skip the layers after the last one asked.

        Raises:
            AllmlpError: a layer that does not exist, or an unknown format.
        """
        return run_blocks_keeping(
            self.body.layers,
            self.pixels(images),
            indices,
            show=show_vector,
            output_fmt=output_fmt,
            intermediates_only=intermediates_only,
            recompute=self.grad_checkpointing,
        )

    def get_classifier(self) -> nn.Module:
        """The head: a KAN of one layer, or `nn.Identity` without classes."""
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """Put in a fresh head for `num_classes` classes; 0 removes it, and it can come back.

        Raises:
            AllmlpError: `num_classes` is negative.
        """
        self.config = replace(self.config, num_classes=num_classes)
        self.head = _head(self.config).to(next(self.body.parameters()))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute hidden layers in the backward pass; they keep little but their input anyway."""
        self.grad_checkpointing = enable

    @staticmethod
    def resize_config(config: Any, img_size: tuple[int, int], method: Any) -> Any:
        """Always refused: the functions belong to pixels.

        Raises:
            AllmlpError: always.
        """
        refuse_resize("KAN on pixels", config.img_size)

    def resize_state(
        self, state: Mapping[str, Tensor], old_config: Any, method: Any
    ) -> dict[str, Tensor]:
        """Always refused, as `resize_config`.

        Raises:
            AllmlpError: always.
        """
        return self.resize_config(old_config, self.config.img_size, method)

    def no_weight_decay(self) -> set[str]:
        """Parameters exempt from decay beyond biases and norms: none."""
        return set()

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns, in timm's form, that sort parameters by layer."""
        return {"stem": r"^body\.layers\.0", "blocks": [(r"^body\.layers\.(\d+)", None)]}


def _head(config: ImageKANConfig) -> nn.Module:
    if not config.num_classes:
        return nn.Identity()
    return KAN.from_config(config.kan((config.widths[-1], config.num_classes)))


VARIANTS = {"kan": ImageKANConfig()}
