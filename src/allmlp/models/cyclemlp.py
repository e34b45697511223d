"""CycleMLP: an MLP over channels that reads every channel at another place.

Paper: Chen et al. 2021, arXiv:2107.10224, §3 and table 1.
Reference: ShoufaChen/CycleMLP, cycle_mlp.py. The operator stands in `layers.cycle`.
DIFF: B1 to B5 load the released weights. T, S and B were never released as code: ours are the Swin
    skeleton with the sum of three branches, which gives all six published figures after rounding.
DIFF: kept residual branches are divided by 1 - rate; the head starts at zero (the reference: normal
    of std 0.02).
Axes: b batch, c image channels, h w rows and columns, d width, k classes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from allmlp.errors import AllmlpError, check_choice, check_integers, check_rates, check_sizes
from allmlp.layers.cycle import CycleFC, CycleMix, CycleSum
from allmlp.layers.head import make_zero_head, zero_head_
from allmlp.layers.layout import show_places
from allmlp.layers.mix_block import MixBlock
from allmlp.layers.mlp import Mlp
from allmlp.layers.pool import MeanPool
from allmlp.layers.pyramid import make_stages
from allmlp.models.pyramid import PATCH, Pyramid
from allmlp.ops.shift import SHIFT_PATTERNS, make_pattern

__all__ = ["EXPERIMENTAL", "VARIANTS", "CycleMLP", "CycleMLPConfig"]

SKELETONS = ("pvt", "swin")


@dataclass(frozen=True, kw_only=True)
class CycleMLPConfig:
    """Sizes of one CycleMLP. The defaults are CycleMLP-B1 (table 1).

    Raises:
        AllmlpError: a size is no positive integer, the stages do not agree in number, the step is
            even, the rate lies outside [0, 1), or a name is unknown.
    """

    img_size: tuple[int, int] = (224, 224)  #: pixels; of the data, weights do not depend on it
    in_chans: int = 3
    widths: tuple[int, ...] = (64, 128, 320, 512)  #: of the stages, at strides 4, 8, 16, 32
    depths: tuple[int, ...] = (2, 2, 4, 2)  #: blocks
    mlp_ratios: tuple[int, ...] = (4, 4, 4, 4)  #: hidden width of the channel MLPs over width
    num_classes: int = 1000  #: 0 leaves the head out
    stepsize: int = 3  #: places that one branch reads along its axis; 1 mixes no places
    pattern: Literal["cyclic", "random", "dilated"] = "cyclic"  #: ops.SHIFT_PATTERNS
    # pvt: overlapping convolutions, branches weighed by the image; swin: patches, a plain sum
    skeleton: Literal["pvt", "swin"] = "pvt"
    dense: bool = False  #: for detectors: a norm for the map of every stage instead of the last one
    drop_path_rate: float = 0.0  #: of the last block; linear, from 0

    # what weights fix and a variant's name promises
    SIZES: ClassVar = ("widths", "depths", "mlp_ratios", "stepsize", "pattern", "skeleton")

    def __post_init__(self) -> None:
        check_sizes("CycleMLP", count=2, img_size=self.img_size)
        check_integers("CycleMLP", minimum=1, in_chans=self.in_chans)
        check_sizes("CycleMLP", widths=self.widths, depths=self.depths, mlp_ratios=self.mlp_ratios)
        if not len(self.widths) == len(self.depths) == len(self.mlp_ratios) > 0:
            raise AllmlpError(
                "CycleMLP needs a width, a depth and an MLP ratio for each stage, got "
                f"{len(self.widths)}, {len(self.depths)} and {len(self.mlp_ratios)}"
            )
        check_integers("CycleMLP", minimum=0, num_classes=self.num_classes)
        check_choice("skeleton", self.skeleton, SKELETONS)
        check_choice("shift pattern", self.pattern, SHIFT_PATTERNS)
        check_rates("CycleMLP", drop_path_rate=self.drop_path_rate)
        make_pattern(self.pattern, 1, (self.stepsize, self.stepsize))

    def check_image(self, size: tuple[int, int]) -> None:
        """Require an image of one patch at least.

        Raises:
            AllmlpError: a side is too short.
        """
        if min(size) < PATCH:
            raise AllmlpError(
                f"CycleMLP needs images of {PATCH} pixels a side at least, got {size[0]}x{size[1]};"
                " enlarge them"
            )


class ConvEmbed(nn.Module):
    """A strided convolution of an image; no norm.

    Shape:
        (b, c, h, w) -> (b, h / stride, w / stride, d), rounded as the convolution does.
    """

    def __init__(self, in_chans: int, width: int, *, kernel: int, stride: int, padding: int):
        super().__init__()
        self.conv = nn.Conv2d(in_chans, width, kernel, stride=stride, padding=padding)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b y x d"]:
        return self.conv(images).permute(0, 2, 3, 1).contiguous()


class ConvDown(nn.Module):
    """A strided convolution of a map that sees beyond its stride; no norm.

    Shape:
        (b, h, w, d) -> (b, h / stride, w / stride, d2), rounded as the convolution does.
    """

    def __init__(self, width: int, out: int, *, kernel: int, stride: int, padding: int):
        super().__init__()
        self.conv = nn.Conv2d(width, out, kernel, stride=stride, padding=padding)

    def forward(self, x: Float[Tensor, "b h w d"]) -> Float[Tensor, "b h2 w2 d2"]:
        # a view of channels-last memory: no copy before the convolution, none after it
        return self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).contiguous()


class PatchEmbed(nn.Module):
    """Patches of 4 pixels, each embedded by one linear map, then LayerNorm (Swin).

    Shape:
        (b, c, h, w) -> (b, h / 4, w / 4, d), rounded down.
    """

    def __init__(self, in_chans: int, width: int):
        super().__init__()
        self.embed = ConvEmbed(in_chans, width, kernel=4, stride=4, padding=0)
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b y x d"]:
        return self.norm(self.embed(images))


class PatchMerge(nn.Module):
    """LayerNorm and linear map of every 2 × 2 places (Swin); a last odd row or column meets zeros.

    Shape:
        (b, h, w, d) -> (b, h / 2, w / 2, d2), rounded up.
    """

    def __init__(self, width: int, out: int):
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.linear = nn.Linear(4 * width, out, bias=False)

    def forward(self, x: Float[Tensor, "b h w d"]) -> Float[Tensor, "b h2 w2 d2"]:
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        places = rearrange(x, "b (h i) (w j) d -> b h w (j i d)", i=2, j=2)
        return self.linear(self.norm(places))


@dataclass(frozen=True)
class _Skeleton:
    """The parts in which B1 to B5 and T, S, B differ."""

    stem: Callable[[int, int], nn.Module]  # from image channels and width
    down: Callable[[int, int], nn.Module]  # from two widths
    mix: Callable[..., nn.Module]


_SKELETONS = {
    "pvt": _Skeleton(
        stem=lambda c, d: ConvEmbed(c, d, kernel=7, stride=4, padding=2),
        down=lambda d, out: ConvDown(d, out, kernel=3, stride=2, padding=1),
        mix=CycleMix,
    ),
    "swin": _Skeleton(stem=PatchEmbed, down=PatchMerge, mix=CycleSum),
}


class CycleMLP(Pyramid):
    """A pyramid of stages at strides 4, 8, 16 and 32, LayerNorm, mean over places, linear head.

    Args:
        config: the sizes.

    Shape:
        images (b, c, h, w) of any size from 4 pixels -> logits (b, k), or (b, d) with
        `num_classes=0`.

    Raises:
        AllmlpError: at run time, another number of channels, or images of less than 4 pixels.

    Example:
        >>> import torch
        >>> config = CycleMLPConfig(widths=(8, 16), depths=(1, 1), mlp_ratios=(4, 4), num_classes=5)
        >>> CycleMLP(config)(torch.zeros(2, 3, 30, 41)).shape
        torch.Size([2, 5])
    """

    # parts that weights made with another `dense` lack, and that then start fresh
    FRESH = ("norm.", "out_norms.")

    NAME = "CycleMLP"

    config: CycleMLPConfig

    def __init__(self, config: CycleMLPConfig):
        super().__init__(config)
        parts = _SKELETONS[config.skeleton]
        self.stem = parts.stem(config.in_chans, config.widths[0])
        self.stages = make_stages(
            config.depths,
            config.drop_path_rate,
            down=lambda i: parts.down(config.widths[i - 1], config.widths[i]),
            block=self._make_block,
        )
        if config.dense:
            self.out_norms = nn.ModuleList(nn.LayerNorm(width) for width in config.widths)
        else:
            self.norm = nn.LayerNorm(config.widths[-1])
        self.pool = MeanPool(1, 2)
        self.head = self._make_head()
        self.init_weights()

    def _make_block(self, stage: int, number: int, drop_path_rate: float) -> MixBlock:
        c, width = self.config, self.config.widths[stage]
        seed = 2 * (sum(c.depths[:stage]) + number)  # read by the random pattern alone
        along_w = make_pattern(c.pattern, width, (1, c.stepsize), seed=seed)
        along_h = make_pattern(c.pattern, width, (c.stepsize, 1), seed=seed + 1)
        return MixBlock(
            width=width,
            mix=_SKELETONS[c.skeleton].mix(width=width, along_w=along_w, along_h=along_h),
            channel_mlp=Mlp(width, c.mlp_ratios[stage] * width),
            drop_path_rate=drop_path_rate,
        )

    def init_weights(self) -> None:
        """Draw all linear maps anew, normal of std 0.02, biases 0; convolutions as torch does.

        The head starts at zero.
        """
        for name, module in self.named_modules():
            if name == "head":
                zero_head_(module)
            elif isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, CycleFC):
                module.init_weights()
            elif isinstance(module, nn.Conv2d):
                module.reset_parameters()

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """As in `Pyramid`; the norms of dense maps stand where the final norm does."""
        groups = super().group_matcher(coarse)
        return {**groups, "blocks": [*groups["blocks"], (r"^out_norms", (99999,))]}

    def _finish(self, x: Float[Tensor, "b y x d"]) -> Float[Tensor, "b y x d"]:
        return self.out_norms[-1](x) if self.config.dense else self.norm(x)

    def _intermediate(
        self, x: Float[Tensor, "b y x d"], number: int, norm: bool
    ) -> Float[Tensor, "b y x d"]:
        return self.out_norms[number](x) if self.config.dense else x

    def _make_head(self) -> nn.Module:
        return make_zero_head(self.num_features, self.config.num_classes)

    def _show(self, x: Float[Tensor, "b y x d"], output_fmt: str) -> Tensor:
        return show_places(x, output_fmt)


_T = CycleMLPConfig(
    widths=(96, 192, 384, 768), depths=(2, 2, 6, 2), mlp_ratios=(4, 4, 4, 4), skeleton="swin"
)

VARIANTS = {
    # paper, table 1
    "cyclemlp_b1": CycleMLPConfig(),
    "cyclemlp_b2": CycleMLPConfig(depths=(2, 3, 10, 3)),
    "cyclemlp_b3": CycleMLPConfig(depths=(3, 4, 18, 3), mlp_ratios=(8, 8, 4, 4)),
    "cyclemlp_b4": CycleMLPConfig(depths=(3, 8, 27, 3), mlp_ratios=(8, 8, 4, 4)),
    "cyclemlp_b5": CycleMLPConfig(widths=(96, 192, 384, 768), depths=(3, 4, 24, 3)),
}

# found by counting; nobody has compared them with the released files
EXPERIMENTAL = {
    "cyclemlp_t": _T,
    "cyclemlp_s": replace(_T, depths=(2, 2, 18, 2)),
    "cyclemlp_b": replace(_T, widths=(128, 256, 512, 1024), depths=(2, 2, 18, 2)),
}
