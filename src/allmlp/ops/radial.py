"""Bumps at fixed places: one function, shifted and scaled.

    B_j(x) = bump((x - center_j) / width_j)

Papers: Gaussian, Li 2024 (FastKAN), arXiv:2405.06721; reflectional switch, Delis 2024 (FasterKAN);
wavelets, Bozorgasl and Chen 2024 (Wav-KAN), arXiv:2405.12832.
DIFF: Wav-KAN gives every edge a shift and a scale of its own, which costs a tensor (batch, out,
in); here a dictionary of wavelets is shared by all edges, and the product does the mixing.

Axes: b any leading axes, i inputs, m bumps.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.ops.calculus import gaussian_derivative, tanh_derivative
from allmlp.ops.outside import continued

__all__ = ["BUMPS", "bumps"]


def bumps(
    x: Float[Tensor, "*b i"],
    centers: Float[Tensor, "m i"],
    widths: Float[Tensor, "m i"],
    *,
    bump: str,
    outside: str = "zero",
    order: int = 0,
) -> Float[Tensor, "*b m i"]:
    """The `order`-th derivative of every bump at every x.

    Args:
        x: where to evaluate.
        centers: of the bumps of each input, increasing along m.
        widths: positive.
        bump: key of `BUMPS`.
        outside: beyond the first and the last center, as in `bspline_basis`; `zero` leaves the
            bumps as they are.
        order: of the derivative; 0 gives values.

    Shape:
        (..., i) -> (..., m, i); output dtype = input dtype.
    """

    def inside(x: Tensor, order: int) -> Tensor:
        u = (x.unsqueeze(-2) - centers) / widths
        return BUMPS[bump](u, order) / widths**order

    return continued(inside, x, centers[0], centers[-1], outside, order)


def _gaussian(u: Tensor, order: int) -> Tensor:
    # exp(-u^2): a unit normal in sqrt(2) u
    return 2 ** (order / 2) * gaussian_derivative(math.sqrt(2) * u, order)


def _switch(u: Tensor, order: int) -> Tensor:
    # 1 - tanh(u)^2, the derivative of tanh
    return tanh_derivative(u, order + 1)


def _mexican_hat(u: Tensor, order: int) -> Tensor:
    # 2 / (sqrt(3) pi^(1/4)) (1 - u^2) exp(-u^2 / 2), the second derivative of -exp(-u^2 / 2)
    return -2 / (math.sqrt(3) * math.pi**0.25) * gaussian_derivative(u, order + 2)


def _difference_of_gaussians(u: Tensor, order: int) -> Tensor:
    # -u exp(-u^2 / 2), the first derivative of exp(-u^2 / 2)
    return gaussian_derivative(u, order + 1)


def _morlet(u: Tensor, order: int) -> Tensor:
    # cos(5 u) exp(-u^2 / 2), by Leibniz' rule
    terms = [
        math.comb(order, n)
        * 5.0**n
        * (5 * u + n * math.pi / 2).cos()
        * gaussian_derivative(u, order - n)
        for n in range(order + 1)
    ]
    return torch.stack(terms).sum(0) if order else terms[0]


BUMPS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "gaussian": _gaussian,
    "switch": _switch,
    "mexican_hat": _mexican_hat,
    "morlet": _morlet,
    "dog": _difference_of_gaussians,
}
