"""Eigenvectors of quadratic forms, the larger side never formed.

Axes: d inputs, a neurons, k outputs, r rank.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.interpret.bilinear.quadratic import Quadratic

__all__ = ["dense_spectrum", "spectrum", "thin_spectrum"]

Spectrum = tuple[Float[Tensor, " r"], Float[Tensor, "r d"]]


def spectrum(forms: Quadratic, direction: Float[Tensor, " k"]) -> Spectrum:
    """Eigenvalues of `forms.matrix(direction)` and unit eigenvectors, the largest modulus first.

    A form of a neurons has a rank of at most 2 a; where that is less than d the thin solver finds
    the rank's worth of them, elsewhere all d come.

    Args:
        forms: of d inputs.
        direction: weights of the outputs.

    Returns:
        values (r,) with their signs, and vectors (r, d), whose largest entry is positive.
    """
    neurons, inputs = forms.left.shape
    return (thin_spectrum if 2 * neurons < inputs else dense_spectrum)(forms, direction)


def dense_spectrum(forms: Quadratic, direction: Float[Tensor, " k"]) -> Spectrum:
    """As `spectrum`, through the d x d matrix: O(a d^2 + d^3)."""
    values, vectors = torch.linalg.eigh(forms.matrix(direction))
    return _ordered(values, vectors.mT)


def thin_spectrum(forms: Quadratic, direction: Float[Tensor, " k"]) -> Spectrum:
    """As `spectrum`, within the span of the neurons: O(d a^2), for a below d / 2.

    With [left; right]' = basis R, reduced QR, the form is basis (R_left S R_right') basis', and its
    eigenvectors are those of the 2a x 2a matrix in the middle, lifted by the basis.
    """
    neurons = len(forms.left)
    basis, coordinates = torch.linalg.qr(torch.cat([forms.left, forms.right]).mT)
    left, right = coordinates[:, :neurons].mT, coordinates[:, neurons:].mT
    inner = Quadratic(left.contiguous(), right.contiguous(), forms.out)
    values, vectors = torch.linalg.eigh(inner.matrix(direction))
    return _ordered(values, vectors.mT @ basis.mT)


def _ordered(values: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    order = values.abs().argsort(descending=True, stable=True)
    values, vectors = values[order], vectors[order]
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return values, vectors * torch.where(largest < 0, -1.0, 1.0).to(vectors)
