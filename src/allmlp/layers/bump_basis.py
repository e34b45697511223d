"""Bumps in a row as a KAN's basis: Gaussians, switches, wavelets, and ReLU-KAN's.

Axes: i inputs, m functions per input, q quadrature nodes.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.layers.basis import Basis, check_range
from allmlp.ops.expansion import Expansion
from allmlp.ops.outside import OUTSIDE
from allmlp.ops.quadrature import gauss_legendre
from allmlp.ops.radial import BUMPS

__all__ = ["BumpBasis", "ReLUBumpBasis"]

NODES = 8  # per panel; bumps are smooth at the scale of their distance


class BumpBasis(Basis):
    """`size` bumps of one shape, their centers spread evenly over the range (`ops.radial`).

    Args:
        in_features: i.
        size: m, at least 2.
        bump: `gaussian` (FastKAN), `switch` (FasterKAN), `mexican_hat`, `morlet`, `dog` (wavelets).
        grid_range: first and last center; FastKAN's range by default.
        width: scale of a bump; by default the distance of two centers.
        outside: beyond the range: `linear`, `clamp`, `zero` (bumps are left to themselves, as the
            peers do) or `error`.
        trainable: make `centers` and `widths` parameters. Such a basis holds all its values for the
            backward pass.

    Raises:
        AllmlpError: a size below 2, an empty range, a width that is not positive, unknown names.

    Example:
        >>> BumpBasis(1, size=3, grid_range=(-1.0, 1.0))(torch.tensor([[0.0]]))[0, :, 0]
        tensor([0.3679, 1.0000, 0.3679])
    """

    def __init__(
        self,
        in_features: int,
        *,
        size: int = 8,
        bump: str = "gaussian",
        grid_range: tuple[float, float] = (-2.0, 2.0),
        width: float | None = None,
        outside: str = "linear",
        trainable: bool = False,
    ):
        check_integers("BumpBasis", minimum=2, size=size)
        check_choice("bump", bump, BUMPS)
        check_choice("outside", outside, OUTSIDE)
        low, high = check_range("BumpBasis", grid_range)
        super().__init__(in_features, size, Expansion.of("bumps", bump=bump, outside=outside))
        width = (high - low) / (size - 1) if width is None else width
        _check_positive("BumpBasis", width=width)
        centers = torch.linspace(low, high, size)[:, None].repeat(1, in_features)
        self.centers: Tensor
        self.widths: Tensor
        _keep(self, trainable, centers=centers, widths=torch.full_like(centers, width))

    def tensors(self) -> tuple[Tensor, ...]:
        return self.centers, self.widths

    def grid_range(self) -> tuple[Float[Tensor, " i"], Float[Tensor, " i"]]:
        return self.centers[0], self.centers[-1]

    def quadrature(self) -> tuple[Float[Tensor, "q i"], Float[Tensor, "q i"]]:
        """Gauss-Legendre between the centers."""
        return gauss_legendre(self.centers.detach().T, NODES)


class ReLUBumpBasis(Basis):
    """ReLU-KAN's `grid + k` bumps, each k + 1 intervals wide (`ops.relu_kan`).

    Args:
        in_features: i.
        grid: intervals on the range.
        k: a bump covers k + 1 of them.
        grid_range: ends of the grid.
        outside: beyond the range: `linear`, `clamp`, `zero` (the paper's) or `error`.
        trainable: make `starts` and `ends` parameters, as in the paper. Such a basis holds all its
            values for the backward pass.

    Raises:
        AllmlpError: a size is no positive integer, an empty range, an unknown `outside`.
    """

    def __init__(
        self,
        in_features: int,
        *,
        grid: int = 5,
        k: int = 3,
        grid_range: tuple[float, float] = (-1.0, 1.0),
        outside: str = "linear",
        trainable: bool = False,
    ):
        check_integers("ReLUBumpBasis", minimum=1, grid=grid, k=k)
        check_choice("outside", outside, OUTSIDE)
        low, high = check_range("ReLUBumpBasis", grid_range)
        super().__init__(in_features, grid + k, Expansion.of("relu_bumps", k=k, outside=outside))
        self.grid = grid
        self.k = k
        step = (high - low) / grid
        starts = (low + step * torch.arange(-k, grid))[:, None].repeat(1, in_features)
        self.starts: Tensor
        self.ends: Tensor
        _keep(self, trainable, starts=starts, ends=starts + (k + 1) * step)

    def tensors(self) -> tuple[Tensor, ...]:
        return self.starts, self.ends

    def grid_range(self) -> tuple[Float[Tensor, " i"], Float[Tensor, " i"]]:
        return self.starts[self.k], self.ends[-self.k - 1]

    def quadrature(self) -> tuple[Float[Tensor, "q i"], Float[Tensor, "q i"]]:
        """Gauss-Legendre between the starts, with nodes enough for products of two quartics."""
        last = self.ends[-self.k - 1 :][:1]
        return gauss_legendre(torch.cat([self.starts[self.k :], last]).detach().T, 5)


def _check_positive(owner: str, **values: float) -> None:
    """Require numbers above zero.

    Raises:
        AllmlpError: one is not.
    """
    for name, value in values.items():
        if not value > 0:
            raise AllmlpError(f"{owner} needs a positive {name}, got {value!r}")


def _keep(module: nn.Module, trainable: bool, **tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        if trainable:
            module.register_parameter(name, nn.Parameter(tensor))
        else:
            module.register_buffer(name, tensor)
