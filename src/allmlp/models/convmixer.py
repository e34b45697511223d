"""ConvMixer: a depthwise convolution mixes places, a pointwise one mixes channels.

Paper: Trockman and Kolter 2022, arXiv:2201.09792, figure 2.
Reference: locuslab/convmixer, convmixer.py; locuslab/convmixer-cifar10.
No all-MLP network: its isotropic sibling, and the only one here that fits images of any size.
DIFF: images that the patches do not tile are refused (the reference drops the rest in silence).
Axes: b batch, c image channels, h w pixels or patches, d width, k classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_choice, check_integers, check_rates
from allmlp.layers.drop_path import DropPath, drop_path_rates
from allmlp.layers.head import make_head
from allmlp.layers.layout import show_map
from allmlp.layers.norm import MAP_NORMS, map_norm_factory
from allmlp.layers.patch_embed import STEMS, patch_embed
from allmlp.layers.patch_stem import check_channels, check_patches
from allmlp.layers.pool import MeanPool
from allmlp.layers.residual import RESIDUALS, check_residual
from allmlp.models.isotropic import Isotropic

__all__ = ["VARIANTS", "ConvMixer", "ConvMixerBlock", "ConvMixerConfig"]

BATCH_NORM = map_norm_factory("batch")
ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU}


@dataclass(frozen=True, kw_only=True)
class ConvMixerConfig:
    """Sizes of one ConvMixer. The defaults are ConvMixer-1536/20.

    Raises:
        AllmlpError: a size is no positive integer, the patches do not tile the image, the rate lies
            outside [0, 1) or finds no residual to act on, or a name is unknown.
    """

    img_size: tuple[int, int] = (224, 224)  #: pixels; of the data, weights do not depend on it
    in_chans: int = 3
    patch_size: int = 7  #: pixels per side
    width: int = 1536  #: d; "h" in the paper
    depth: int = 20  #: blocks
    kernel_size: int = 9  #: patches per side of the depthwise kernel
    num_classes: int = 1000  #: 0 leaves the head out
    activation: Literal["gelu", "relu"] = "gelu"  #: erf GELU
    norm: Literal["batch", "layer", "affine", "none"] = "batch"  #: layers.MAP_NORMS
    norm_eps: float = 1e-5
    residual: Literal["sum", "none"] = "sum"  #: of the depthwise half; layers.RESIDUALS
    stem: Literal["patch", "conv"] = "patch"  #: layers.STEMS
    drop_path_rate: float = 0.0  #: of the last block's depthwise half; linear, from 0

    # what weights fix and a variant's name promises
    SIZES: ClassVar = ("patch_size", "width", "depth", "kernel_size")

    def __post_init__(self) -> None:
        check_integers(
            "ConvMixer",
            minimum=1,
            in_chans=self.in_chans,
            patch_size=self.patch_size,
            width=self.width,
            depth=self.depth,
            kernel_size=self.kernel_size,
        )
        check_integers("ConvMixer", minimum=0, num_classes=self.num_classes)
        check_rates("ConvMixer", drop_path_rate=self.drop_path_rate)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("norm", self.norm, MAP_NORMS)
        check_residual("ConvMixer", self.residual, self.drop_path_rate)
        check_choice("stem", self.stem, STEMS)
        check_patches("ConvMixer", self.img_size, self.patch_size)


class ConvMixerStem(nn.Module):
    """Embedded patches, then activation and norm.

    Args:
        in_chans: c.
        patch_size: pixels per side of a patch.
        width: d.
        activation: module after the embedding.
        norm: from the width to a norm of maps.
        embed: as in `layers.PatchStem`.

    Shape:
        images (b, c, h, w) -> (b, d, h / patch_size, w / patch_size); dtype unchanged.

    Raises:
        AllmlpError: at run time, another number of channels, or a size the patches do not tile.
    """

    def __init__(
        self,
        *,
        in_chans: int,
        patch_size: int,
        width: int,
        activation: nn.Module,
        norm: Callable[[int], nn.Module] = BATCH_NORM,
        embed: Callable[[int, int, int], nn.Module] = patch_embed,
    ):
        super().__init__()
        self.in_chans = in_chans
        self.patch_size = patch_size
        self.conv = embed(in_chans, patch_size, width)
        self.activation = activation
        self.norm = norm(width)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        check_channels("this ConvMixer", images, self.in_chans)
        check_patches("ConvMixer", (images.shape[2], images.shape[3]), self.patch_size)
        return self.norm(self.activation(self.conv(images)))


class ConvMixerBlock(nn.Module):
    """Depthwise convolution with a residual, then a pointwise one without (paper, eq. 2 and 3).

    Each is followed by the activation and only then by its norm.

    Args:
        width: d.
        kernel_size: per side, odd or even. An even kernel reaches one place further to the right
            and down than to the left and up, as `padding="same"` does in torch and TensorFlow.
        activation: module after both convolutions.
        norm: from the width to a norm of maps.
        residual: from the width to what joins stream and depthwise branch.
        drop_path_rate: probability that a sample skips the depthwise half, in [0, 1).

    Shape:
        (b, d, h, w) -> (b, d, h, w); dtype unchanged.
    """

    def __init__(
        self,
        *,
        width: int,
        kernel_size: int,
        activation: nn.Module,
        norm: Callable[[int], nn.Module] = BATCH_NORM,
        residual: Callable[[int], nn.Module] = RESIDUALS["sum"],
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        before, after = (kernel_size - 1) // 2, kernel_size // 2
        # padding="same" would warn of the copy that even kernels need
        self.pad = nn.Identity() if before == after else nn.ZeroPad2d((before, after) * 2)
        self.depthwise = nn.Conv2d(
            width, width, kernel_size, padding=before if before == after else 0, groups=width
        )
        self.depthwise_norm = norm(width)
        self.residual = residual(width)
        self.pointwise = nn.Conv2d(width, width, 1)
        self.pointwise_norm = norm(width)
        self.activation = activation
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        mixed = self.depthwise_norm(self.activation(self.depthwise(self.pad(x))))
        x = self.residual(x, self.drop_path(mixed))
        return self.pointwise_norm(self.activation(self.pointwise(x)))


class ConvMixer(Isotropic):
    """Patches, `depth` blocks, mean over places, linear head. Fresh weights are torch's.

    Args:
        config: the sizes.

    Shape:
        images (b, c, h, w) of any size that the patches tile -> logits (b, k), or (b, d) with
        `num_classes=0`.

    Example:
        >>> import torch
        >>> config = ConvMixerConfig(img_size=(8, 8), patch_size=2, width=16, depth=2,
        ...                          kernel_size=3, num_classes=10)
        >>> ConvMixer(config)(torch.zeros(5, 3, 8, 12)).shape
        torch.Size([5, 10])
    """

    NAME = "ConvMixer"

    config: ConvMixerConfig

    def __init__(self, config: ConvMixerConfig):
        super().__init__(config)
        norm = map_norm_factory(config.norm, eps=config.norm_eps)
        self.stem = ConvMixerStem(
            in_chans=config.in_chans,
            patch_size=config.patch_size,
            width=config.width,
            activation=ACTIVATIONS[config.activation](),
            norm=norm,
            embed=STEMS[config.stem],
        )
        self.blocks = nn.ModuleList(
            ConvMixerBlock(
                width=config.width,
                kernel_size=config.kernel_size,
                activation=ACTIVATIONS[config.activation](),
                norm=norm,
                residual=RESIDUALS[config.residual],
                drop_path_rate=rate,
            )
            for rate in drop_path_rates(config.drop_path_rate, config.depth)
        )
        self.norm = nn.Identity()  # every block ends in its own
        self.pool = MeanPool(2, 3)
        self.head = self._make_head()

    def _make_head(self) -> nn.Module:
        return make_head(self.num_features, self.config.num_classes)

    def _show(self, x: Float[Tensor, "b d y x"], output_fmt: str) -> Tensor:
        return show_map(x, output_fmt)


VARIANTS = {
    # the three with public weights
    "convmixer_1536_20": ConvMixerConfig(),
    "convmixer_768_32": ConvMixerConfig(width=768, depth=32, kernel_size=7, activation="relu"),
    "convmixer_1024_20": ConvMixerConfig(width=1024, depth=20, patch_size=14),
    # CIFAR: the defaults of convmixer-cifar10
    "convmixer_256_8": ConvMixerConfig(
        img_size=(32, 32), patch_size=2, width=256, depth=8, kernel_size=5, num_classes=10
    ),
}
