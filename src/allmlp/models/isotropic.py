"""One width and one grid from the first block to the last.

Axes: b batch, c image channels, h w pixels, d width.
"""

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.layers.recompute import steps
from allmlp.models.contract import VisionModel

__all__ = ["Isotropic"]


class Isotropic(VisionModel):
    """Stem, blocks of one shape, norm, pooling, head. An architecture sets these five in turn.

    Args:
        config: with `width`, `depth` and `patch_size`.

    Attributes:
        stem: from images to what the first block takes; refuses images that do not fit.
        blocks: of one shape.
        norm: after the last block; `nn.Identity` for none.
    """

    stem: nn.Module
    blocks: nn.ModuleList
    norm: nn.Module

    def __init__(self, config: Any):
        super().__init__()
        self.config = config
        self.num_features = config.width
        self.feature_info = [
            {"num_chs": config.width, "reduction": config.patch_size, "module": f"blocks.{i}"}
            for i in range(config.depth)
        ]
        self.grad_checkpointing = False

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the blocks in the backward pass: less memory, a third more time."""
        self.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns, in timm's form, that sort parameters into stem, blocks and what follows."""
        return {"stem": r"^stem", "blocks": [(r"^blocks\.(\d+)", None), (r"^norm|^pool", (99999,))]}

    def _embed(self, images: Float[Tensor, "b c h w"]) -> Tensor:
        return self.stem(images)

    def _blocks(self) -> list[Callable[[Tensor], Tensor]]:
        return steps(self.blocks, recomputed=self.grad_checkpointing)

    def _finish(self, x: Tensor) -> Tensor:
        return self.norm(x)
