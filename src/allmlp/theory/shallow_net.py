"""One-hidden-layer networks with a smooth activation, in float64."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import nn

from allmlp.errors import AllmlpError, check_choice
from allmlp.theory.certificate import Certificate, Claim, Theorem

__all__ = ["ShallowNet"]

_ROWS = 4096
_ANY_NET = Theorem("A network with one hidden layer", "allmlp")


class ShallowNet:
    """`net(x) = constant + Σ_i outer_i σ(weight_i · x + bias_i)`.

    Args:
        weight: shape (n, d).
        bias: shape (n,).
        outer: shape (n,).
        constant: added to the sum.
        activation: `sigmoid` or `tanh`.
        theorem: the statement this network is an instance of.
        claims: what was promised and found when it was built.
        notes: sentences for the certificate.

    Example:
        >>> one = ShallowNet(np.ones((1, 1)), np.zeros(1), np.ones(1), 0.5, activation="tanh")
        >>> one(np.array([0.0])), one.parameters
        (array([0.5]), 4)
    """

    depth = 2

    def __init__(
        self,
        weight: Float[np.ndarray, "n d"],
        bias: Float[np.ndarray, " n"],
        outer: Float[np.ndarray, " n"],
        constant: float,
        *,
        activation: str,
        theorem: Theorem = _ANY_NET,
        claims: Sequence[Claim] = (),
        notes: Sequence[str] = (),
    ):
        check_choice("activation", activation, ("sigmoid", "tanh"))
        self.weight, self.bias, self.outer, self.constant = weight, bias, outer, constant
        self.activation = activation
        self.theorem = theorem
        self.claims = tuple(claims)
        self.notes = tuple(notes)

    @property
    def width(self) -> int:
        """Units of the hidden layer."""
        return len(self.bias)

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.weight.size + 2 * self.width + 1

    def __call__(self, X: ArrayLike) -> Float[np.ndarray, " n"]:
        """Values at n points, shape (n, d), or (n,) for one input."""
        points = np.asarray(X, dtype=np.float64)
        if points.ndim == 1 and self.weight.shape[1] == 1:
            points = points[:, None]
        if points.ndim != 2 or points.shape[1] != self.weight.shape[1]:
            raise AllmlpError(
                f"this network takes points of shape (n, {self.weight.shape[1]}), but got "
                f"{points.shape}; reshape them, one row for each point"
            )
        values = np.empty(len(points))
        for start in range(0, len(points), _ROWS):
            rows = slice(start, start + _ROWS)
            z = points[rows] @ self.weight.T + self.bias
            # σ(z) = (1 + tanh(z/2)) / 2 does not overflow
            hidden = np.tanh(z) if self.activation == "tanh" else (1 + np.tanh(z / 2)) / 2
            values[rows] = hidden @ self.outer + self.constant
        return values

    def to_torch(self, dtype: torch.dtype = torch.float64) -> nn.Sequential:
        """The same network in torch; draws no random number."""
        n, d = self.weight.shape
        inner = nn.Linear(d, n, device="meta", dtype=dtype).to_empty(device="cpu")
        outer = nn.Linear(n, 1, device="meta", dtype=dtype).to_empty(device="cpu")
        with torch.no_grad():
            inner.weight.copy_(torch.from_numpy(self.weight))
            inner.bias.copy_(torch.from_numpy(self.bias))
            outer.weight.copy_(torch.from_numpy(self.outer)[None])
            outer.bias.fill_(self.constant)
        return nn.Sequential(inner, nn.Tanh() if self.activation == "tanh" else nn.Sigmoid(), outer)

    def certificate(self) -> Certificate:
        """Sizes, and what was promised and found when the network was built."""
        sizes = [
            Claim(name, attained=getattr(self, name)) for name in ("width", "depth", "parameters")
        ]
        return Certificate(self.theorem, (*sizes, *self.claims), self.notes)

    def __repr__(self) -> str:
        return f"ShallowNet({self.weight.shape[1]}-{self.width}-1, {self.activation})"
