"""From tokens or places to one vector for each image."""

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["MeanPool"]


class MeanPool(nn.Module):
    """The mean over all tokens or places.

    Args:
        axes: where they stand: 1 in tokens (b, n, d), 1 and 2 in maps (b, h, w, d), 2 and 3 in
            maps (b, d, h, w).

    Shape:
        (b, ..., d) or (b, d, ...) -> (b, d); dtype unchanged.

    Example:
        >>> import torch
        >>> MeanPool(2, 3)(torch.zeros(2, 5, 7, 7)).shape
        torch.Size([2, 5])
    """

    def __init__(self, *axes: int):
        super().__init__()
        self.axes = axes

    def forward(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b d"]:
        return x.mean(dim=self.axes)

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.axes))
