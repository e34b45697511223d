"""Stochastic depth: a residual branch is left out for some of the samples.

Paper: Huang et al. 2016, arXiv:1603.09382; per sample as in Larsson et al. 2017 (FractalNet).
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_choice, check_rates

__all__ = ["SCHEDULES", "DropPath", "drop_path_rates"]

SCHEDULES = ("linear", "constant")


class DropPath(nn.Module):
    """Zero a branch with probability `rate`, per sample, and divide the kept ones by `1 - rate`.

    The expectation is the branch itself; in `eval` the branch passes unchanged.

    Args:
        rate: probability that a sample loses this branch, in [0, 1).

    Shape:
        (b, ...) -> (b, ...); dtype unchanged.

    Raises:
        AllmlpError: `rate` outside [0, 1).

    Example:
        >>> DropPath(0.5).eval()(torch.ones(2, 3)).tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    def __init__(self, rate: float):
        super().__init__()
        check_rates("DropPath", rate=rate)
        self.rate = rate

    def forward(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        mask = torch.empty((x.shape[0],) + (1,) * (x.ndim - 1), dtype=x.dtype, device=x.device)
        return x * mask.bernoulli_(keep).div_(keep)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


def drop_path_rates(
    rate: float, depth: int, schedule: Literal["linear", "constant"] = "linear"
) -> list[float]:
    """The rate of each block: rising linearly from 0 to `rate`, or `rate` everywhere.

    Args:
        rate: rate of the last block, in [0, 1).
        depth: number of blocks.
        schedule: `linear`, block i gets `rate * i / (depth - 1)` (the papers), or `constant` (what
            timm does for Mixer, ResMLP and gMLP).

    Raises:
        AllmlpError: an unknown schedule.

    Example:
        >>> drop_path_rates(0.2, 3)
        [0.0, 0.1, 0.2]
    """
    check_choice("drop path schedule", schedule, SCHEDULES)
    if schedule == "constant":
        return [rate] * depth
    return [rate * i / max(depth - 1, 1) for i in range(depth)]
