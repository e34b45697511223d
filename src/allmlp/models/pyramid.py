"""Stages at strides 4, 8, 16 and 32: each map half as fine as the last, and wider.

Axes: b batch, c image channels, h w pixels.
"""

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.layers.patch_stem import check_channels
from allmlp.layers.pyramid import Stage, stage_info
from allmlp.models.contract import VisionModel

__all__ = ["PATCH", "Pyramid"]

PATCH = 4  # pixels a side: the stride of the first stage


class Pyramid(VisionModel):
    """Stem, stages, norm, pooling, head. An architecture sets these five in turn.

    Args:
        config: with `in_chans`, `widths` and `check_image`, which refuses sizes that do not fit.

    Attributes:
        stem: from images to what the first stage takes.
        stages: `layers.Stage`s.
        norm: after the last stage.
    """

    stem: nn.Module
    stages: nn.ModuleList
    norm: nn.Module

    def __init__(self, config: Any):
        super().__init__()
        self.config = config
        self.num_features = config.widths[-1]
        self.feature_info = stage_info(config.widths, PATCH)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the blocks in the backward pass: less memory, a third more time."""
        for stage in self.stages:
            assert isinstance(stage, Stage)
            stage.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns, in timm's form, that sort parameters into stem, blocks and the final norm.

        Args:
            coarse: by stage, not by block.
        """
        block = r"^stages\.(\d+)" if coarse else r"^stages\.(\d+)\.blocks\.(\d+)"
        blocks = [(r"^stages\.(\d+)\.down", (0,)), (block, None), (r"^norm", (99999,))]
        return {"stem": r"^stem", "blocks": blocks}

    def _embed(self, images: Float[Tensor, "b c h w"]) -> Tensor:
        check_channels(f"this {self.NAME}", images, self.config.in_chans)
        self.config.check_image(tuple(images.shape[2:]))
        return self.stem(images)

    def _blocks(self) -> list[Callable[[Tensor], Tensor]]:
        return list(self.stages)

    def _finish(self, x: Tensor) -> Tensor:
        return self.norm(x)

    def _intermediate(self, x: Tensor, number: int, norm: bool) -> Tensor:
        return x
