"""Scaling MLPs: images flattened, then blocks of plain linear layers.

Paper: Bachmann, Anagnostidis and Hofmann 2023, arXiv:2306.13575, section 2 and table 5.
Reference: gregorbachmann/scaling_mlps, models/networks.py (read, not copied: it has no licence).
Nothing here knows that pixels have neighbours.
Axes: b batch, c channels, h w pixels, d width, k classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_choice, check_integers
from allmlp.layers.block_stack import run_blocks, run_blocks_keeping, show_vector
from allmlp.layers.head import make_head
from allmlp.layers.mlp import Mlp
from allmlp.layers.pixels import Pixels, refuse_resize
from allmlp.models.contract import VisionModel

__all__ = ["VARIANTS", "BottleneckBlock", "ScalingMlp", "ScalingMlpConfig", "StandardBlock"]


class BottleneckBlock(nn.Module):
    """`x + mlp(norm(x))` with a hidden width above d (B-MLP): an inverted bottleneck.

    Shape:
        (b, d) -> (b, d); dtype unchanged.
    """

    def __init__(self, *, width: int, hidden: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mlp = Mlp(width, hidden)

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        return x + self.mlp(self.norm(x))


class StandardBlock(nn.Module):
    """One linear layer with norm and GELU, no residual (S-MLP).

    Args:
        width: d.
        order: `code`, `fc(g(norm(x)))` as the reference computes, or `paper`, `g(fc(norm(x)))`.

    Shape:
        (b, d) -> (b, d); dtype unchanged.
    """

    def __init__(self, *, width: int, order: Literal["code", "paper"] = "code"):
        super().__init__()
        check_choice("order", order, ("code", "paper"))
        self.norm = nn.LayerNorm(width)
        self.fc = nn.Linear(width, width)
        self.before = nn.GELU() if order == "code" else nn.Identity()
        self.after = nn.GELU() if order == "paper" else nn.Identity()

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        return self.after(self.fc(self.before(self.norm(x))))


BLOCKS: dict[str, Callable[[int, int], nn.Module]] = {  # from width and expansion
    "bottleneck": lambda d, k: BottleneckBlock(width=d, hidden=k * d),
    "standard": lambda d, k: StandardBlock(width=d),
    "standard_paper": lambda d, k: StandardBlock(width=d, order="paper"),
}


@dataclass(frozen=True, kw_only=True)
class ScalingMlpConfig:
    """Sizes of one Scaling MLP. The defaults are B-6/Wi-1024.

    Raises:
        AllmlpError: a size is no positive integer, or the block is unknown.
    """

    img_size: tuple[int, int] = (64, 64)  # pixels, height and width
    in_chans: int = 3
    width: int = 1024  # d; "Wi" and m in the paper
    depth: int = 6  # blocks, L; of standard ones L - 1, the first layer counts
    expansion: int = 4  # hidden width of a bottleneck block over d
    block: Literal["bottleneck", "standard", "standard_paper"] = "bottleneck"
    num_classes: int = 1000  # 0 leaves the head out

    SIZES: ClassVar = ("width", "depth", "expansion", "block")

    def __post_init__(self) -> None:
        height, width = self.img_size
        check_integers(
            "ScalingMlp",
            minimum=1,
            height=height,
            width=width,
            in_chans=self.in_chans,
            expansion=self.expansion,
        )
        check_integers("ScalingMlp", minimum=1, width=self.width)
        check_integers("ScalingMlp", minimum=0, num_classes=self.num_classes)
        check_choice("block", self.block, BLOCKS)
        # the first layer alone would be no block to look into
        check_integers("ScalingMlp", minimum=2 - (self.block == "bottleneck"), depth=self.depth)

    @property
    def num_blocks(self) -> int:
        """Of either kind."""
        return self.depth if self.block == "bottleneck" else self.depth - 1


class ScalingMlp(VisionModel):
    """Pixels in channel, row, column order to width d, blocks, linear head; torch's own start.

    There is no norm before the head.

    Args:
        config: the sizes.

    Shape:
        images (b, c, h, w) -> logits (b, k), or (b, d) with `num_classes=0`.

    Raises:
        AllmlpError: at run time, images of another shape.

    Example:
        >>> import torch
        >>> config = ScalingMlpConfig(img_size=(8, 8), width=16, depth=2, num_classes=10)
        >>> ScalingMlp(config)(torch.zeros(5, 3, 8, 8)).shape
        torch.Size([5, 10])
    """

    def __init__(self, config: ScalingMlpConfig):
        super().__init__()
        self.config = config
        self.num_features = config.width
        self.grad_checkpointing = False
        height, width = config.img_size
        self.pixels = Pixels("Scaling MLP", in_chans=config.in_chans, img_size=config.img_size)
        self.embed = nn.Linear(config.in_chans * height * width, config.width)
        self.blocks = nn.ModuleList(
            BLOCKS[config.block](config.width, config.expansion) for _ in range(config.num_blocks)
        )
        self.head = make_head(config.width, config.num_classes)
        self.feature_info = [
            {"num_chs": config.width, "reduction": max(height, width), "module": f"blocks.{i}"}
            for i in range(config.num_blocks)
        ]

    def forward_features(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        """What the last block gives, without a norm."""
        x = self.embed(self.pixels(images))
        return run_blocks(self.blocks, x, recompute=self.grad_checkpointing)

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
        """The output of chosen blocks, and of the last one.

        Args:
            images: a batch.
            indices: block numbers (negative ones count from the end), the last n blocks for an
                integer n, or all for None.
            norm: without effect, there is no final norm.
            output_fmt: maps of one place (b, d, 1, 1), or tokens (b, 1, d).
            intermediates_only: return the list alone and skip the blocks after the last one asked.

        Raises:
            AllmlpError: a block that does not exist, or an unknown format.
        """
        return run_blocks_keeping(
            self.blocks,
            self.embed(self.pixels(images)),
            indices,
            show=show_vector,
            output_fmt=output_fmt,
            intermediates_only=intermediates_only,
            recompute=self.grad_checkpointing,
        )

    def get_classifier(self) -> nn.Module:
        """The head: `nn.Linear`, or `nn.Identity` without classes."""
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """Put in a fresh head for `num_classes` classes; 0 removes it, and it can come back.

        Raises:
            AllmlpError: `num_classes` is negative.
        """
        self.config = replace(self.config, num_classes=num_classes)
        self.head = make_head(self.config.width, num_classes).to(self.embed.weight)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the blocks in the backward pass: less memory, a third more time."""
        self.grad_checkpointing = enable

    @staticmethod
    def resize_config(config: ScalingMlpConfig, img_size: tuple[int, int], method: Any) -> Any:
        """Always refused: the first layer has weights for each pixel.

        Raises:
            AllmlpError: always.
        """
        refuse_resize("Scaling MLP", config.img_size)

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
        """Patterns, in timm's form, that sort parameters into the first layer and blocks."""
        return {"stem": r"^embed", "blocks": [(r"^blocks\.(\d+)", None)]}


VARIANTS = {
    # paper, table 5 (which counts the 11,230 classes of its ImageNet-21k)
    "scaling_mlp_b6_w256": ScalingMlpConfig(width=256),
    "scaling_mlp_b12_w256": ScalingMlpConfig(width=256, depth=12),
    "scaling_mlp_b6_w512": ScalingMlpConfig(width=512),
    "scaling_mlp_b12_w512": ScalingMlpConfig(width=512, depth=12),
    "scaling_mlp_b6_w1024": ScalingMlpConfig(),
    "scaling_mlp_b12_w1024": ScalingMlpConfig(depth=12),
    # "about 70 M" parameters: the standard MLP
    "scaling_mlp_s6_w2048": ScalingMlpConfig(width=2048, block="standard"),
}
