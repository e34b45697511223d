"""A bilinear MLP on pixels: images flattened, one network over all of them.

Paper: Pearce et al. 2024, arXiv:2410.08417, §4.
DIFF: biases by default, because images come normalised: with them the network expresses what it
could of pixels in [0, 1].
Axes: b batch, c channels, h w pixels, d width before the head, k classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers, check_sizes
from allmlp.layers.recompute import steps
from allmlp.models.bilinear import BilinearMLP, BilinearMLPConfig
from allmlp.models.pixel_model import PixelModel

__all__ = ["VARIANTS", "ImageBilinear", "ImageBilinearConfig"]


@dataclass(frozen=True, kw_only=True)
class ImageBilinearConfig:
    """Sizes of one bilinear MLP on images; those of the network itself are named as there.

    Raises:
        AllmlpError: sizes that do not fit, or an unknown gate.
    """

    img_size: tuple[int, int] = (28, 28)  #: pixels, height and width
    in_chans: int = 1
    num_classes: int = 10  #: 0 leaves the head out
    hidden: int = 256
    depth: int = 1
    embed: int | None = None
    bias: bool = True
    residual: bool = False
    gate: str | None = None
    input_noise: float = 0.0  #: in units of the pixels' deviation, as they come normalised

    SIZES: ClassVar = ("hidden", "depth", "embed", "bias", "residual", "gate")

    def __post_init__(self) -> None:
        check_sizes("ImageBilinear", count=2, img_size=self.img_size)
        check_integers("ImageBilinear", minimum=1, in_chans=self.in_chans)
        check_integers("ImageBilinear", minimum=0, num_classes=self.num_classes)
        self.mlp()

    def mlp(self) -> BilinearMLPConfig:
        """Of the network on flattened pixels; without classes, of one with a single output."""
        return BilinearMLPConfig(
            in_features=self.in_chans * self.img_size[0] * self.img_size[1],
            num_classes=self.num_classes or 1,
            hidden=self.hidden,
            depth=self.depth,
            embed=self.embed,
            bias=self.bias,
            residual=self.residual,
            gate=self.gate,
            input_noise=self.input_noise,
        )


class ImageBilinear(PixelModel):
    """Pixels to a `BilinearMLP`, whose tensors bear the same names here.

    Args:
        config: the sizes.

    Shape:
        images (b, c, h, w) -> logits (b, k), or (b, d) with `num_classes=0`.

    Example:
        >>> ImageBilinear(ImageBilinearConfig(hidden=8))(torch.zeros(5, 1, 28, 28)).shape
        torch.Size([5, 10])
    """

    NAME = "bilinear MLP"

    config: ImageBilinearConfig

    def __init__(self, config: ImageBilinearConfig):
        super().__init__(config)
        self.num_features = config.hidden
        parts = BilinearMLP.from_config(config.mlp())
        self.noise = parts.noise
        self.embed = parts.embed
        self.blocks = parts.blocks
        self.head: nn.Module = parts.head if config.num_classes else nn.Identity()
        self.feature_info = [
            {"num_chs": config.hidden, "reduction": max(config.img_size), "module": f"blocks.{i}"}
            for i in range(config.depth)
        ]

    def to_mlp(self) -> BilinearMLP:
        """The network on flattened pixels, with copies of the weights and the mode of this one.

        Raises:
            AllmlpError: there is no head.
        """
        if not self.config.num_classes:
            raise AllmlpError("a BilinearMLP has classes; give this network a head first")
        # weights are drawn and thrown away: from a copy of the caller's random state
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            mlp = BilinearMLP.from_config(self.config.mlp())
        mlp.to(next(self.blocks.parameters())).load_state_dict(self.state_dict())
        return mlp.train(self.training)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns, in timm's form, that sort parameters by layer."""
        return {"stem": r"^embed", "blocks": [(r"^blocks\.(\d+)", None)]}

    def _embed(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        return self.embed(self.noise(self.pixels(images)))

    def _blocks(self) -> list[Callable[[Tensor], Tensor]]:
        layers = steps(self.blocks, recomputed=self.grad_checkpointing)
        return [partial(_summed, layer) for layer in layers] if self.config.residual else layers

    def _make_head(self) -> nn.Module:
        c = self.config
        return nn.Linear(c.hidden, c.num_classes, bias=False) if c.num_classes else nn.Identity()


def _summed(layer: Callable[[Tensor], Tensor], x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
    return x + layer(x)


VARIANTS = {"bilinear": ImageBilinearConfig()}
