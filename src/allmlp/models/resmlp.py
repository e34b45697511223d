"""ResMLP: one linear map mixes tokens, an MLP mixes channels; scales instead of norms.

Paper: Touvron et al. 2021, arXiv:2105.03404, algorithm 1 and tables 1 and 3.
Reference: facebookresearch/deit, resmlp_models.py.
DIFF: after a branch stands a scale alone, as in algorithm 1 and the reference; the paper's
    equations write a whole Aff.
DIFF: kept residual branches are divided by 1 - rate; the head starts at zero (the reference: normal
    of std 0.02).
Axes: b batch, c image channels, h w pixels, n tokens, d width, k classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice, check_integers, check_rates
from allmlp.layers.affine import Affine, LayerScale
from allmlp.layers.channel_mlp import (
    CHANNEL_MLPS,
    SELF_STARTING,
    make_channel_mlp,
    undecayed,
)
from allmlp.layers.class_mlp import ClassMlpLayer, ClassMlpPool
from allmlp.layers.drop_path import SCHEDULES, DropPath
from allmlp.layers.head import zero_head_
from allmlp.layers.init import init_lecun_, init_trunc_normal_, init_xavier_
from allmlp.layers.norm import NORMS, norm_factory
from allmlp.layers.patch_embed import STEMS
from allmlp.layers.patch_stem import check_patches
from allmlp.layers.pool import MeanPool
from allmlp.layers.residual import RESIDUALS, check_residual
from allmlp.layers.token_linear import TokenLinear
from allmlp.models.token_model import TokenGrid, TokenModel
from allmlp.ops.resize import (
    interpolate_reading,
    interpolate_token_map,
    tile_reading,
    tile_token_map,
)

__all__ = ["VARIANTS", "ResMLP", "ResMLPBlock", "ResMLPConfig"]

POOLINGS = ("mean", "class_mlp")
INITS = ("deit", "timm")
CLASS_LAYERS = 2  # of class-MLP pooling
AFFINE = norm_factory("affine")


@dataclass(frozen=True, kw_only=True)
class ResMLPConfig(TokenGrid):
    """Sizes of one ResMLP. The defaults are ResMLP-S12 (table 1).

    Raises:
        AllmlpError: a size is no positive integer, the patches do not tile the image, a rate lies
            outside [0, 1) or finds no residual to act on, the layer scale is not positive, or a
            name is unknown.
    """

    img_size: tuple[int, int] = (224, 224)  #: pixels, height and width
    in_chans: int = 3
    patch_size: int = 16  #: pixels per side
    width: int = 384  #: d
    depth: int = 12  #: blocks
    channel_hidden: int = 1536  #: 4 d in the paper
    num_classes: int = 1000  #: 0 leaves the head out
    pooling: Literal["mean", "class_mlp"] = "mean"
    # over channels; layers.CHANNEL_MLPS
    mlp: Literal["gelu", "bilinear", "swiglu", "kan", "grkan"] = "gelu"
    norm: Literal["affine", "layer", "none"] = "affine"  #: layers.NORMS
    norm_eps: float = 1e-6  #: of "layer"
    residual: Literal["scale", "sum", "none"] = "scale"  #: LayerScale, or layers.RESIDUALS
    stem: Literal["patch", "conv"] = "patch"  #: layers.STEMS
    layer_scale: float | None = None  #: gamma at the start; None goes by the depth of the net
    drop_path_rate: float = 0.0  #: of the last block
    drop_path_schedule: Literal["linear", "constant"] = "constant"  #: the reference's
    init: Literal["deit", "timm"] = "deit"

    # what weights fix and a variant's name promises
    SIZES: ClassVar = ("patch_size", "width", "depth", "channel_hidden", "pooling")

    def __post_init__(self) -> None:
        check_integers(
            "ResMLP",
            minimum=1,
            in_chans=self.in_chans,
            patch_size=self.patch_size,
            width=self.width,
            depth=self.depth,
            channel_hidden=self.channel_hidden,
        )
        check_integers("ResMLP", minimum=0, num_classes=self.num_classes)
        check_rates("ResMLP", drop_path_rate=self.drop_path_rate)
        check_choice("pooling", self.pooling, POOLINGS)
        check_choice("mlp", self.mlp, CHANNEL_MLPS)
        check_choice("norm", self.norm, NORMS)
        check_residual("ResMLP", self.residual, self.drop_path_rate, ("scale", *RESIDUALS))
        check_choice("stem", self.stem, STEMS)
        check_choice("drop_path_schedule", self.drop_path_schedule, SCHEDULES)
        check_choice("init", self.init, INITS)
        check_patches("ResMLP", self.img_size, self.patch_size)
        if self.layer_scale is not None and not self.layer_scale > 0:
            raise AllmlpError(
                f"ResMLP needs a layer_scale above 0, got {self.layer_scale!r}; None takes the "
                "paper's for this depth"
            )

    @property
    def scale_start(self) -> float:
        """Every gamma at the start: as stated, or CaiT's rule for the depth of the whole net."""
        if self.layer_scale is not None:
            return self.layer_scale
        if self.depth <= 18:
            return 0.1
        return 1e-5 if self.depth <= 24 else 1e-6


class ResMLPBlock(nn.Module):
    """Affine, linear over tokens, scaled sum; affine, MLP over channels, scaled sum (algorithm 1).

    Args:
        width: d.
        token_linear: (b, n, d) -> (b, n, d), mixes tokens.
        channel_mlp: (..., d) -> (..., d), mixes channels.
        residual: from the width to what joins stream and branch, a `LayerScale` in the paper.
        norm: from the width to a norm over channels.
        drop_path_rate: probability that a sample skips a branch, in [0, 1).

    Shape:
        (b, n, d) -> (b, n, d); dtype unchanged.
    """

    def __init__(
        self,
        *,
        width: int,
        token_linear: nn.Module,
        channel_mlp: nn.Module,
        residual: Callable[[int], nn.Module],
        norm: Callable[[int], nn.Module] = AFFINE,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.token_norm = norm(width)
        self.token_linear = token_linear
        self.token_residual = residual(width)
        self.channel_norm = norm(width)
        self.channel_mlp = channel_mlp
        self.channel_residual = residual(width)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        branch = self.drop_path(self.token_linear(self.token_norm(x)))
        x = self.token_residual(x, branch)
        branch = self.drop_path(self.channel_mlp(self.channel_norm(x)))
        return self.channel_residual(x, branch)


class ResMLP(TokenModel):
    """Patches, `depth` blocks, affine, pooling, linear head.

    Args:
        config: the sizes.

    Shape:
        images (b, c, h, w) -> logits (b, k), or (b, d) with `num_classes=0`.

    Example:
        >>> config = ResMLPConfig(img_size=(8, 8), in_chans=1, patch_size=2, width=16, depth=2,
        ...                       channel_hidden=64, num_classes=10)
        >>> ResMLP(config)(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 10])
    """

    NAME = "ResMLP"

    config: ResMLPConfig

    def _make_block(self, drop_path_rate: float) -> ResMLPBlock:
        c = self.config
        return ResMLPBlock(
            width=c.width,
            token_linear=TokenLinear(c.num_tokens),
            channel_mlp=make_channel_mlp(c.mlp, c.width, c.channel_hidden),
            norm=norm_factory(c.norm, eps=c.norm_eps),
            residual=_residual(c),
            drop_path_rate=drop_path_rate,
        )

    def _make_pool(self) -> nn.Module:
        c = self.config
        if c.pooling == "mean":
            return MeanPool(1)
        layers = [
            ClassMlpLayer(
                num_tokens=c.num_tokens,
                width=c.width,
                channel_mlp=make_channel_mlp(c.mlp, c.width, c.channel_hidden),
                residual=_residual(c),
                norm=norm_factory(c.norm, eps=c.norm_eps),
            )
            for _ in range(CLASS_LAYERS)
        ]
        return ClassMlpPool(layers, width=c.width)

    def init_weights(self) -> None:
        """Draw all weights anew by `config.init`; affines are the identity, the head is zero.

        `deit`: normal of std 0.02, biases 0, the stem as torch starts it. `timm`: Xavier uniform,
        biases of std 1e-6 in the MLPs, LeCun normal stem. Scales start by `config.scale_start`
        either way.
        """
        for name, module in self.named_modules():
            if name == "head":
                zero_head_(module)
            elif isinstance(module, nn.Linear | nn.Conv2d | TokenLinear):
                _INIT[self.config.init](module)
            elif isinstance(module, (Affine, LayerScale, ClassMlpPool, *SELF_STARTING)):
                module.init_weights()

    def resize_state(
        self,
        state: Mapping[str, Tensor],
        old_config: ResMLPConfig,
        method: Literal["block", "interpolate"],
    ) -> dict[str, Tensor]:
        """Weights of a net for another image size, as weights for this one.

        Only the maps over tokens depend on the size. `block` mixes every tile of the larger image
        by the old map: with mean pooling the logits are the mean over the tiles; a class token
        reads the mean over the tiles, and its MLP makes that an approximation. `interpolate`
        resamples the maps for any size.
        """
        old, new = old_config.grid, self.config.grid
        resize = {"block": tile_token_map, "interpolate": interpolate_token_map}[method]
        resize_reading = {"block": tile_reading, "interpolate": interpolate_reading}[method]
        resized = dict(state)
        for i in range(self.config.depth):
            weight, bias = (f"blocks.{i}.token_linear.{kind}" for kind in ("weight", "bias"))
            resized[weight], resized[bias] = resize(state[weight], state[bias], old, new)
        if self.config.pooling == "class_mlp":
            for i in range(CLASS_LAYERS):
                key = f"pool.layers.{i}.token_linear.weight"
                own, patches = state[key][:, :1], state[key][:, 1:]
                resized[key] = torch.cat([own, resize_reading(patches, old, new)], dim=1)
        return resized

    def no_weight_decay(self) -> set[str]:
        """Parameters exempt from decay beyond biases and norms: scales, affines, class token."""
        return undecayed(self) | {
            f"{name}.{own}"
            for name, module in self.named_modules()
            if isinstance(module, Affine | LayerScale | ClassMlpPool)
            for own, _ in module.named_parameters(recurse=False)
        }


def _residual(config: ResMLPConfig) -> Callable[[int], nn.Module]:
    if config.residual == "scale":
        return partial(LayerScale, start=config.scale_start)
    return RESIDUALS[config.residual]


def _init_deit(module: nn.Linear | nn.Conv2d | TokenLinear) -> None:
    if isinstance(module, nn.Conv2d):
        module.reset_parameters()
    else:
        init_trunc_normal_(module)


def _init_timm(module: nn.Linear | nn.Conv2d | TokenLinear) -> None:
    if isinstance(module, nn.Conv2d):
        init_lecun_(module)
    else:
        init_xavier_(module, bias_std=0.0 if isinstance(module, TokenLinear) else 1e-6)


_INIT = {"deit": _init_deit, "timm": _init_timm}

_S12 = ResMLPConfig(width=384, depth=12, channel_hidden=1536)
_S24 = replace(_S12, depth=24)
_S36 = replace(_S12, depth=36)
# deit starts its B24 at 1e-6, against the rule for the depth
_B24 = ResMLPConfig(width=768, depth=24, channel_hidden=3072, layer_scale=1e-6)

VARIANTS = {
    # paper, tables 1 and 3
    "resmlp_s12": _S12,
    "resmlp_s24": _S24,
    "resmlp_s36": _S36,
    "resmlp_b24": _B24,
    "resmlp_b24_p8": replace(_B24, patch_size=8),
    "resmlp_s12_p14": replace(_S12, patch_size=14),
    "resmlp_s12_p8": replace(_S12, patch_size=8),
    "resmlp_s12_class_mlp": replace(_S12, pooling="class_mlp"),
    # not in the paper
    "resmlp_s24_p8": replace(_S24, patch_size=8),
    "resmlp_s36_p8": replace(_S36, patch_size=8),
    # scikit-learn's handwritten digits: 16 tokens
    "resmlp_digits": ResMLPConfig(
        img_size=(8, 8),
        in_chans=1,
        patch_size=2,
        width=64,
        depth=4,
        channel_hidden=256,
        num_classes=10,
    ),
}
