"""Deep bilinear networks, exactly: squares of sums of squares.

The last layer's form of a logit has eigenvectors r_k; each of them is a direction in the output
space of the layer below, whose form along it is decomposed in turn. For two layers:

    y = sum_k L_k ( sum_j mu_kj (t_kj . z)^2 )^2

The idea stands in Pearce et al. 2024, arXiv:2410.08417, §6; the derivation is ours.
Axes: b any leading axes of inputs, n nodes of one level, i inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers
from allmlp.interpret.bilinear.directions import as_directions
from allmlp.interpret.bilinear.quadratic import Quadratic, read_chain
from allmlp.interpret.bilinear.spectrum import spectrum

__all__ = ["Level", "NestedFeatures", "nested"]

_MAX_ELEMENTS = 2**26  # of the vectors of one level: 512 MiB in float64


@dataclass(frozen=True, eq=False)
class Level:
    """The eigenfeatures of one layer along the eigenvectors kept of the layer above.

    Attributes:
        values: (n,), eigenvalues.
        parents: (n,), the node of the level above that each belongs to.
        scores: (n,), |L| |mu|^2 |nu|^4 ... from the top down to here, by which the beam chooses.
    """

    values: Float[Tensor, " n"]
    parents: Int[Tensor, " n"]
    scores: Float[Tensor, " n"]


@dataclass(frozen=True, eq=False)
class NestedFeatures:
    """A tree of eigenfeatures, the last layer's first.

    Attributes:
        levels: one for every layer, from the last to the first.
        directions: (n, i), of the last level, in the space of the network's input.
        offsets: (n,), 0 for networks without biases and residuals.
        exact: whether nothing was cut off.
    """

    levels: Sequence[Level]
    directions: Float[Tensor, "n i"]
    offsets: Float[Tensor, " n"]
    exact: bool

    def contributions(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b n"]:
        """What every feature of the last layer adds to the logit, (*b, n) with n of `levels[0]`."""
        activations = x.to(self.directions) @ self.directions.mT + self.offsets
        for above, level in zip(self.levels[-2::-1], self.levels[:0:-1], strict=True):
            terms = level.values * activations.square()
            sums = terms.new_zeros(*terms.shape[:-1], len(above.values))
            activations = sums.index_add(-1, level.parents, terms)
        return self.levels[0].values * activations.square()

    def logits(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b"]:
        """The sums of the contributions."""
        return self.contributions(x).sum(-1)


def nested(model: nn.Module, cls: int | Tensor, beam: int | None = None) -> NestedFeatures:
    """Decompose a network of any number of bilinear layers along one output.

    The tree grows as the product of the layers' ranks. With a beam only so many nodes stay at every
    level, those of largest |L| |mu|^2 ...; within the beam everything is exact, what is cut off is
    left out of the sums.

    Args:
        model: a `BilinearMLP` without a gate; biases and residuals are part of the decomposition.
        cls: number of an output, or weights of the outputs (k,).
        beam: nodes kept at every level; None keeps all.

    Raises:
        AllmlpError: no bilinear network, an output that does not exist, or without a beam a level
            that would not fit into memory.

    Example:
        >>> from allmlp import BilinearMLP
        >>> model = BilinearMLP(5, 2, hidden=4, depth=2, bias=True).double()
        >>> x = torch.ones(1, 5).double()
        >>> torch.allclose(nested(model, 1).logits(x), model(x)[:, 1])
        True
    """
    if beam is not None:
        check_integers("nested", minimum=1, beam=beam)
    chain = read_chain(model)
    *below, last = chain.layers
    weights = as_directions(last, cls)
    if weights.ndim > 1:
        raise AllmlpError(
            f"a nested decomposition is of one output, got directions {tuple(weights.shape)}; take "
            "them one at a time"
        )
    values, vectors = spectrum(last, weights)
    level = Level(values, torch.zeros_like(values, dtype=torch.int64), values.abs())
    level, vectors, exact = _cut(level, vectors, beam)
    levels = [level]
    for forms in reversed(below):
        # a homogeneous layer reads the constant 1 behind the outputs of the layer below
        forms = forms.with_one() if forms.homogeneous else forms
        level, vectors, whole = _descend(forms, level, vectors, 2 ** len(levels), beam)
        exact = exact and whole
        levels.append(level)
    offsets = torch.zeros_like(level.values)
    if chain.layers[0].homogeneous:
        vectors, offsets = vectors[:, :-1], vectors[:, -1]
    directions = vectors if chain.embed is None else vectors @ chain.embed
    return NestedFeatures(levels, directions, offsets, exact)


def _descend(
    forms: Quadratic, above: Level, vectors: Tensor, power: int, beam: int | None
) -> tuple[Level, Tensor, bool]:
    """The features of one layer along every node of the level above it."""
    inputs = forms.left.shape[1]
    if beam is None and len(vectors) * inputs**2 > _MAX_ELEMENTS:
        raise AllmlpError(
            f"{len(vectors)} features of one layer have up to {inputs} each in the layer below: "
            f"{len(vectors) * inputs**2:,} numbers, more than {_MAX_ELEMENTS:,}; pass beam="
        )
    level = Level(above.values[:0], above.parents[:0], above.scores[:0])
    found, exact = vectors.new_empty(0, inputs), True
    for node, vector in enumerate(vectors):
        values, new = spectrum(forms, vector)
        level = Level(
            torch.cat([level.values, values]),
            torch.cat([level.parents, torch.full_like(values, node, dtype=torch.int64)]),
            torch.cat([level.scores, above.scores[node] * values.abs() ** power]),
        )
        # now, so that memory stays at a beam's worth
        level, found, whole = _cut(level, torch.cat([found, new]), beam)
        exact = exact and whole
    return level, found, exact


def _cut(level: Level, vectors: Tensor, beam: int | None) -> tuple[Level, Tensor, bool]:
    """The nodes of highest score, highest first, and whether these are all."""
    if beam is None or len(level.values) <= beam:
        return level, vectors, True
    best = level.scores.topk(beam).indices
    kept = Level(level.values[best], level.parents[best], level.scores[best])
    return kept, vectors[best], False
