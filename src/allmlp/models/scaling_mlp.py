"""Scaling MLPs: images flattened, then blocks of plain linear layers.

Paper: Bachmann, Anagnostidis and Hofmann 2023, arXiv:2306.13575, section 2 and table 5.
Reference: gregorbachmann/scaling_mlps, models/networks.py (read, not copied: it has no licence).
Nothing here knows that pixels have neighbours.
Axes: b batch, c channels, h w pixels, d width, k classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_choice, check_integers
from allmlp.layers.head import make_head
from allmlp.layers.mlp import Mlp
from allmlp.layers.recompute import steps
from allmlp.models.pixel_model import PixelModel

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

    img_size: tuple[int, int] = (64, 64)  #: pixels, height and width
    in_chans: int = 3
    width: int = 1024  #: d; "Wi" and m in the paper
    depth: int = 6  #: blocks, L; of standard ones L - 1, the first layer counts
    expansion: int = 4  #: hidden width of a bottleneck block over d
    block: Literal["bottleneck", "standard", "standard_paper"] = "bottleneck"
    num_classes: int = 1000  #: 0 leaves the head out

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


class ScalingMlp(PixelModel):
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

    NAME = "Scaling MLP"

    config: ScalingMlpConfig

    def __init__(self, config: ScalingMlpConfig):
        super().__init__(config)
        self.num_features = config.width
        height, width = config.img_size
        self.embed = nn.Linear(config.in_chans * height * width, config.width)
        self.blocks = nn.ModuleList(
            BLOCKS[config.block](config.width, config.expansion) for _ in range(config.num_blocks)
        )
        self.head = self._make_head()
        self.feature_info = [
            {"num_chs": config.width, "reduction": max(height, width), "module": f"blocks.{i}"}
            for i in range(config.num_blocks)
        ]

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns, in timm's form, that sort parameters into the first layer and blocks."""
        return {"stem": r"^embed", "blocks": [(r"^blocks\.(\d+)", None)]}

    def _embed(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        return self.embed(self.pixels(images))

    def _blocks(self) -> list[Callable[[Tensor], Tensor]]:
        return steps(self.blocks, recomputed=self.grad_checkpointing)

    def _make_head(self) -> nn.Module:
        return make_head(self.num_features, self.config.num_classes)


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
