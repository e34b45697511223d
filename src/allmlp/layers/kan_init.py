"""How the weights of a KAN layer start.

Every start gives the same four tensors, for `p` kernel positions (1 in a linear layer); a layer
without a `scale` of its own multiplies that into the spline weights. The fan-in n is
i * p, divided by the groups of a convolution.

Papers: Liu et al. 2024, arXiv:2404.19756, §2.2 (`paper`); KindXiaoming/pykan 0.2.8 (`pykan`);
Blealtan/efficient-kan (`efficient_kan`); ZiyaoLi/fast-kan (`fast_kan`); SynodicMonth/ChebyKAN
(`cheby_kan`); GistNoesis/FourierKAN (`fourier_kan`).
DIFF: efficient-kan passes its `scale_base` and `scale_spline` as slopes of a leaky ReLU, where
larger values give smaller weights; its start is offered at scale 1, without these arguments.

Axes: o outputs, m functions per input, i inputs, p positions.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice
from allmlp.layers.basis import Basis
from allmlp.layers.bspline import BSplineBasis

__all__ = ["KAN_INITS", "KANStart", "draw_kan_start"]


@dataclass(frozen=True, eq=False)
class KANStart:
    """The first weights of a layer."""

    spline: Float[Tensor, "o m i p"]
    base: Float[Tensor, "o i p"]
    scale: Float[Tensor, "o i p"]
    bias: Float[Tensor, " o"]


def draw_kan_start(
    init: str,
    basis: Basis,
    out_features: int,
    *,
    positions: int = 1,
    groups: int = 1,
    base: bool = True,
) -> KANStart:
    """Draw the weights of a layer from torch's global generator.

    - `normal`: spline coefficients such that inputs uniform on the grid (or in z = tanh x, or over
      a period) give outputs of standard deviation 0.1 through the spline branch, 1 where there is
      no base branch; base weights uniform in ±1/sqrt(n), as in `nn.Linear`.
    - `paper`: N(0, 0.1^2) coefficients, Xavier uniform base weights, scale 1.
    - `pykan`: coefficients fitted (minimum norm) to noise of ±0.15/grid at the grid points, base
      weights uniform in ±1/sqrt(n), scale 1/sqrt(n).
    - `efficient_kan`: noise of ±0.05/grid, base weights and scale uniform in ±1/sqrt(n).
    - `fast_kan`: coefficients N(0, 0.1^2), base weights and bias uniform in ±1/sqrt(n).
    - `cheby_kan`: coefficients N(0, s^2) with s = 1 / (n m).
    - `fourier_kan`: coefficients N(0, s^2) with s = 1 / sqrt(n m / 2).

    Args:
        init: one of these.
        basis: of the layer.
        out_features: o.
        positions: p.
        groups: of a convolution; an output reads i / groups inputs.
        base: whether there is a base branch.

    Raises:
        AllmlpError: an unknown name, or `pykan` or `efficient_kan` for a basis without knots.
    """
    check_choice("init", init, KAN_INITS)
    inputs = basis.in_features
    fan_in = inputs // groups * positions
    spline = torch.empty(out_features, basis.size, inputs, positions)
    edges = torch.empty(out_features, inputs, positions)
    start = KANStart(
        spline=spline,
        base=nn.init.uniform_(edges, -1, 1) / math.sqrt(fan_in),
        scale=torch.ones_like(edges),
        bias=torch.zeros(out_features),
    )
    return KAN_INITS[init](start, basis, fan_in, base)


def _normal(start: KANStart, basis: Basis, fan_in: int, base: bool) -> KANStart:
    _, weights = basis.quadrature()
    # mean over the grid of sum_j B_j^2, for each input
    power = basis.gram().detach().diagonal(dim1=1, dim2=2).sum(-1) / weights.sum(0)
    gain = 0.1 if base else 1.0
    start.spline.normal_().mul_((gain * (power * fan_in).rsqrt())[:, None].to(start.spline))
    return start


def _paper(start: KANStart, basis: Basis, fan_in: int, base: bool) -> KANStart:
    start.spline.normal_(std=0.1)
    fan_out = start.base.shape[0] * start.base.shape[2]
    # Xavier's bound; `start.base` is uniform in ±1/sqrt(n)
    start.base.mul_(math.sqrt(6 * fan_in / (fan_in + fan_out)))
    return start


def _pykan(start: KANStart, basis: Basis, fan_in: int, base: bool) -> KANStart:
    _fit_noise(start.spline, basis, 0.3)
    start.scale.div_(math.sqrt(fan_in))
    return start


def _efficient_kan(start: KANStart, basis: Basis, fan_in: int, base: bool) -> KANStart:
    _fit_noise(start.spline, basis, 0.1)
    nn.init.uniform_(start.scale, -1, 1).div_(math.sqrt(fan_in))
    return start


def _fast_kan(start: KANStart, basis: Basis, fan_in: int, base: bool) -> KANStart:
    nn.init.trunc_normal_(start.spline, std=0.1)
    nn.init.uniform_(start.bias, -1, 1).div_(math.sqrt(fan_in))
    return start


def _cheby_kan(start: KANStart, basis: Basis, fan_in: int, base: bool) -> KANStart:
    start.spline.normal_(std=1 / (fan_in * basis.size))
    return start


def _fourier_kan(start: KANStart, basis: Basis, fan_in: int, base: bool) -> KANStart:
    start.spline.normal_(std=1 / math.sqrt(fan_in * basis.size / 2))
    return start


def _fit_noise(spline: Float[Tensor, "o m i p"], basis: Basis, noise: float) -> None:
    # the coefficients of least norm that take values of ±noise / (2 grid) at the grid points
    if not isinstance(basis, BSplineBasis):
        raise AllmlpError(
            "init='pykan' and 'efficient_kan' fit noise at the grid points of B-splines, got a "
            f"{type(basis).__name__}; take init='normal'"
        )
    k, grid = basis.k, basis.grid
    points = basis.knots[:, k : k + grid + 1].T
    at_points = basis(points).permute(2, 0, 1).double()
    outputs, _, inputs, positions = spline.shape
    values = torch.rand(outputs, grid + 1, inputs, positions).sub_(0.5).mul_(noise / grid)
    fit = torch.linalg.pinv(at_points).to(values)
    spline.copy_(torch.einsum("img,ogip->omip", fit, values))


KAN_INITS: dict[str, Callable[[KANStart, Basis, int, bool], KANStart]] = {
    "normal": _normal,
    "paper": _paper,
    "pykan": _pykan,
    "efficient_kan": _efficient_kan,
    "fast_kan": _fast_kan,
    "cheby_kan": _cheby_kan,
    "fourier_kan": _fourier_kan,
}
