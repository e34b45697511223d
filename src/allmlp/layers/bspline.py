"""B-splines as a KAN's basis: knots for every input, uniform or adaptive.

Axes: b any leading axes, i inputs, g grid points (grid + 1), t knots (grid + 2k + 1), q nodes.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.layers.basis import Basis, check_range
from allmlp.ops.autocast import at_least_float32
from allmlp.ops.bspline import cell_polynomials, extend_knots, is_uniform
from allmlp.ops.expansion import Expansion
from allmlp.ops.outside import OUTSIDE
from allmlp.ops.quadrature import gauss_legendre

__all__ = ["BSplineBasis"]


class BSplineBasis(Basis):
    """The `grid + k` B-splines of degree k on `grid` intervals, with knots of each input's own.

    `knots` (i, grid + 2k + 1) is a buffer and all the state there is: it holds the grid and k
    knots beyond either end. `set_knots` replaces it. Whether the knots are uniform is found from
    their values; uniform knots take the faster path, with the same result to rounding.

    Args:
        in_features: i.
        grid: intervals on the grid range.
        k: degree, at least 1; 1 is a linear spline, 3 the KAN paper's cubic.
        grid_range: ends of the grid, of every input.
        outside: what happens beyond the grid: `linear`, `clamp`, `zero` or `error`
            (`ops.bspline.bspline_basis`). `zero` is what pykan and efficient-kan do.

    Raises:
        AllmlpError: a size is no positive integer, the range is empty, or an unknown `outside`;
            at run time `outside="error"` and an input beyond the grid.

    Source: de Boor 1978; Liu et al. 2024, arXiv:2404.19756, §2.

    Example:
        >>> BSplineBasis(2)(torch.zeros(1, 2)).sum(1)
        tensor([[1., 1.]])
    """

    knots: Tensor
    polynomials: Tensor | None

    def __init__(
        self,
        in_features: int,
        *,
        grid: int = 5,
        k: int = 3,
        grid_range: tuple[float, float] = (-1.0, 1.0),
        outside: str = "linear",
    ):
        check_integers("BSplineBasis", minimum=1, grid=grid, k=k)
        check_choice("outside", outside, OUTSIDE)
        super().__init__(in_features, grid + k, Expansion.of("bspline", k=k, outside=outside))
        low, high = check_range("BSplineBasis", grid_range)
        self.grid = grid
        self.k = k
        self.outside = outside
        beyond = k * (high - low) / grid
        ends = torch.tensor([low - beyond, high + beyond], dtype=torch.float64)
        knots = _spread(ends[None].expand(in_features, -1), grid + 2 * k + 1)
        self.register_buffer("knots", knots.to(torch.get_default_dtype()))
        self.register_buffer("polynomials", None, persistent=False)
        self.register_load_state_dict_post_hook(_follow_loaded_knots)

    def set_knots(self, knots: Float[Tensor, "i t"]) -> None:
        """Put the functions on other knots; dtype and device stay.

        Args:
            knots: of each input, grid + 2k + 1 of them, strictly increasing.

        Raises:
            AllmlpError: another shape, values that are not finite, or two knots that coincide (a
                basis on them would lose functions: keep a gap of, say, 1e-3 of an interval).
        """
        if knots.shape != self.knots.shape:
            raise AllmlpError(
                f"knots must be {tuple(self.knots.shape)} (in_features, grid + 2k + 1) for grid="
                f"{self.grid}, k={self.k}, got {tuple(knots.shape)}"
            )
        knots = knots.detach().to(self.knots, copy=True)
        if not knots.is_meta:
            gaps = knots.diff(dim=1)
            good = (gaps > 0) & (gaps < torch.inf)  # NaN fails as well
            if not bool(good.all()):
                worst = int((~good).any(1).nonzero()[0])
                raise AllmlpError(
                    f"knots must be finite and increase strictly, those of input {worst} do not: "
                    f"{[round(v, 4) for v in knots[worst].tolist()]}; keep a gap of at least 1e-3 "
                    "of an interval between neighbours"
                )
        self.knots = knots
        uniform = knots.is_meta or is_uniform(knots)
        self.polynomials = None if uniform else cell_polynomials(knots, self.k)

    def set_grid(self, points: Float[Tensor, "i g"]) -> None:
        """`set_knots` from the grid points alone, extended at their mean distance.

        Raises:
            AllmlpError: as `set_knots`.
        """
        self.set_knots(extend_knots(points, self.k))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "BSplineBasis":
        # Rounded to another dtype, uniform knots would no longer be uniform, and polynomials would
        # no longer be those of the knots. Below float32 cells would move: knots stay in float32.
        before, uniform = self.knots, self.uniform
        super()._apply(fn, recurse)
        if self.knots.dtype.itemsize < 4:
            self.knots = at_least_float32(before).to(self.knots.device)
        if self.knots.dtype != before.dtype or not uniform:
            if uniform:
                self.knots = _spread(self.knots[:, [0, -1]], self.knots.shape[1])
            else:
                self.polynomials = cell_polynomials(self.knots, self.k)
        return self

    @property
    def uniform(self) -> bool:
        """Whether the knots of every input are evenly spaced."""
        return self.polynomials is None

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.knots,) if self.polynomials is None else (self.knots, self.polynomials)

    def grid_range(self) -> tuple[Float[Tensor, " i"], Float[Tensor, " i"]]:
        return self.knots[:, self.k], self.knots[:, -self.k - 1]

    def quadrature(self) -> tuple[Float[Tensor, "q i"], Float[Tensor, "q i"]]:
        """Gauss-Legendre, k + 1 nodes per grid interval: exact for products of two splines."""
        return gauss_legendre(self.knots[:, self.k : self.k + self.grid + 1], self.k + 1)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, grid={self.grid}, k={self.k}, "
            f"outside={self.outside!r}"
        )


def _spread(ends: Float[Tensor, "i 2"], count: int) -> Float[Tensor, "i t"]:
    even = torch.linspace(0, 1, count, dtype=torch.float64, device=ends.device)
    low, high = ends.double().split(1, dim=1)
    return (low + even * (high - low)).to(ends.dtype)


def _follow_loaded_knots(module: nn.Module, incompatible: Any) -> None:
    assert isinstance(module, BSplineBasis)
    module.set_knots(module.knots)
