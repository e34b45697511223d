"""One input, explained: which features, and which pairs of inputs, speak for and against a class.

Axes: k outputs, r features, i inputs.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.interpret.bilinear.directions import as_directions
from allmlp.interpret.bilinear.eigenfeatures import EigenFeatures, decompose
from allmlp.interpret.bilinear.quadratic import Quadratic, read_input, read_single

__all__ = ["Explanation", "Pair", "explain"]


@dataclass(frozen=True)
class Pair:
    """What the product of two inputs adds to a logit."""

    first: int
    second: int | None  # None: `first` by itself, linearly
    contribution: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """The logits of one input, taken apart in two ways. Either adds up to the logits.

    Attributes:
        logits: (k,), float64.
    """

    logits: Float[Tensor, " k"]
    _x: Float[Tensor, " i"]
    _forms: Quadratic  # of the input
    _inner: tuple[Quadratic, Tensor | None]  # of what the embedding gives; the embedding

    @cached_property
    def features(self) -> EigenFeatures:
        """The eigenfeatures of every output, leading axis k; computed when first asked for."""
        return decompose(self._inner[0], None, None, self._inner[1])

    @property
    def contributions(self) -> Float[Tensor, "k r"]:
        """What every eigenfeature of every output adds to it."""
        return self.features.contributions(self._x)

    def speaks(self, cls: int, count: int = 5) -> tuple[list[int], list[int]]:
        """The features that add most to an output, and those that take most away, by number."""
        added = self.contributions[cls]
        order = added.argsort(descending=True).tolist()
        return (
            [r for r in order[:count] if added[r] > 0],
            [r for r in order[::-1][:count] if added[r] < 0],
        )

    def pair_matrix(self, cls: int) -> Float[Tensor, "d d"]:
        """x_i Q_ij x_j of one output; the sum is its logit. With biases a row more, the 1's."""
        x = self._forms.lift(self._x)
        return x[:, None] * self._forms.matrix(as_directions(self._forms, cls)) * x

    def pairs(self, cls: int, count: int = 5) -> tuple[list[Pair], list[Pair]]:
        """The pairs of inputs that add most to an output, and those that take most away.

        The constant term of a network with biases belongs to no input and is left out.
        """
        added = self.pair_matrix(cls)
        added = torch.triu(added) + torch.triu(added, 1)  # i < j stands for both orders
        inputs = len(self._x)
        if self._forms.homogeneous:
            added[-1, -1] = 0
        best = added.flatten().topk(min(count, added.numel())).indices.tolist()
        worst = added.flatten().neg().topk(min(count, added.numel())).indices.tolist()

        def pair(place: int) -> Pair:
            i, j = divmod(place, len(added))
            return Pair(i, None if j == inputs else j, added[i, j].item())

        return (
            [pair(place) for place in best if added.flatten()[place] > 0],
            [pair(place) for place in worst if added.flatten()[place] < 0],
        )


def explain(model: nn.Module, x: Float[Tensor, " i"]) -> Explanation:
    """Take the logits of one input apart.

    Args:
        model: a `BilinearMLP` of one layer, or a `GatedMlp` or `GatedLinear`, without a gate.
        x: one input, (i,).

    Raises:
        AllmlpError: no bilinear network, several layers, or not one input.

    Example:
        >>> from allmlp import BilinearMLP
        >>> found = explain(BilinearMLP(6, 3, hidden=4), torch.ones(6))
        >>> torch.allclose(found.contributions.sum(1), found.logits)
        True
    """
    forms = read_input(model)
    inputs = forms.left.shape[1] - forms.homogeneous
    if x.shape != (inputs,):
        raise AllmlpError(
            f"explain takes one input of shape ({inputs},), got {tuple(x.shape)}; take x[0] of a "
            "batch, and flatten images"
        )
    x = x.detach().to(forms.left)
    return Explanation(forms(x), x, forms, read_single(model))
