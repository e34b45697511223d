"""Shared structure of all outputs: the higher-order SVD of the interaction tensor.

Paper: Pearce et al. 2024, arXiv:2410.08417, §3.3.
DIFF: through the Gram matrix of the neurons; the tensor is not formed.
Axes: s components, k outputs, r features, i inputs.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers
from allmlp.interpret.bilinear.compare import inner_products
from allmlp.interpret.bilinear.eigenfeatures import EigenFeatures, decompose
from allmlp.interpret.bilinear.quadratic import read_input

__all__ = ["HOSVD", "hosvd"]


@dataclass(frozen=True, eq=False)
class HOSVD:
    """B = sum_s values_s outputs_s (x) Q_s, with orthonormal outputs_s and orthonormal Q_s.

    Attributes:
        values: (s,), singular values, falling.
        outputs: (s, k), how much component s adds to every output; sign arbitrary, the largest
            entry positive.
        features: of every Q_s, with leading axis s.
    """

    values: Float[Tensor, " s"]
    outputs: Float[Tensor, "s k"]
    features: EigenFeatures

    def logits(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b k"]:
        """What the components kept add up to."""
        return (self.features.logits(x) * self.values) @ self.outputs


def hosvd(model: nn.Module, rank: int | None = None, k: int | None = None) -> HOSVD:
    """Singular value decomposition of the tensor, flattened to (outputs, inputs squared).

    Its Gram matrix is P K P' with an a x a matrix K of products between a neurons (`compare.gram`);
    the eigenvectors are the outputs' weights, and Q_s = sum_c outputs_sc B_c / values_s is
    decomposed like any direction. Components are unique where the values differ.

    Args:
        model: a `BilinearMLP` of one layer, or a `GatedMlp` or `GatedLinear`, without a gate.
        rank: components kept; None keeps all that are not 0.
        k: features kept of each component; None keeps all.

    Raises:
        AllmlpError: no bilinear network, several layers, a rank below 1, or nothing but zeros.
    """
    if rank is not None:
        check_integers("hosvd", minimum=1, rank=rank)
    forms = read_input(model)
    squares, vectors = torch.linalg.eigh(inner_products(forms, forms))
    # squares: below the rounding of the largest one nothing is known
    known = squares > squares[-1] * len(squares) * torch.finfo(squares.dtype).eps
    if not known.any():
        raise AllmlpError(
            "every weight of this network is 0, or their products are; train it first"
        )
    chosen = known.nonzero().flatten().flip(0)[:rank]
    values, outputs = squares[chosen].sqrt(), vectors[:, chosen].mT
    largest = outputs.gather(1, outputs.abs().argmax(1, keepdim=True))
    outputs = outputs * torch.where(largest < 0, -1.0, 1.0).to(outputs)
    return HOSVD(values, outputs, decompose(forms, outputs / values[:, None], k))
