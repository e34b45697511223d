"""Sample statistics of a KAN layer's edges, without a tensor of samples x inputs x outputs.

All edges of one input are linear in the same few functions, phi_oi(x) = w_oi . F_i(x_i) with
F_i = [B_i1 .. B_im, b], so that their standard deviations over any number of samples follow from
one small covariance per input:

    std(phi_oi) = sqrt(w_oi^T C_i w_oi),    C_i = cov F_i(x_i)

Source: Liu et al. 2024, arXiv:2408.10205, §4 (what is needed of the edges); the form is ours.
Axes: n samples, i inputs, s sums, e symbolic edges, f functions, g groups of functions.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.layers.kan import KANLinear
from allmlp.layers.kan_symbolic import SymbolicEdges
from allmlp.ops.autocast import at_least_float32

__all__ = ["LayerMoments", "Moments", "layer_moments", "safe_sqrt"]

# of the functions' values: 32 MB in float64
_NUMBERS_AT_ONCE = 2**22


@dataclass(frozen=True, eq=False)
class Moments:
    """Means and centred second moments of groups of functions over samples; sums of them add up.

    Example:
        >>> ones, twos = torch.ones(4, 1, 1), torch.full((4, 1, 1), 3.0)
        >>> (Moments.of(ones) + Moments.of(twos)).std(torch.ones(1, 1)).square()
        tensor([1.1429])
    """

    count: int
    mean: Float[Tensor, "g f"]
    scatter: Float[Tensor, "g f f"]  # sum over samples of (F - mean)(F - mean)^T

    @classmethod
    def of(cls, values: Float[Tensor, "n g f"]) -> "Moments":
        """Of one batch of samples.

        Raises:
            AllmlpError: there is no sample.
        """
        if len(values) == 0:
            raise AllmlpError("statistics over samples need at least one sample, got none")
        mean = values.mean(0)
        centred = values - mean
        return cls(len(values), mean, torch.einsum("ngf,ngh->gfh", centred, centred))

    def __add__(self, other: "Moments") -> "Moments":
        # Chan, Golub and LeVeque 1979: nothing large is subtracted
        count = self.count + other.count
        step = other.mean - self.mean
        between = torch.einsum("gf,gh->gfh", step, step) * (self.count * other.count / count)
        mean = self.mean + step * (other.count / count)
        return Moments(count, mean, self.scatter + other.scatter + between)

    def std(self, weights: Float[Tensor, "*s g f"]) -> Float[Tensor, "*s g"]:
        """Standard deviation of each weighted sum of functions (n - 1; of one sample 0).

        Its gradient is finite everywhere, and zero where the deviation is zero.
        """
        half = torch.einsum("...gf,gfh->...gh", weights, self.scatter)
        return safe_sqrt((half * weights).sum(-1) / max(self.count - 1, 1))


@dataclass(frozen=True, eq=False)
class LayerMoments:
    """What the scores of one layer's edges and sums are made of; batches add up."""

    functions: Moments  # (i, f + 1): of every input the layer's functions, and last the input
    formulas: Moments | None  # (e, f + 1): the functions of its input, and last the formula's value
    sums: Moments  # (s, 1)

    def __add__(self, other: "LayerMoments") -> "LayerMoments":
        both = None
        if self.formulas is not None and other.formulas is not None:
            both = self.formulas + other.formulas
        return LayerMoments(self.functions + other.functions, both, self.sums + other.sums)

    def input_std(self) -> Float[Tensor, " i"]:
        """Of what the layer reads."""
        return self.functions.std(_last_alone(self.functions.mean))

    def sum_std(self) -> Float[Tensor, " s"]:
        """Of its sums over edges."""
        return self.sums.std(torch.ones_like(self.sums.mean))

    def edge_std(self, numeric: KANLinear, symbolic: SymbolicEdges | None) -> Float[Tensor, "s i"]:
        """Of every edge, spline, base and formula together; exact, and differentiable."""
        weights = _edge_weights(numeric, self.functions.mean)
        found = self.functions.std(weights)
        if symbolic is None or self.formulas is None:
            return found
        ends = (symbolic.outputs, symbolic.inputs)
        own = weights[ends] + _last_alone(self.formulas.mean)
        return found.index_put(ends, self.formulas.std(own))

    def edge_mean(self, numeric: KANLinear, symbolic: SymbolicEdges | None) -> Float[Tensor, "s i"]:
        """Mean of every edge over the samples."""
        means = (_edge_weights(numeric, self.functions.mean) * self.functions.mean).sum(-1)
        if symbolic is None or self.formulas is None:
            return means
        ends = (symbolic.outputs, symbolic.inputs)
        return means.index_put(ends, means[ends] + self.formulas.mean[:, -1])


def layer_moments(
    numeric: KANLinear, symbolic: SymbolicEdges | None, x: Float[Tensor, "n i"]
) -> LayerMoments:
    """Moments of one layer on what it reads, in at least float32; tiles bound the memory.

    Args:
        numeric: the learnable functions.
        symbolic: edges that are formulas, or None.
        x: what the layer reads.

    Raises:
        AllmlpError: there is no sample, or x has another width.
    """
    numeric.basis.check(x)
    functions = numeric.basis.size + 2
    edges = 0 if symbolic is None else len(symbolic.edges)
    rows = max(1, _NUMBERS_AT_ONCE // (functions * max(x.shape[-1], edges)))
    tiles = [_of_tile(numeric, symbolic, tile) for tile in x.split(rows)]
    total = tiles[0]
    for tile in tiles[1:]:
        total = total + tile
    return total


def safe_sqrt(x: Tensor) -> Tensor:
    """The root; zero, with gradient zero, where x is not above zero."""
    above = x > 0
    return torch.where(above, torch.where(above, x, 1).sqrt(), 0)


def _of_tile(numeric: KANLinear, symbolic: SymbolicEdges | None, x: Tensor) -> LayerMoments:
    # the layer as it computes, its moments in float32 at least
    values = at_least_float32(numeric.edge_functions(x))
    sums = at_least_float32(numeric(x))
    formulas = None
    if symbolic is not None:
        sums = sums + at_least_float32(symbolic(x))
        own = at_least_float32(symbolic.edge_values(x))[..., None]
        formulas = Moments.of(torch.cat([values[:, symbolic.inputs], own], dim=-1))
    functions = Moments.of(torch.cat([values, at_least_float32(x)[..., None]], dim=-1))
    return LayerMoments(functions, formulas, Moments.of(sums[..., None]))


def _edge_weights(numeric: KANLinear, like: Tensor) -> Float[Tensor, "s i f"]:
    """Weights of the functions on every edge, and a zero for the input itself."""
    return torch.nn.functional.pad(numeric.edge_weights(), (0, 1)).to(like)


def _last_alone(like: Tensor) -> Tensor:
    chosen = torch.zeros_like(like)
    chosen[..., -1] = 1
    return chosen
