"""Stages of a pyramid: each reads a coarser map than the one before and runs its own blocks.

Axes: b batch, h w rows and columns of a map, d width.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.layers.drop_path import drop_path_rates
from allmlp.layers.recompute import recompute

__all__ = ["Stage", "make_stages", "stage_info", "stage_rates"]


class Stage(nn.Module):
    """Down-sampling, then blocks of equal shape.

    Args:
        down: from the stage before; `nn.Identity` in the first.
        blocks: each maps its input's shape to itself.

    Shape:
        a map -> a coarser map, in the layout of the blocks.
    """

    def __init__(self, down: nn.Module, blocks: Iterable[nn.Module]):
        super().__init__()
        self.down = down
        self.blocks = nn.ModuleList(blocks)
        self.grad_checkpointing = False  # of every block by itself

    def forward(self, x: Float[Tensor, "b y x d"]) -> Float[Tensor, "b y2 x2 d2"]:
        x = self.down(x)
        for block in self.blocks:
            x = recompute(block, x) if self.grad_checkpointing else block(x)
        return x


def stage_rates(rate: float, depths: Sequence[int]) -> list[list[float]]:
    """Stochastic depth, rising linearly over the blocks of all stages.

    Example:
        >>> stage_rates(0.2, (1, 2))
        [[0.0], [0.1, 0.2]]
    """
    rates = drop_path_rates(rate, sum(depths))
    ends = list(accumulate(depths))
    return [rates[end - depth : end] for depth, end in zip(depths, ends, strict=True)]


def make_stages(
    depths: Sequence[int],
    drop_path_rate: float,
    *,
    down: Callable[[int], nn.Module],
    block: Callable[[int, int, float], nn.Module],
) -> nn.ModuleList:
    """All stages of a pyramid, finest first.

    Args:
        depths: blocks of each stage.
        drop_path_rate: of the last block.
        down: from the number of a stage to its down-sampling; the first one has none.
        block: from the numbers of a stage and of a block in it, and the block's rate.
    """
    return nn.ModuleList(
        Stage(
            down(i) if i else nn.Identity(),
            [block(i, j, rate) for j, rate in enumerate(rates)],
        )
        for i, rates in enumerate(stage_rates(drop_path_rate, depths))
    )


def stage_info(widths: Sequence[int], stride: int) -> list[dict[str, Any]]:
    """`VisionModel.feature_info` of maps that leave `stages.I`, each half as fine as the last.

    Args:
        widths: of the stages.
        stride: of the first, in pixels.
    """
    return [
        {"num_chs": width, "reduction": stride << i, "module": f"stages.{i}"}
        for i, width in enumerate(widths)
    ]
