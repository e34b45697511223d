"""A bilinear MLP on pixels: images flattened, one network over all of them.

Paper: Pearce et al. 2024, arXiv:2410.08417, §4.
DIFF: biases by default, because images come normalised: with them the network expresses what it
could of pixels in [0, 1].
Axes: b batch, c channels, h w pixels, d width before the head, k classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.layers.block_stack import FORMATS, show_vector
from allmlp.layers.pixels import Pixels, refuse_resize
from allmlp.layers.recompute import recompute
from allmlp.models.bilinear import BilinearMLP, BilinearMLPConfig
from allmlp.models.contract import VisionModel
from allmlp.ops.blocks import block_numbers

__all__ = ["VARIANTS", "ImageBilinear", "ImageBilinearConfig"]


@dataclass(frozen=True, kw_only=True)
class ImageBilinearConfig:
    """Sizes of one bilinear MLP on images; those of the network itself are named as there.

    Raises:
        AllmlpError: sizes that do not fit, or an unknown gate.
    """

    img_size: tuple[int, int] = (28, 28)  # pixels, height and width
    in_chans: int = 1
    num_classes: int = 10  # 0 leaves the head out
    hidden: int = 256
    depth: int = 1
    embed: int | None = None
    bias: bool = True
    residual: bool = False
    gate: str | None = None
    input_noise: float = 0.0  # in units of the pixels' deviation, as they come normalised

    SIZES: ClassVar = ("hidden", "depth", "embed", "bias", "residual", "gate")

    def __post_init__(self) -> None:
        height, width = self.img_size
        check_integers(
            "ImageBilinear", minimum=1, height=height, width=width, in_chans=self.in_chans
        )
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


class ImageBilinear(VisionModel):
    """Pixels to a `BilinearMLP`, whose tensors bear the same names here.

    Args:
        config: the sizes.

    Shape:
        images (b, c, h, w) -> logits (b, k), or (b, d) with `num_classes=0`.

    Example:
        >>> ImageBilinear(ImageBilinearConfig(hidden=8))(torch.zeros(5, 1, 28, 28)).shape
        torch.Size([5, 10])
    """

    def __init__(self, config: ImageBilinearConfig):
        super().__init__()
        self.config = config
        self.num_features = config.hidden
        self.grad_checkpointing = False
        self.pixels = Pixels("bilinear MLP", in_chans=config.in_chans, img_size=config.img_size)
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

    def forward_features(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        """What the head reads."""
        return self._run(images, len(self.blocks))[-1]

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
        """What chosen layers give, and the last one.

        Args:
            images: a batch.
            indices: layers (negative ones count from the end), the last n for an integer n, or all
                for None.
            norm: without effect, there is no final norm.
            output_fmt: maps of one place (b, d, 1, 1), or tokens (b, 1, d).
            intermediates_only: return the list alone and skip the layers after the last one asked.

        Raises:
            AllmlpError: a layer that does not exist, or an unknown format.
        """
        check_choice("output_fmt", output_fmt, FORMATS)
        depth = len(self.blocks)
        wanted = block_numbers(indices, depth)
        found = self._run(images, max(wanted) + 1 if intermediates_only else depth)
        shaped = [show_vector(found[i], output_fmt) for i in wanted]
        return shaped if intermediates_only else (found[-1], shaped)

    def _run(self, images: Tensor, depth: int) -> list[Tensor]:
        x, found = self.embed(self.noise(self.pixels(images))), []
        for block in self.blocks[:depth]:
            y = recompute(block, x) if self.grad_checkpointing else block(x)
            x = x + y if self.config.residual else y
            found.append(x)
        return found

    def get_classifier(self) -> nn.Module:
        """The head: `nn.Linear` without bias, or `nn.Identity` without classes."""
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """Put in a fresh head for `num_classes` classes; 0 removes it, and it can come back.

        Raises:
            AllmlpError: `num_classes` is negative.
        """
        self.config = replace(self.config, num_classes=num_classes)
        self.head = nn.Identity()
        if num_classes:
            head = nn.Linear(self.config.hidden, num_classes, bias=False)
            self.head = head.to(next(self.blocks.parameters()))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute layers in the backward pass: less memory, more time."""
        self.grad_checkpointing = enable

    @staticmethod
    def resize_config(config: Any, img_size: tuple[int, int], method: Any) -> Any:
        """Always refused: the weights belong to pixels.

        Raises:
            AllmlpError: always.
        """
        refuse_resize("bilinear MLP", config.img_size)

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
        """Patterns, in timm's form, that sort parameters by layer."""
        return {"stem": r"^embed", "blocks": [(r"^blocks\.(\d+)", None)]}


VARIANTS = {"bilinear": ImageBilinearConfig()}
