"""MLP-Mixer: one MLP mixes tokens, the next mixes channels.

Paper: Tolstikhin et al. 2021, arXiv:2105.01601, figure 1 and table 1.
Reference: google-research/vision_transformer, vit_jax/models_mixer.py (Flax).
DIFF: kept residual branches are divided by 1 - rate (the reference does not rescale).
Axes: b batch, c image channels, h w pixels, n tokens, d width, k classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_choice, check_integers, check_rates
from allmlp.layers.channel_mlp import (
    CHANNEL_MLPS,
    SELF_STARTING,
    make_channel_mlp,
    undecayed,
)
from allmlp.layers.drop_path import SCHEDULES, DropPath
from allmlp.layers.head import zero_head_
from allmlp.layers.init import init_lecun_, init_trunc_normal_, init_xavier_
from allmlp.layers.mlp import TokenMlp
from allmlp.layers.norm import NORMS, norm_factory
from allmlp.layers.patch_embed import STEMS
from allmlp.layers.patch_stem import check_patches
from allmlp.layers.residual import RESIDUALS, check_residual
from allmlp.models.token_model import TokenGrid, TokenModel
from allmlp.ops.resize import TokenMaps, interpolate_token_maps, tile_counts, tile_token_maps

__all__ = ["VARIANTS", "Mixer", "MixerBlock", "MixerConfig"]

GELUS = {"tanh": "tanh", "erf": "none"}  # ours -> torch's name of the approximation
INITS = ("flax", "timm", "trunc_normal")
LAYER_NORM = norm_factory("layer")


@dataclass(frozen=True, kw_only=True)
class MixerConfig(TokenGrid):
    """Sizes of one Mixer. The defaults are Mixer-B/16 (table 1).

    Raises:
        AllmlpError: a size is no positive integer, the patches do not tile the image, a rate lies
            outside [0, 1) or finds no residual to act on, or a name is unknown.
    """

    img_size: tuple[int, int] = (224, 224)  #: pixels, height and width
    in_chans: int = 3
    patch_size: int = 16  #: pixels per side
    width: int = 768  #: d; "hidden size C" in the paper
    depth: int = 12  #: blocks
    token_hidden: int = 384  #: D_S, independent of the number of tokens
    channel_hidden: int = 3072  #: D_C
    num_classes: int = 1000  #: 0 leaves the head out
    # over channels; layers.CHANNEL_MLPS
    mlp: Literal["gelu", "bilinear", "swiglu", "kan", "grkan"] = "gelu"
    gelu: Literal["tanh", "erf"] = "tanh"  #: tanh: Google's weights; erf: timm's own
    norm: Literal["layer", "affine", "none"] = "layer"  #: layers.NORMS
    norm_eps: float = 1e-6  #: Flax's default, not torch's 1e-5
    residual: Literal["sum", "none"] = "sum"  #: layers.RESIDUALS
    stem: Literal["patch", "conv"] = "patch"  #: layers.STEMS
    dropout_rate: float = 0.0  #: in both MLPs
    drop_path_rate: float = 0.0  #: of the last block
    drop_path_schedule: Literal["linear", "constant"] = "linear"
    init: Literal["flax", "timm", "trunc_normal"] = "flax"

    # what weights fix and a variant's name promises
    SIZES: ClassVar = ("patch_size", "width", "depth", "token_hidden", "channel_hidden")

    def __post_init__(self) -> None:
        check_integers(
            "Mixer",
            minimum=1,
            in_chans=self.in_chans,
            patch_size=self.patch_size,
            width=self.width,
            depth=self.depth,
            token_hidden=self.token_hidden,
            channel_hidden=self.channel_hidden,
        )
        check_integers("Mixer", minimum=0, num_classes=self.num_classes)
        check_rates("Mixer", dropout_rate=self.dropout_rate, drop_path_rate=self.drop_path_rate)
        check_choice("mlp", self.mlp, CHANNEL_MLPS)
        check_choice("norm", self.norm, NORMS)
        check_residual("Mixer", self.residual, self.drop_path_rate)
        check_choice("stem", self.stem, STEMS)
        check_choice("gelu", self.gelu, GELUS)
        check_choice("drop_path_schedule", self.drop_path_schedule, SCHEDULES)
        check_choice("init", self.init, INITS)
        check_patches("Mixer", self.img_size, self.patch_size)


class MixerBlock(nn.Module):
    """Pre-norm residual MLP over tokens, then over channels (paper, eq. 1).

    Args:
        width: d.
        token_mlp: (b, n, d) -> (b, n, d), mixes tokens.
        channel_mlp: (..., d) -> (..., d), mixes channels; any kind of MLP.
        norm: from the width to a norm over channels.
        residual: from the width to what joins stream and branch.
        drop_path_rate: probability that a sample skips a branch, in [0, 1).

    Shape:
        (b, n, d) -> (b, n, d); dtype unchanged.
    """

    def __init__(
        self,
        *,
        width: int,
        token_mlp: nn.Module,
        channel_mlp: nn.Module,
        norm: Callable[[int], nn.Module] = LAYER_NORM,
        residual: Callable[[int], nn.Module] = RESIDUALS["sum"],
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        # over channels also before token mixing: every token keeps its own statistics
        self.token_norm = norm(width)
        self.token_mlp = token_mlp
        self.token_residual = residual(width)
        self.channel_norm = norm(width)
        self.channel_mlp = channel_mlp
        self.channel_residual = residual(width)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        x = self.token_residual(x, self.drop_path(self.token_mlp(self.token_norm(x))))
        return self.channel_residual(x, self.drop_path(self.channel_mlp(self.channel_norm(x))))


class Mixer(TokenModel):
    """Patches, `depth` blocks, LayerNorm, mean over tokens, linear head.

    Args:
        config: the sizes.

    Shape:
        images (b, c, h, w) -> logits (b, k), or (b, d) with `num_classes=0`.

    Example:
        >>> import torch
        >>> config = MixerConfig(img_size=(8, 8), in_chans=1, patch_size=2, width=16, depth=2,
        ...                      token_hidden=8, channel_hidden=32, num_classes=10)
        >>> Mixer(config)(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 10])
    """

    NAME = "Mixer"

    config: MixerConfig

    def _make_block(self, drop_path_rate: float) -> MixerBlock:
        c = self.config
        return MixerBlock(
            width=c.width,
            token_mlp=TokenMlp(
                c.num_tokens,
                c.token_hidden,
                activation=nn.GELU(GELUS[c.gelu]),
                dropout_rate=c.dropout_rate,
            ),
            channel_mlp=make_channel_mlp(
                c.mlp,
                c.width,
                c.channel_hidden,
                gelu=GELUS[c.gelu],
                dropout_rate=c.dropout_rate,
            ),
            norm=norm_factory(c.norm, eps=c.norm_eps),
            residual=RESIDUALS[c.residual],
            drop_path_rate=drop_path_rate,
        )

    def init_weights(self) -> None:
        """Draw all weights anew by `config.init`; the head starts at zero.

        `flax`: LeCun normal, biases 0 (what the paper's weights grew from). `timm`: Xavier uniform
        and biases of std 1e-6 in the MLPs, LeCun normal stem. `trunc_normal`: std 0.02, biases 0.
        KAN layers and rational functions keep their own start.
        """
        for name, module in self.named_modules():
            if name == "head":
                zero_head_(module)
            elif isinstance(module, nn.Linear | nn.Conv2d):
                _INIT[self.config.init](module)
            elif isinstance(module, SELF_STARTING):
                module.init_weights()

    @classmethod
    def resize_config(
        cls, config: MixerConfig, img_size: tuple[int, int], method: Literal["block", "interpolate"]
    ) -> MixerConfig:
        """As in `TokenModel`; `block` widens the token MLPs."""
        new: MixerConfig = super().resize_config(config, img_size, method)
        if method == "block":
            rows, columns = tile_counts(config.grid, new.grid)
            new = replace(new, token_hidden=rows * columns * config.token_hidden)
        return new

    def resize_state(
        self,
        state: Mapping[str, Tensor],
        old_config: MixerConfig,
        method: Literal["block", "interpolate"],
    ) -> dict[str, Tensor]:
        """Weights of a net for another image size, as weights for this one.

        Only the token MLPs depend on the size. `block` is the paper's rule: the old MLP in every
        tile of the larger image, so that the logits are the mean over the tiles. `interpolate`
        resamples the token maps for any size and keeps the hidden width.
        """
        resize = {"block": tile_token_maps, "interpolate": interpolate_token_maps}[method]
        resized = dict(state)
        for i in range(self.config.depth):
            keys = [
                f"blocks.{i}.token_mlp.{layer}.{kind}"
                for layer in ("fc1", "fc2")
                for kind in ("weight", "bias")
            ]
            old = TokenMaps(*(state[key] for key in keys))
            new = resize(old, old_config.grid, self.config.grid)
            resized.update(zip(keys, (new.w1, new.b1, new.w2, new.b2), strict=True))
        return resized

    def no_weight_decay(self) -> set[str]:
        """Parameters exempt from decay beyond biases and norms: a rational's coefficients."""
        return undecayed(self)


def _init_timm(module: nn.Linear | nn.Conv2d) -> None:
    if isinstance(module, nn.Conv2d):
        init_lecun_(module)
    else:
        init_xavier_(module, bias_std=1e-6)


_INIT = {"flax": init_lecun_, "timm": _init_timm, "trunc_normal": init_trunc_normal_}

_S = MixerConfig(width=512, depth=8, token_hidden=256, channel_hidden=2048)
_B = MixerConfig(width=768, depth=12, token_hidden=384, channel_hidden=3072)
_L = MixerConfig(width=1024, depth=24, token_hidden=512, channel_hidden=4096)
_H = MixerConfig(width=1280, depth=32, token_hidden=640, channel_hidden=5120)

VARIANTS = {
    # paper, table 1
    "mixer_s32": replace(_S, patch_size=32),
    "mixer_s16": replace(_S, patch_size=16),
    "mixer_b32": replace(_B, patch_size=32),
    "mixer_b16": replace(_B, patch_size=16),
    "mixer_l32": replace(_L, patch_size=32),
    "mixer_l16": replace(_L, patch_size=16),
    "mixer_h14": replace(_H, patch_size=14),
    # in Google's GSAM bucket, not in the paper
    "mixer_s8": replace(_S, patch_size=8),
    # CIFAR: the sizes of omihub777/MLP-Mixer-CIFAR's documented defaults
    "mixer_nano": MixerConfig(
        img_size=(32, 32),
        patch_size=4,
        width=128,
        depth=8,
        token_hidden=64,
        channel_hidden=512,
        num_classes=10,
    ),
    # scikit-learn's handwritten digits: 16 tokens
    "mixer_digits": MixerConfig(
        img_size=(8, 8),
        in_chans=1,
        patch_size=2,
        width=64,
        depth=4,
        token_hidden=32,
        channel_hidden=256,
        num_classes=10,
    ),
}
