"""The matrix of a function that is linear up to a constant, found and proved by evaluating it.

Axes: b batch, i inputs, o outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError

__all__ = ["AffineMap", "affine_map"]

_CHUNK = 256  # inputs at a time


@dataclass(frozen=True, eq=False)
class AffineMap:
    """y = weight x + bias over flattened inputs and outputs.

    Attributes:
        weight: (o, i).
        bias: (o,).
        input_shape: of one input.
        output_shape: of one output.
    """

    weight: Float[Tensor, "o i"]
    bias: Float[Tensor, " o"]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    def __call__(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """What the function gives."""
        y = x.reshape(len(x), -1).to(self.weight) @ self.weight.mT + self.bias
        return y.reshape(len(x), *self.output_shape)

    def after(self, first: "AffineMap") -> "AffineMap":
        """The composition: this map of what `first` gives.

        Raises:
            AllmlpError: `first` gives another shape than this map takes.
        """
        if first.output_shape != self.input_shape:
            raise AllmlpError(
                f"maps compose where shapes meet: the first gives {first.output_shape}, the second "
                f"takes {self.input_shape}"
            )
        return AffineMap(
            self.weight @ first.weight,
            self.weight @ first.bias + self.bias,
            first.input_shape,
            self.output_shape,
        )


@torch.no_grad()
def affine_map(
    function: Callable[[Tensor], Tensor], input_shape: tuple[int, ...], *, rtol: float = 1e-10
) -> AffineMap:
    """Compose a linear part of a network exactly: a module, or several of them in a function.

    Its bias is the value at 0, its columns the values at the unit vectors; then it is compared with
    the function at four random inputs. What is not affine is refused.

    Args:
        function: `(b, *input_shape) -> (b, *output_shape)` in float64, for example a module after
            `.double().eval()`, or a lambda that applies several.
        input_shape: of one input, without the batch axis.
        rtol: largest difference at the random inputs, relative to the largest output.

    Raises:
        AllmlpError: the function is not affine, or does not compute in float64.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).double()
        >>> affine_map(net, (4,)).weight.shape
        torch.Size([2, 4])
    """
    size = torch.Size(input_shape).numel()
    try:
        zero = function(torch.zeros(1, *input_shape, dtype=torch.float64))
    except RuntimeError as e:
        raise AllmlpError(
            f"affine_map calls its function with float64, which it does not take ({e}); convert a "
            "copy of the module with .double()"
        ) from e
    columns = []
    for start in range(0, size, _CHUNK):
        units = torch.zeros(min(_CHUNK, size - start), size, dtype=torch.float64)
        units[:, start:].fill_diagonal_(1)
        columns.append((function(units.unflatten(1, input_shape)) - zero).flatten(1))
    found = AffineMap(
        torch.cat(columns).mT.contiguous(), zero.flatten(), input_shape, tuple(zero.shape[1:])
    )
    probes = torch.randn(4, *input_shape, generator=torch.Generator().manual_seed(0)).double()
    truth = function(probes)
    error = (found(probes) - truth).abs().max().item()
    if not error <= rtol * truth.abs().max().item():
        raise AllmlpError(
            f"the function is not affine: at random inputs its matrix is off by {error:.2g}; give "
            "the part between two non-linearities, in evaluation mode"
        )
    return found
