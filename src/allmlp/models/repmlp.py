"""RepMLPNet: matrices over places that learn with convolutions beside them, and absorb them.

Paper: Ding et al. 2022 (CVPR), arXiv:2112.11081, figures 1 and 2, table 1.
Reference: DingXiaoH/RepMLP, repmlpnet.py.
DIFF: several tiles are mixed each by itself; the reference scrambles them (`layers.share_sets`).
DIFF: features are the maps before down-sampling, as the paper feeds them to segmentation heads.
DIFF: stochastic depth by option, off as in the reference.
Three forms of one function: `training` has convolution branches and batch norms; `injected`, the
authors' deploy form, has the branches in the matrices; `deploy` has no batch norm left.
`deploy.reparameterize` goes from the first to the last.
Axes: b batch, c image channels, d width, m hidden width, h w rows and columns, k classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice, check_integers, check_rates, check_sizes
from allmlp.layers.drop_path import DropPath
from allmlp.layers.head import make_head
from allmlp.layers.layout import show_map
from allmlp.layers.pool import MeanPool
from allmlp.layers.pyramid import make_stages
from allmlp.layers.share_sets import ConvNorm, InjectedMix, ShareSetLinear, TrainingMix
from allmlp.models.pyramid import PATCH, Pyramid
from allmlp.ops.resize import interpolate_token_map, tile_counts

__all__ = [
    "VARIANTS",
    "RepMLPNet",
    "RepMLPNetConfig",
    "RepMLPUnit",
]

EXPANSION = 4


@dataclass(frozen=True, kw_only=True)
class RepMLPNetConfig:
    """Sizes of one RepMLPNet. The defaults are RepMLPNet-T224 (table 1).

    Raises:
        AllmlpError: a size is no positive integer, the stages do not agree in number, share-sets do
            not divide a width, tiles do not fit, the rate lies outside [0, 1), or an unknown form.
    """

    img_size: tuple[int, int] = (224, 224)  #: pixels, height and width
    in_chans: int = 3
    widths: tuple[int, ...] = (64, 128, 256, 512)  #: d of the stages, at strides 4, 8, 16, 32
    depths: tuple[int, ...] = (2, 2, 6, 2)  #: units
    share_sets: tuple[int, ...] = (1, 4, 16, 128)  #: matrices of a unit; channel c has c mod s
    kernels: tuple[int, ...] = (1, 3)  #: of the convolution branches, odd
    num_classes: int = 1000  #: 0 leaves the head out
    # pixels that the matrices mix, for larger images in tiles; None for the whole image
    tile_size: tuple[int, int] | None = None
    form: Literal["training", "injected", "deploy"] = "training"
    drop_path_rate: float = 0.0  #: of the last unit; linear, from 0

    # what weights fix and a variant's name promises
    SIZES: ClassVar = ("widths", "depths", "share_sets", "tile")

    def __post_init__(self) -> None:
        check_sizes("RepMLPNet", count=2, img_size=self.img_size)
        if self.tile_size is not None:
            check_sizes("RepMLPNet", count=2, tile_size=self.tile_size)
        check_sizes(
            "RepMLPNet",
            widths=self.widths,
            depths=self.depths,
            share_sets=self.share_sets,
            kernels=self.kernels,
        )
        check_integers("RepMLPNet", minimum=1, in_chans=self.in_chans)
        check_integers("RepMLPNet", minimum=0, num_classes=self.num_classes)
        check_rates("RepMLPNet", drop_path_rate=self.drop_path_rate)
        check_choice("form", self.form, _FORMS)
        if not len(self.widths) == len(self.depths) == len(self.share_sets) > 0:
            raise AllmlpError(
                "RepMLPNet needs a width, a depth and share-sets for each stage, got "
                f"{len(self.widths)}, {len(self.depths)} and {len(self.share_sets)}"
            )
        for width, sets in zip(self.widths, self.share_sets, strict=True):
            if width % sets:
                raise AllmlpError(f"{sets} share-sets do not divide the width {width}")
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise AllmlpError(f"RepMLPNet needs odd kernels, got {self.kernels}")
        stride = PATCH << (len(self.widths) - 1)
        if any(side % stride for side in self.tile):
            raise AllmlpError(
                f"RepMLPNet of {len(self.widths)} stages needs tiles of multiples of {stride} "
                f"pixels, got {self.tile[0]}x{self.tile[1]}"
            )
        self.check_image(self.img_size)

    @property
    def tile(self) -> tuple[int, int]:
        """Pixels that one matrix mixes at the first stage."""
        return self.tile_size or self.img_size

    def grid(self, stage: int) -> tuple[int, int]:
        """Rows and columns of a tile at a stage."""
        return tuple(side // (PATCH << stage) for side in self.tile)  # type: ignore[return-value]

    def check_image(self, size: tuple[int, int]) -> None:
        """Require images of whole tiles.

        Raises:
            AllmlpError: a side is no multiple of the tile's.
        """
        if any(side % own for side, own in zip(size, self.tile, strict=True)):
            raise AllmlpError(
                f"this RepMLPNet mixes tiles of {self.tile[0]}x{self.tile[1]} pixels but got "
                f"images of {size[0]}x{size[1]}; take whole multiples, or build it with "
                f"img_size=({size[0]}, {size[1]})"
            )


class MapAffine(nn.Module):
    """A scale and a shift per channel of a map: what is left of a batch norm in `deploy`.

    Shape:
        (b, d, h, w) -> (b, d, h, w); dtype unchanged.
    """

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        return torch.addcmul(self.bias[:, None, None], x, self.weight[:, None, None])


class RepMLPUnit(nn.Module):
    """Pre-norm residual mixing of places, then a two-layer perceptron over channels (figure 1).

    Args:
        mix_norm: (b, d, h, w) -> (b, d, h, w).
        mix: (b, d, h, w) -> (b, d, h, w), mixes places.
        channel_norm: as `mix_norm`.
        fc1: (b, d, h, w) -> (b, m, h, w).
        fc2: (b, m, h, w) -> (b, d, h, w).
        drop_path_rate: probability that a sample skips a branch, in [0, 1).

    Shape:
        (b, d, h, w) -> (b, d, h, w); dtype unchanged.
    """

    def __init__(
        self,
        *,
        mix_norm: nn.Module,
        mix: nn.Module,
        channel_norm: nn.Module,
        fc1: nn.Module,
        fc2: nn.Module,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.mix_norm = mix_norm
        self.mix = mix
        self.channel_norm = channel_norm
        self.fc1 = fc1
        self.activation = nn.GELU()
        self.fc2 = fc2
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        x = x + self.drop_path(self.mix(self.mix_norm(x)))
        hidden = self.activation(self.fc1(self.channel_norm(x)))
        return x + self.drop_path(self.fc2(hidden))


class Embed(nn.Module):
    """A convolution whose kernel is its stride, with what normalises it, then ReLU.

    Shape:
        (b, d, h, w) -> (b, d2, h / kernel, w / kernel); dtype unchanged.
    """

    def __init__(self, conv: nn.Module):
        super().__init__()
        self.conv = conv
        self.activation = nn.ReLU()

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d2 h2 w2"]:
        return self.activation(self.conv(x))


@dataclass(frozen=True)
class _Form:
    """The parts in which the forms differ."""

    norm: Callable[[int], nn.Module]  # before mixing, and the last one
    channel_norm: Callable[[int], nn.Module]
    conv: Callable[..., nn.Module]
    mix: Callable[..., nn.Module]


def _injected(*, kernels: Sequence[int], **options: Any) -> nn.Module:
    return InjectedMix(**options)


_FORMS = {
    "training": _Form(nn.BatchNorm2d, nn.BatchNorm2d, ConvNorm, TrainingMix),
    "injected": _Form(nn.BatchNorm2d, nn.BatchNorm2d, ConvNorm, _injected),
    "deploy": _Form(MapAffine, lambda width: nn.Identity(), nn.Conv2d, _injected),
}


class RepMLPNet(Pyramid):
    """A pyramid of stages at strides 4, 8, 16 and 32, batch norm, mean over places, linear head.

    Fresh weights are torch's.

    Args:
        config: the sizes.

    Shape:
        images (b, c, h, w) of whole tiles -> logits (b, k), or (b, d) with `num_classes=0`.

    Raises:
        AllmlpError: at run time, images of no whole tiles or of other channels.

    Example:
        >>> config = RepMLPNetConfig(img_size=(16, 24), widths=(8, 16), depths=(1, 1),
        ...                          share_sets=(1, 4), num_classes=5)
        >>> RepMLPNet(config)(torch.zeros(2, 3, 32, 24)).shape  # two tiles
        torch.Size([2, 5])
    """

    NAME = "RepMLPNet"
    RESIZES = ("block", "interpolate")

    config: RepMLPNetConfig

    def __init__(self, config: RepMLPNetConfig):
        super().__init__(config)
        conv, widths = _FORMS[config.form].conv, config.widths
        self.stem = Embed(conv(config.in_chans, widths[0], PATCH, stride=PATCH))
        self.stages = make_stages(
            config.depths,
            config.drop_path_rate,
            down=lambda i: Embed(conv(widths[i - 1], widths[i], 2, stride=2)),
            block=self._make_unit,
        )
        self.norm = _FORMS[config.form].norm(widths[-1])
        self.pool = MeanPool(2, 3)
        self.head = self._make_head()

    def _make_unit(self, stage: int, number: int, drop_path_rate: float) -> RepMLPUnit:
        c, width = self.config, self.config.widths[stage]
        form = _FORMS[c.form]
        return RepMLPUnit(
            mix_norm=form.norm(width),
            mix=form.mix(
                width=width,
                share_sets=c.share_sets[stage],
                grid=c.grid(stage),
                kernels=c.kernels,
            ),
            channel_norm=form.channel_norm(width),
            fc1=form.conv(width, EXPANSION * width, 1),
            fc2=form.conv(EXPANSION * width, width, 1),
            drop_path_rate=drop_path_rate,
        )

    @classmethod
    def resize_config(
        cls,
        config: RepMLPNetConfig,
        img_size: tuple[int, int],
        method: Literal["block", "interpolate"],
    ) -> RepMLPNetConfig:
        """The config for another image size.

        Args:
            config: of the net that has weights.
            img_size: the new height and width in pixels.
            method: `block` keeps the tile, for images of whole tiles; `interpolate` makes one tile
                of the new image.

        Raises:
            AllmlpError: the size does not fit the method.
        """
        check_choice("resize", method, cls.RESIZES)
        if method == "interpolate":
            return replace(config, img_size=img_size, tile_size=None)
        stride = PATCH << (len(config.widths) - 1)
        old, new = (tuple(s // stride for s in size) for size in (config.tile, img_size))
        tile_counts((old[0], old[1]), (new[0], new[1]))
        return replace(config, img_size=img_size, tile_size=config.tile)

    def resize_state(
        self,
        state: Mapping[str, Tensor],
        old_config: RepMLPNetConfig,
        method: Literal["block", "interpolate"],
    ) -> dict[str, Tensor]:
        """Weights of a net for another image size, as weights for this one.

        `block` changes none: every tile is mixed as before, the gates see the whole image.
        `interpolate` resamples the matrices over places; an approximation until fine-tuned.
        """
        resized = dict(state)
        if method == "block":
            return resized
        for name, module in self.named_modules():
            if not isinstance(module, ShareSetLinear):
                continue
            stage = int(name.split(".")[1])
            weight, old, new = (
                state[f"{name}.weight"],
                old_config.grid(stage),
                self.config.grid(stage),
            )
            bias = state.get(f"{name}.bias", weight.new_zeros(weight.shape[:2]))
            pairs = [
                interpolate_token_map(w, b, old, new) for w, b in zip(weight, bias, strict=True)
            ]
            resized[f"{name}.weight"] = torch.stack([w for w, _ in pairs])
            if module.bias is not None:
                resized[f"{name}.bias"] = torch.stack([b for _, b in pairs])
        return resized

    def _make_head(self) -> nn.Module:
        return make_head(self.num_features, self.config.num_classes)

    def _show(self, x: Float[Tensor, "b d y x"], output_fmt: str) -> Tensor:
        return show_map(x, output_fmt)


_T = RepMLPNetConfig()
_B = RepMLPNetConfig(widths=(96, 192, 384, 768), depths=(2, 2, 12, 2), share_sets=(1, 4, 32, 128))
_256 = (256, 256)

VARIANTS = {
    # paper, table 1
    "repmlpnet_t224": _T,
    "repmlpnet_t256": replace(_T, img_size=_256),
    "repmlpnet_b224": _B,
    "repmlpnet_b256": replace(_B, img_size=_256),
    "repmlpnet_d256": replace(_T, img_size=_256, widths=(80, 160, 320, 640), depths=(2, 2, 18, 2)),
    "repmlpnet_l256": replace(_B, img_size=_256, depths=(2, 2, 18, 2), share_sets=(1, 4, 32, 256)),
}
