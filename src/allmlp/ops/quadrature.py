"""Gauss-Legendre quadrature, panel by panel.

Axes: i inputs, g ends of panels, q nodes.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["gauss_legendre"]


def gauss_legendre(
    points: Float[Tensor, "i g"], count: int
) -> tuple[Float[Tensor, "q i"], Float[Tensor, "q i"]]:
    """Nodes and weights of the integral from the first to the last point of each input.

    Args:
        points: ends of the panels, increasing.
        count: nodes per panel; polynomials up to degree 2 count - 1 are integrated exactly.

    Example:
        >>> x, weights = gauss_legendre(torch.tensor([[0.0, 1.0, 3.0]]), 2)
        >>> (weights * x**3).sum()
        tensor(20.2500)
    """
    nodes, weights = (
        torch.from_numpy(array).to(points) for array in np.polynomial.legendre.leggauss(count)
    )
    half = points.diff(dim=1)[..., None] / 2
    x = points[:, :-1, None] + half * (1 + nodes)
    return x.flatten(1).T, (half * weights).flatten(1).T
