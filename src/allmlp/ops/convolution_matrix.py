"""A depthwise convolution of a map of fixed size, as the matrix that it is.

Axes: s kernels, k l rows and columns of a kernel, h w of the map, n = h w places row by row.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError

__all__ = ["convolution_matrix"]


def convolution_matrix(
    kernel: Float[Tensor, "s k l"], size: tuple[int, int]
) -> Float[Tensor, "s n n"]:
    """`T[s, i, j]`: what place i answers to a one at place j, with zeros around the map.

    Entry (y, x), (y', x') is `kernel[s, y' - y + k // 2, x' - x + l // 2]` where the kernel reaches
    and 0 elsewhere, so that `T @ map` is the convolution of stride 1 that keeps the size.

    Args:
        kernel: of odd sides.
        size: h and w of the map, which a matrix fixes.

    Raises:
        AllmlpError: a kernel of even sides, which has no centre.

    Source: Ding et al. 2022, arXiv:2112.11081, §3.3.

    Example:
        >>> convolution_matrix(torch.tensor([[[1.0, 2.0, 3.0]]]), (1, 3))[0].tolist()
        [[2.0, 3.0, 0.0], [1.0, 2.0, 3.0], [0.0, 1.0, 2.0]]
    """
    count, rows, columns = kernel.shape
    if rows % 2 == 0 or columns % 2 == 0:
        raise AllmlpError(f"a kernel of {rows}x{columns} has no centre; its sides must be odd")
    height, width = size
    matrix = kernel.new_zeros(count, height, width, height, width)
    y = torch.arange(height, device=kernel.device)
    x = torch.arange(width, device=kernel.device)
    for i in range(rows):
        down = i - rows // 2
        ys = y[max(-down, 0) : max(height - down, 0) if down > 0 else None]
        for j in range(columns):
            right = j - columns // 2
            xs = x[max(-right, 0) : max(width - right, 0) if right > 0 else None]
            at = (slice(None), ys[:, None], xs[None], ys[:, None] + down, xs[None] + right)
            matrix[at] = kernel[:, i, j, None, None].expand(-1, len(ys), len(xs))
    return matrix.view(count, height * width, height * width)
