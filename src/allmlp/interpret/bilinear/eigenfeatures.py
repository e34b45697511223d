"""What a bilinear layer computes, as features whose squares add up to the logit.

Paper: Pearce et al. 2024, arXiv:2410.08417, §3.2 and §4.
Axes: b any leading axes of inputs, c any leading axes of directions, r features, i inputs.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_choice, check_integers
from allmlp.interpret.bilinear.directions import Direction, as_directions
from allmlp.interpret.bilinear.quadratic import Quadratic, read_input, read_single
from allmlp.interpret.bilinear.spectrum import spectrum

__all__ = ["EigenFeatures", "Space", "decompose", "eigenfeatures"]

Space = Literal["hidden", "input"]


@dataclass(frozen=True, eq=False)
class EigenFeatures:
    """logit(x) = sum_r values_r (directions_r . x + offsets_r)^2, in float64.

    Attributes:
        values: (..., r), eigenvalues by falling modulus, signs kept.
        directions: (..., r, i), in the space of the network's input.
        offsets: (..., r), 0 for networks without biases and residuals.
        tail: (...), modulus of the largest eigenvalue left out; 0 if none is. The logit is off by
            at most tail * |z|^2, z the embedded input (with a 1 behind it where there are biases).
    """

    values: Float[Tensor, "*c r"]
    directions: Float[Tensor, "*c r i"]
    offsets: Float[Tensor, "*c r"]
    tail: Float[Tensor, "*c"]

    def contributions(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "..."]:
        """What every feature adds to the logit: values * (directions . x + offsets)^2.

        Shape:
            inputs (*b, i), directions (*c, r, i) -> (*b, *c, r); float64.
        """
        activations = torch.tensordot(x.to(self.directions), self.directions, ([-1], [-1]))
        return self.values * (activations + self.offsets).square()

    def logits(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "..."]:
        """The sums of the contributions, (*b, *c)."""
        return self.contributions(x).sum(-1)


def eigenfeatures(
    model: nn.Module, cls: Direction = None, k: int | None = None, *, space: Space = "hidden"
) -> EigenFeatures:
    """Decompose a bilinear layer along outputs.

    `u . y` is a quadratic form z' Q z of the embedded input z = E x. With the eigenvectors v_r of Q
    it is sum_r values_r (v_r . z)^2, and v_r . z = (E' v_r) . x: the directions. They are
    orthonormal where `space` says, and exact in both.

    Args:
        model: a `BilinearMLP` of one layer, or a `GatedMlp` or `GatedLinear`, without a gate.
        cls: number of an output; or weights of the outputs, (..., k), whose leading axes the result
            has as well; None for every output.
        k: features kept, those of largest |values|; None keeps all.
        space: `hidden` decomposes behind the embedding, as the paper does; `input` in front of it.

    Raises:
        AllmlpError: no bilinear network, several layers, or an output that does not exist.

    Example:
        >>> from allmlp import BilinearMLP
        >>> model, x = BilinearMLP(6, 3, hidden=4).double(), torch.ones(1, 6).double()
        >>> features = eigenfeatures(model, 2)
        >>> torch.allclose(features.logits(x), model(x)[:, 2])
        True
    """
    check_choice("space", space, ("hidden", "input"))
    if space == "input":
        return decompose(read_input(model), cls, k)
    forms, embed = read_single(model)
    return decompose(forms, cls, k, embed)


def decompose(
    forms: Quadratic, cls: Direction, k: int | None = None, embed: Tensor | None = None
) -> EigenFeatures:
    """As `eigenfeatures`, of forms behind an embedding.

    Raises:
        AllmlpError: an output that does not exist.
    """
    if k is not None:
        check_integers("eigenfeatures", minimum=0, k=k)
    directions = as_directions(forms, cls)
    # one direction at a time: a d x d matrix is as much memory as there ever is
    lead = directions.shape[:-1]
    found = [spectrum(forms, u) for u in directions.reshape(-1, directions.shape[-1])]
    values = torch.stack([v for v, _ in found])
    vectors = torch.stack([v[:k] for _, v in found])
    kept = vectors.shape[1]
    tail = values[:, kept].abs() if kept < values.shape[1] else values.new_zeros(len(values))
    values, vectors = (
        found.reshape(*lead, *found.shape[1:]) for found in (values[:, :kept], vectors)
    )
    offsets = torch.zeros_like(values)
    if forms.homogeneous:
        vectors, offsets = vectors[..., :-1], vectors[..., -1]
    return EigenFeatures(
        values=values,
        directions=vectors if embed is None else vectors @ embed,
        offsets=offsets,
        tail=tail.reshape(lead),
    )
