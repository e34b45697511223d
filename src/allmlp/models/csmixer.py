"""CS-Mixer: one matrix mixes places and channels, compressed to few numbers; near and far by turns.

Paper: Cui et al. 2023, arXiv:2308.13363. Only its abstract could be read, and no code was released.
Reference: the first author's development repository six weeks before the paper, crrrr30/convmixer,
branch new, timm/models/tpmlp.py at 3e3cc4a: its L has the paper's 94 M parameters and 13.7 GMACs.
DIFF: a batch of one works (the reference drops its axis); maps of any size, padded with zeros after
    compression, where the reference takes images of multiples of 224 pixels alone.
DIFF: kept residual branches are divided by 1 - rate; the head starts at zero.
Axes: b batch, c image channels, h w rows and columns, d width, m heads, r rank, p groups of the
batch, n places of a group, k classes.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from allmlp.errors import AllmlpError, check_choice, check_integers, check_rates, check_sizes
from allmlp.layers.head import make_zero_head, zero_head_
from allmlp.layers.layout import show_places
from allmlp.layers.mix_block import MixBlock
from allmlp.layers.mlp import Mlp
from allmlp.layers.pool import MeanPool
from allmlp.layers.pyramid import make_stages
from allmlp.models.pyramid import PATCH, Pyramid

__all__ = [
    "GROUPINGS",
    "VARIANTS",
    "CSMixer",
    "CSMixerConfig",
    "CrossScaleMerge",
    "CrossScaleStem",
    "SpatialChannelMix",
]

MLP_RATIO = 4

# group (i, j), place (y, x) within it: neighbours share a group, or places a fixed distance apart
GROUPINGS = {
    "local": "b (i y) (j x) (m r)",
    "global": "b (y i) (x j) (m r)",
}
_GROUPED = "m (b i j) (y x r)"


@dataclass(frozen=True, kw_only=True)
class CSMixerConfig:
    """Sizes of one CS-Mixer. The defaults are CS-Mixer-T.

    Raises:
        AllmlpError: a size is no positive integer, the stages do not agree in number, the first
            width is no multiple of 8, the image is too small, or the rate lies outside [0, 1).
    """

    img_size: tuple[int, int] = (224, 224)  #: pixels; other sizes work with the same weights
    in_chans: int = 3
    width: int = 64  #: d of the first stage, doubled at each; "E"
    depths: tuple[int, ...] = (1, 1, 8, 6)  #: blocks
    heads: tuple[int, ...] = (2, 4, 8, 16)  #: m, matrices of a block
    ranks: tuple[int, ...] = (2, 2, 2, 2)  #: r, numbers of a place in one head; "d"
    group_side: int = 7  #: places a side; smaller where the map of img_size is
    num_classes: int = 1000  #: 0 leaves the head out
    drop_path_rate: float = 0.0  #: of the last block; linear, from 0

    # what weights fix and a variant's name promises
    SIZES: ClassVar = ("width", "depths", "heads", "ranks", "group_side")

    def __post_init__(self) -> None:
        check_sizes("CS-Mixer", count=2, img_size=self.img_size)
        check_sizes("CS-Mixer", depths=self.depths, heads=self.heads, ranks=self.ranks)
        check_integers("CS-Mixer", minimum=1, in_chans=self.in_chans, width=self.width)
        check_integers("CS-Mixer", minimum=1, group_side=self.group_side)
        check_integers("CS-Mixer", minimum=0, num_classes=self.num_classes)
        check_rates("CS-Mixer", drop_path_rate=self.drop_path_rate)
        if not len(self.depths) == len(self.heads) == len(self.ranks) > 0:
            raise AllmlpError(
                "CS-Mixer needs a depth, heads and a rank for each stage, got "
                f"{len(self.depths)}, {len(self.heads)} and {len(self.ranks)}"
            )
        if self.width % 8:
            raise AllmlpError(
                "CS-Mixer needs a width of a multiple of 8, whose last eighth reads the largest "
                f"patches, got {self.width}"
            )
        self.check_image(self.img_size)

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the stages."""
        return tuple(self.width << i for i in range(len(self.depths)))

    def side(self, stage: int) -> int:
        """Places a side of the groups of a stage."""
        return min(self.group_side, *(size // (PATCH << stage) for size in self.img_size))

    def check_image(self, size: tuple[int, int]) -> None:
        """Require a map of one place at least in the last stage.

        Raises:
            AllmlpError: a side is too short.
        """
        least = PATCH << (len(self.depths) - 1)
        if min(size) < least:
            raise AllmlpError(
                f"CS-Mixer of {len(self.depths)} stages needs images of {least} pixels a side at "
                f"least, got {size[0]}x{size[1]}; enlarge them"
            )


class CrossScaleStem(nn.Module):
    """Patches of 4, 8, 16 and 32 pixels around the same centres, side by side, then LayerNorm.

    Half of the channels read the smallest patches, an eighth each the two largest.

    Shape:
        (b, c, h, w) -> (b, h / 4, w / 4, d), rounded down; dtype unchanged.
    """

    def __init__(self, *, in_chans: int, width: int):
        super().__init__()
        shares = (2, 4, 8, 8)
        self.convs = nn.ModuleList(
            nn.Conv2d(in_chans, width // share, kernel, stride=PATCH, padding=(kernel - PATCH) // 2)
            for kernel, share in zip((4, 8, 16, 32), shares, strict=True)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b y x d"]:
        maps = torch.cat([conv(images) for conv in self.convs], dim=1)
        return self.norm(maps.permute(0, 2, 3, 1).contiguous())


class CrossScaleMerge(nn.Module):
    """LayerNorm, then every 2 × 2 and every 4 × 4 places around the same centre, side by side.

    Shape:
        (b, h, w, d) -> (b, h / 2, w / 2, 2 d), rounded down; dtype unchanged.
    """

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, kernel, stride=2, padding=(kernel - 2) // 2)
            for kernel in (2, 4)
        )

    def forward(self, x: Float[Tensor, "b h w d"]) -> Float[Tensor, "b h2 w2 d2"]:
        x = self.norm(x).permute(0, 3, 1, 2)
        maps = torch.cat([conv(x) for conv in self.convs], dim=1)
        return maps.permute(0, 2, 3, 1).contiguous()


class SpatialChannelMix(nn.Module):
    """`out(gate(x) * up(M down(x)))`, M one matrix per head over places and ranks of a group.

    Every place is compressed to m heads of r numbers; in each group and head the n r numbers are
    multiplied by one matrix, which no image changes; restored to d channels, they gate the place.
    There is no activation: the map is bilinear. It starts as `out(gate(x))`.

    The matrices read the compressed numbers alone, so only those are sorted into groups.

    Args:
        width: d.
        heads: m.
        rank: r.
        side: places a side of a group; n = side².
        grouping: `local`, windows; `global`, grids of places as far apart as the map allows. A map
            that is no larger than a group is one window either way.

    Shape:
        (b, h, w, d) -> (b, h, w, d); dtype unchanged. Maps that groups do not tile are mixed as if
        their compressed numbers went on with zeros.

    Raises:
        AllmlpError: a size is no positive integer, or an unknown grouping.

    Example:
        >>> mix = SpatialChannelMix(width=8, heads=2, rank=2, side=3, grouping="global")
        >>> mix(torch.zeros(1, 6, 7, 8)).shape
        torch.Size([1, 6, 7, 8])
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        rank: int,
        side: int,
        grouping: Literal["local", "global"],
    ):
        super().__init__()
        check_integers("SpatialChannelMix", minimum=1, width=width, heads=heads, rank=rank)
        check_integers("SpatialChannelMix", minimum=1, side=side)
        check_choice("grouping", grouping, GROUPINGS)
        self.heads, self.rank, self.side, self.grouping = heads, rank, side, grouping
        numbers = side * side * rank
        self.gate = nn.Linear(width, width)
        self.down = nn.Linear(width, heads * rank)
        # multiplied from the right: the first axis is read, the second written
        self.weight = nn.Parameter(torch.empty(heads, numbers, numbers))
        self.bias = nn.Parameter(torch.empty(heads, numbers))
        self.up = nn.Linear(heads * rank, width)
        self.out = nn.Linear(width, width)
        self.init_weights()

    def init_weights(self) -> None:
        """Normal of std 0.02, biases 0; `up` nearly zero with biases 1, so that its gates are 1."""
        for layer in (self.gate, self.down, self.out):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        nn.init.trunc_normal_(self.weight, std=0.02)
        nn.init.zeros_(self.bias)
        bound = 1e-3 / self.side**2
        nn.init.uniform_(self.up.weight, -bound, bound)
        nn.init.ones_(self.up.bias)

    def forward(self, x: Float[Tensor, "b h w d"]) -> Float[Tensor, "b h w d"]:
        return self.out(self.gate(x) * self.up(self._mix(self.down(x))))

    def places(self, height: int, width: int) -> Int64[Tensor, "p n"]:
        """Which places of a map each group mixes, as numbers row by row; -1 beyond the map.

        Example:
            >>> mix = SpatialChannelMix(width=8, heads=1, rank=1, side=2, grouping="global")
            >>> mix.places(4, 4)[0].tolist()
            [0, 2, 8, 10]
        """
        numbers = torch.arange(height * width).view(1, height, width, 1)
        numbers = F.pad(numbers, self._padding(height, width), value=-1)
        sizes = {"y": self.side, "x": self.side, "r": 1}
        return rearrange(numbers, f"{self._pattern(height, width)} -> {_GROUPED}", **sizes)[0]

    def _padding(self, height: int, width: int) -> tuple[int, ...]:
        return (0, 0, 0, -width % self.side, 0, -height % self.side)

    def _pattern(self, height: int, width: int) -> str:
        return GROUPINGS[self.grouping if min(height, width) > self.side else "local"]

    def _mix(self, z: Float[Tensor, "b h w f"]) -> Float[Tensor, "b h w f"]:
        height, width = z.shape[1:3]
        z = F.pad(z, self._padding(height, width))
        pattern = self._pattern(height, width)
        sizes = {"y": self.side, "x": self.side, "r": self.rank}
        groups = rearrange(z, f"{pattern} -> {_GROUPED}", **sizes)
        groups = torch.baddbmm(self.bias[:, None], groups, self.weight)
        i, j = z.shape[1] // self.side, z.shape[2] // self.side
        z = rearrange(groups, f"{_GROUPED} -> {pattern}", i=i, j=j, **sizes)
        return z[:, :height, :width]

    def extra_repr(self) -> str:
        return f"heads={self.heads}, rank={self.rank}, side={self.side}, grouping={self.grouping!r}"


class CSMixer(Pyramid):
    """A pyramid of stages at strides 4, 8, 16 and 32, LayerNorm, mean over places, linear head.

    In a stage, blocks take local and global groups by turns, local ones first.

    Args:
        config: the sizes.

    Shape:
        images (b, c, h, w) -> logits (b, k), or (b, d) with `num_classes=0`.

    Raises:
        AllmlpError: at run time, another number of channels, or images too small for the stages.

    Example:
        >>> config = CSMixerConfig(img_size=(32, 32), width=8, depths=(2, 1), heads=(2, 2),
        ...                        ranks=(2, 2), group_side=4, num_classes=5)
        >>> CSMixer(config)(torch.zeros(1, 3, 40, 32)).shape
        torch.Size([1, 5])
    """

    NAME = "CS-Mixer"

    config: CSMixerConfig

    def __init__(self, config: CSMixerConfig):
        super().__init__(config)
        self.stem = CrossScaleStem(in_chans=config.in_chans, width=config.width)
        self.stages = make_stages(
            config.depths,
            config.drop_path_rate,
            down=lambda i: CrossScaleMerge(config.widths[i - 1]),
            block=self._make_block,
        )
        self.norm = nn.LayerNorm(config.widths[-1])
        self.pool = MeanPool(1, 2)
        self.head = self._make_head()
        self.init_weights()

    def _make_block(self, stage: int, number: int, drop_path_rate: float) -> MixBlock:
        c, width = self.config, self.config.widths[stage]
        return MixBlock(
            width=width,
            mix=SpatialChannelMix(
                width=width,
                heads=c.heads[stage],
                rank=c.ranks[stage],
                side=c.side(stage),
                grouping="global" if number % 2 else "local",
            ),
            channel_mlp=Mlp(width, MLP_RATIO * width),
            drop_path_rate=drop_path_rate,
        )

    def init_weights(self) -> None:
        """Draw all linear maps anew, normal of std 0.02, biases 0; convolutions as torch does.

        The mixers start as gates of one, the head at zero.
        """
        for module in self.modules():
            if isinstance(module, Mlp):
                for layer in (module.fc1, module.fc2):
                    nn.init.trunc_normal_(layer.weight, std=0.02)
                    nn.init.zeros_(layer.bias)
            elif isinstance(module, SpatialChannelMix):
                module.init_weights()
            elif isinstance(module, nn.Conv2d):
                module.reset_parameters()
        zero_head_(self.head)

    @classmethod
    def resize_config(
        cls, config: CSMixerConfig, img_size: tuple[int, int], method: str | None
    ) -> CSMixerConfig:
        """As in `VisionModel`: the weights stay as they are.

        Raises:
            AllmlpError: a method is named, or the size asks for smaller groups than the weights'.
        """
        new: CSMixerConfig = super().resize_config(config, img_size, method)
        for stage in range(len(config.depths)):
            if new.side(stage) != config.side(stage):
                raise AllmlpError(
                    f"these weights mix groups of {config.side(stage)}x{config.side(stage)} places "
                    f"in stage {stage}, built for images of {img_size[0]}x{img_size[1]} they would "
                    f"be of {new.side(stage)}x{new.side(stage)}; keep img_size and call the model "
                    "with these images, which pads the groups"
                )
        return new

    def _make_head(self) -> nn.Module:
        return make_zero_head(self.num_features, self.config.num_classes)

    def _show(self, x: Float[Tensor, "b y x d"], output_fmt: str) -> Tensor:
        return show_places(x, output_fmt)


_S = CSMixerConfig(width=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24), ranks=(4, 4, 4, 4))

VARIANTS = {
    # the development file's; only L could be held against the paper
    "csmixer_t": CSMixerConfig(),
    "csmixer_s": _S,
    "csmixer_b": replace(_S, depths=(2, 2, 18, 2)),
    "csmixer_l": replace(_S, width=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32)),
}
