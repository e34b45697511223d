"""What a family of univariate functions must offer to stand on the edges of a KAN.

Axes: b any leading axes, i inputs, m functions per input, q quadrature nodes.
"""

import math
from abc import abstractmethod
from functools import partial
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers
from allmlp.ops.autocast import at_least_float32
from allmlp.ops.contraction import basis_linear
from allmlp.ops.expansion import Expansion
from allmlp.ops.values import basis_values

__all__ = ["Basis", "check_range"]


class Basis(nn.Module):
    """`size` functions of one variable for each of `in_features` inputs.

    Abstract: a family states its pure function in `ops`, the tensors that one takes, and its grid.
    Buffers are fixed, parameters trainable.

    Args:
        in_features: i.
        size: m, functions per input.
        expansion: the pure function with its constants.

    Shape:
        (..., i) -> (..., m, i): basis-major, so that a product with weights (out, m, i) runs
        contiguously over inputs. Output dtype = input dtype, computed in at least float32.

    Raises:
        AllmlpError: a size is no positive integer.
    """

    def __init__(self, in_features: int, size: int, expansion: Expansion):
        super().__init__()
        check_integers(type(self).__name__, minimum=1, in_features=in_features, size=size)
        self.in_features = in_features
        self.size = size
        self.expansion = expansion

    @abstractmethod
    def tensors(self) -> tuple[Tensor, ...]:
        """What `expansion` takes after x."""

    @abstractmethod
    def grid_range(self) -> tuple[Float[Tensor, " i"], Float[Tensor, " i"]] | None:
        """Where each input's grid begins and ends; None for functions without a grid."""

    @abstractmethod
    def quadrature(self) -> tuple[Float[Tensor, "q i"], Float[Tensor, "q i"]]:
        """Nodes and weights of the integral that `gram()` takes."""

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b m i"]:
        return self.derivative(x, order=0)

    @final
    def derivative(self, x: Float[Tensor, "*b i"], order: int = 1) -> Float[Tensor, "*b m i"]:
        """The `order`-th derivative of every function, in closed form; 0 gives values.

        Raises:
            AllmlpError: the last axis is not `in_features` long, or `order` is negative.
        """
        check_integers(type(self).__name__, minimum=0, order=order)
        self.check(x)
        tensors = [at_least_float32(tensor) for tensor in self.tensors()]
        values = self.expansion if self.trainable else partial(basis_values, self.expansion)
        return values(at_least_float32(x), *tensors, order=order).to(x.dtype)

    @final
    def linear(
        self, x: Float[Tensor, "*b i"], weight: Float[Tensor, "o m i"]
    ) -> Float[Tensor, "*b o"]:
        """`sum_ij B_ij(x_bi) weight_oji`, in the memory of x (`ops.contraction`).

        A basis with trainable parameters holds all its values for the backward pass.
        """
        self.check(x)
        return basis_linear(x, weight, self.expansion, self.tensors(), dense=self.trainable)

    @property
    def trainable(self) -> bool:
        """Whether the functions themselves have parameters."""
        return next(self.parameters(), None) is not None

    @final
    def gram(
        self, x: Float[Tensor, "q i"] | None = None, weights: Float[Tensor, "q i"] | None = None
    ) -> Float[Tensor, "i m m"]:
        """Inner products of the functions of each input: G[i, j, l] = sum_q w_qi B_ij B_il.

        Args:
            x: samples; by default the nodes of `quadrature()`.
            weights: of the samples; by default 1 / q each, or those of `quadrature()`.
        """
        if x is None:
            x, weights = self.quadrature()
        values = self(x)
        if weights is None:
            return torch.einsum("qji,qli->ijl", values, values) / x.shape[0]
        return torch.einsum("qi,qji,qli->ijl", weights, values, values)

    @final
    def out_of_grid_fraction(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, ""]:
        """The share of values outside the grid; NaN and infinities count as outside.

        Without a grid only what is not finite counts.
        """
        self.check(x)
        ends = self.grid_range()
        inside = x.isfinite()
        if ends is not None:
            inside = inside & (x >= ends[0]) & (x <= ends[1])
        return 1 - inside.float().mean()

    @final
    def check(self, x: Tensor) -> None:
        """Require the last axis to be `in_features` long.

        Raises:
            AllmlpError: it is not.
        """
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise AllmlpError(
                f"this {type(self).__name__} was built for in_features={self.in_features} but got "
                f"inputs of shape {tuple(x.shape)}; the last axis must have length "
                f"{self.in_features}"
            )


def check_range(owner: str, ends: tuple[float, float]) -> tuple[float, float]:
    """Require two finite numbers, the first one smaller.

    Raises:
        AllmlpError: they are not.
    """
    low, high = (float(end) for end in ends)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise AllmlpError(f"{owner} needs grid_range=(low, high) with low < high, got {ends}")
    return low, high
