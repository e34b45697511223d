"""Functions without a grid as a KAN's basis: polynomials and harmonics.

Axes: i inputs, m functions per input, q quadrature nodes.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.layers.basis import Basis
from allmlp.ops.expansion import Expansion
from allmlp.ops.outside import OUTSIDE
from allmlp.ops.polynomial import POLYNOMIALS
from allmlp.ops.quadrature import gauss_legendre

__all__ = ["FourierBasis", "PolynomialBasis"]


class PolynomialBasis(Basis):
    """Polynomials of degree 0 to `degree` of z = tanh(x), or of x itself (`ops.polynomial`).

    Args:
        in_features: i.
        family: `chebyshev`, `legendre`, `jacobi`, `gram` or `bernstein`.
        degree: d, at least 1; there are d + 1 functions.
        squash: `tanh`; or None, for inputs in [-1, 1].
        outside: beyond [-1, 1] without a squash: `linear`, `clamp`, `zero` (the polynomials go on)
            or `error`. With a squash there is no outside.
        alpha: of Jacobi's polynomials, above -1.
        beta: of Jacobi's polynomials, above -1.

    Raises:
        AllmlpError: a degree below 1, an unknown name, alpha or beta at or below -1.

    Example:
        >>> PolynomialBasis(1, family="legendre", degree=2, squash=None)(torch.ones(1, 1))[0, :, 0]
        tensor([1., 1., 1.])
    """

    def __init__(
        self,
        in_features: int,
        *,
        family: str = "chebyshev",
        degree: int = 3,
        squash: str | None = "tanh",
        outside: str = "linear",
        alpha: float = 1.0,
        beta: float = 1.0,
    ):
        check_integers("PolynomialBasis", minimum=1, degree=degree)
        check_choice("family of polynomials", family, POLYNOMIALS)
        check_choice("outside", outside, OUTSIDE)
        if squash is not None:
            check_choice("squash", squash, ("tanh",))
        if not (alpha > -1 and beta > -1):
            raise AllmlpError(
                f"Jacobi polynomials need alpha and beta above -1, got {alpha} and {beta}"
            )
        expansion = Expansion.of(
            "polynomials",
            family=family,
            degree=degree,
            squash=squash,
            outside=outside,
            alpha=alpha,
            beta=beta,
        )
        super().__init__(in_features, degree + 1, expansion)
        self.degree = degree
        self.squash = squash
        # tells device and dtype, which a basis without knots would not know
        self.register_buffer("ends", torch.tensor([-1.0, 1.0]), persistent=False)
        self.ends: Tensor

    def tensors(self) -> tuple[Tensor, ...]:
        return ()

    def grid_range(self) -> tuple[Float[Tensor, " i"], Float[Tensor, " i"]] | None:
        if self.squash:
            return None
        low, high = self.ends[:, None].expand(-1, self.in_features)
        return low, high

    def quadrature(self) -> tuple[Float[Tensor, "q i"], Float[Tensor, "q i"]]:
        """Gauss-Legendre in z on [-1, 1], exact for products of two polynomials."""
        z, weights = gauss_legendre(self.ends[None].expand(self.in_features, -1), self.degree + 1)
        return (z.atanh() if self.squash else z), weights


class FourierBasis(Basis):
    """cos(n x) and sin(n x) for n = 1 ... `frequencies` (`ops.fourier`).

    Args:
        in_features: i.
        frequencies: there are twice as many functions.

    Raises:
        AllmlpError: `frequencies` is no positive integer.
    """

    def __init__(self, in_features: int, *, frequencies: int = 5):
        check_integers("FourierBasis", minimum=1, frequencies=frequencies)
        expansion = Expansion.of("fourier", frequencies=frequencies)
        super().__init__(in_features, 2 * frequencies, expansion)
        self.frequencies = frequencies
        self.register_buffer("period", torch.tensor(2 * math.pi), persistent=False)
        self.period: Tensor

    def tensors(self) -> tuple[Tensor, ...]:
        return ()

    def grid_range(self) -> None:
        return None

    def quadrature(self) -> tuple[Float[Tensor, "q i"], Float[Tensor, "q i"]]:
        """Even nodes over one period, exact for products of two harmonics."""
        count = 2 * self.frequencies + 2
        steps = torch.arange(count).to(self.period) / count
        x = (self.period * steps)[:, None].expand(-1, self.in_features)
        return x, (self.period / count).expand_as(x)
