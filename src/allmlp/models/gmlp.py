"""gMLP: one branch per block, in which half the channels gate the other half across tokens.

Paper: Liu et al. 2021, arXiv:2105.08050, tables 1 and 7. No code was published.
Reference: timm, mlp_mixer.py (`SpatialGatingBlock`), whose public weights these names load.
DIFF: timm's biases of std 1e-6 start at zero here.
Axes: b batch, c image channels, h w pixels, n tokens, d width, e hidden ("d_ffn"), k classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice, check_integers, check_rates
from allmlp.layers.drop_path import SCHEDULES, DropPath
from allmlp.layers.head import zero_head_
from allmlp.layers.hooked import hooked, is_own
from allmlp.layers.init import init_lecun_, init_xavier_
from allmlp.layers.norm import NORMS, norm_factory
from allmlp.layers.patch_embed import STEMS
from allmlp.layers.patch_stem import check_patches
from allmlp.layers.residual import RESIDUALS, check_residual
from allmlp.layers.token_linear import TokenLinear
from allmlp.models.token_model import TokenGrid, TokenModel
from allmlp.ops.linear import linear_gelu
from allmlp.ops.resize import interpolate_token_map, tile_token_map

__all__ = ["GMLP", "VARIANTS", "GMLPBlock", "GMLPConfig", "SpatialGate"]

LAYER_NORM, GATE_NORM = norm_factory("layer", eps=1e-6), norm_factory("layer", eps=1e-5)


@dataclass(frozen=True, kw_only=True)
class GMLPConfig(TokenGrid):
    """Sizes of one gMLP. The defaults are gMLP-S/16 (table 1).

    Raises:
        AllmlpError: a size is no positive integer, the hidden width is odd, the patches do not tile
            the image, a rate lies outside [0, 1) or finds no residual to act on, or a name is
            unknown.
    """

    img_size: tuple[int, int] = (224, 224)  #: pixels, height and width
    in_chans: int = 3
    patch_size: int = 16  #: pixels per side
    width: int = 256  #: d
    depth: int = 30  #: blocks
    hidden: int = 1536  #: e, 6 d in the paper; half of it gates the other half
    num_classes: int = 1000  #: 0 leaves the head out
    norm: Literal["layer", "affine", "none"] = "layer"  #: gates included; layers.NORMS
    norm_eps: float = 1e-6  #: of the blocks' LayerNorms and the last; the paper gives none
    gate_norm_eps: float = 1e-5  #: within the gates; both as in timm
    residual: Literal["sum", "none"] = "sum"  #: layers.RESIDUALS
    stem: Literal["patch", "conv"] = "patch"  #: layers.STEMS
    drop_path_rate: float = 0.0  #: of the last block
    drop_path_schedule: Literal["linear", "constant"] = "constant"  #: timm's

    # what weights fix and a variant's name promises
    SIZES: ClassVar = ("patch_size", "width", "depth", "hidden")

    def __post_init__(self) -> None:
        check_integers(
            "gMLP",
            minimum=1,
            in_chans=self.in_chans,
            patch_size=self.patch_size,
            width=self.width,
            depth=self.depth,
            hidden=self.hidden,
        )
        check_integers("gMLP", minimum=0, num_classes=self.num_classes)
        check_rates("gMLP", drop_path_rate=self.drop_path_rate)
        check_choice("drop_path_schedule", self.drop_path_schedule, SCHEDULES)
        check_choice("norm", self.norm, NORMS)
        check_residual("gMLP", self.residual, self.drop_path_rate)
        check_choice("stem", self.stem, STEMS)
        check_patches("gMLP", self.img_size, self.patch_size)
        if self.hidden % 2:
            raise AllmlpError(
                f"gMLP needs an even hidden width, as half gates the other half, got {self.hidden}"
            )


class SpatialGate(nn.Module):
    """`u * (W LN(v) + b)`: u the first half of the channels, v the second, W over tokens.

    Starts as u: W nearly zero, b one, as in the paper.

    Args:
        num_tokens: n, fixed by the weights.
        hidden: e, even.
        norm: from e / 2 channels to a norm over them.

    Shape:
        u, v (b, n, e / 2) -> (b, n, e / 2); dtype unchanged.
    """

    def __init__(
        self, num_tokens: int, hidden: int, *, norm: Callable[[int], nn.Module] = GATE_NORM
    ):
        super().__init__()
        self.norm = norm(hidden // 2)
        self.token_linear = TokenLinear(num_tokens)
        self.init_weights()

    def forward(
        self, u: Float[Tensor, "b n half"], v: Float[Tensor, "b n half"]
    ) -> Float[Tensor, "b n half"]:
        return u * self.token_linear(self.norm(v))

    def init_weights(self) -> None:
        """Draw the token map anew: normal of std 1e-6, biases one."""
        nn.init.normal_(self.token_linear.weight, std=1e-6)
        nn.init.ones_(self.token_linear.bias)


class GMLPBlock(nn.Module):
    """`x + fc2(gate(gelu(fc1(norm(x)))))`.

    Args:
        width: d.
        hidden: e.
        gate: two halves (b, n, e / 2) -> (b, n, e / 2), mixes tokens.
        norm: from the width to a norm over channels.
        residual: from the width to what joins stream and branch.
        drop_path_rate: probability that a sample skips the branch, in [0, 1).

    Shape:
        (b, n, d) -> (b, n, d); dtype unchanged.
    """

    def __init__(
        self,
        *,
        width: int,
        hidden: int,
        gate: nn.Module,
        norm: Callable[[int], nn.Module] = LAYER_NORM,
        residual: Callable[[int], nn.Module] = RESIDUALS["sum"],
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.norm = norm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.activation = nn.GELU()
        self.gate = gate
        self.fc2 = nn.Linear(hidden // 2, width)
        self.residual = residual(width)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return self.residual(x, self.drop_path(self.fc2(self.gate(*self._halves(self.norm(x))))))

    def _halves(self, x: Float[Tensor, "b n d"]) -> tuple[Tensor, ...]:
        """`gelu(fc1(x))`, cut in two."""
        merged = is_own(self.fc1, nn.Linear) and is_own(self.activation, nn.GELU)
        if hooked(self.fc1, self.activation) or not merged:
            return self.activation(self.fc1(x)).chunk(2, dim=-1)
        # two products: halves of one would be views with gaps, which the norm copies and whose
        # gradients are put together in the backward pass
        weights, biases = self.fc1.weight.chunk(2), self.fc1.bias.chunk(2)
        return tuple(
            linear_gelu(x, weight, bias, self.activation.approximate)
            for weight, bias in zip(weights, biases, strict=True)
        )


class GMLP(TokenModel):
    """Patches, `depth` blocks, LayerNorm, mean over tokens, linear head.

    Args:
        config: the sizes.

    Shape:
        images (b, c, h, w) -> logits (b, k), or (b, d) with `num_classes=0`.

    Example:
        >>> import torch
        >>> config = GMLPConfig(img_size=(8, 8), in_chans=1, patch_size=2, width=16, depth=2,
        ...                     hidden=64, num_classes=10)
        >>> GMLP(config)(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 10])
    """

    NAME = "gMLP"

    config: GMLPConfig

    def _make_block(self, drop_path_rate: float) -> GMLPBlock:
        c = self.config
        return GMLPBlock(
            width=c.width,
            hidden=c.hidden,
            gate=SpatialGate(
                c.num_tokens, c.hidden, norm=norm_factory(c.norm, eps=c.gate_norm_eps)
            ),
            norm=norm_factory(c.norm, eps=c.norm_eps),
            residual=RESIDUALS[c.residual],
            drop_path_rate=drop_path_rate,
        )

    def init_weights(self) -> None:
        """Draw all weights anew: Xavier uniform, LeCun stem, biases 0, open gates, zero head."""
        for name, module in self.named_modules():
            if name == "head":
                zero_head_(module)
            elif isinstance(module, nn.Conv2d):
                init_lecun_(module)
            elif isinstance(module, nn.Linear):
                init_xavier_(module)
            elif isinstance(module, SpatialGate):
                module.init_weights()

    def resize_state(
        self,
        state: Mapping[str, Tensor],
        old_config: GMLPConfig,
        method: Literal["block", "interpolate"],
    ) -> dict[str, Tensor]:
        """Weights of a net for another image size, as weights for this one.

        Only the gates' maps over tokens depend on the size. `block` mixes every tile of the larger
        image by the old map, so that the logits are the mean over the tiles; `interpolate`
        resamples the maps for any size.
        """
        old, new = old_config.grid, self.config.grid
        resize = {"block": tile_token_map, "interpolate": interpolate_token_map}[method]
        resized = dict(state)
        for i in range(self.config.depth):
            weight, bias = (f"blocks.{i}.gate.token_linear.{kind}" for kind in ("weight", "bias"))
            resized[weight], resized[bias] = resize(state[weight], state[bias], old, new)
        return resized


_TI16 = GMLPConfig(width=128, hidden=768)
_S16 = GMLPConfig(width=256, hidden=1536)
_B16 = GMLPConfig(width=512, hidden=3072)

VARIANTS = {
    # paper, table 1
    "gmlp_ti16": _TI16,
    "gmlp_s16": _S16,
    "gmlp_b16": _B16,
    # scikit-learn's handwritten digits: 16 tokens
    "gmlp_digits": GMLPConfig(
        img_size=(8, 8), in_chans=1, patch_size=2, width=64, depth=4, hidden=384, num_classes=10
    ),
}
