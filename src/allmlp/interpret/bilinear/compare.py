"""Inner products of interaction tensors, through products of neurons alone.

W and V may be swapped, and every neuron rescaled, without changing the function: networks are
compared by their tensors B, and never by W and V.
Axes: d inputs, a neurons, k outputs.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.interpret.bilinear.quadratic import Quadratic, read_input

__all__ = ["gram", "inner_products", "similarity"]


def inner_products(first: Quadratic, second: Quadratic) -> Float[Tensor, "k1 k2"]:
    """<B_c, B'_c'> for all pairs of outputs of two sets of forms, in O(a^2 (d + k)).

    With K = ((L L'^T) * (R R'^T) + (L R'^T) * (R L'^T)) / 2, a x a', it is P K P'^T.

    Raises:
        AllmlpError: forms of another number of inputs, or only one set with the constant 1.
    """
    if first.left.shape[1] != second.left.shape[1] or first.homogeneous != second.homogeneous:
        raise AllmlpError(
            f"forms of {_inputs(first)} and of {_inputs(second)} have no inner product; compare "
            "networks with the same inputs"
        )
    kernel = (first.left @ second.left.mT) * (first.right @ second.right.mT)
    kernel += (first.left @ second.right.mT) * (first.right @ second.left.mT)
    return first.out @ (kernel / 2) @ second.out.mT


def gram(model: nn.Module) -> Float[Tensor, "k k"]:
    """The Gram matrix of the outputs' interaction matrices, in the space of the input.

    Args:
        model: a `BilinearMLP` of one layer, or a `GatedMlp` or `GatedLinear`, without a gate.

    Raises:
        AllmlpError: no bilinear network, or several layers.
    """
    forms = read_input(model)
    return inner_products(forms, forms)


def similarity(first: nn.Module, second: nn.Module) -> Float[Tensor, " k"]:
    """For every output, the cosine between the interaction matrices of two networks.

    1 means the same function up to a positive factor, whatever the weights are. In the space of the
    input, so that embeddings and hidden widths may differ.

    Args:
        first: a `BilinearMLP` of one layer, or a `GatedMlp` or `GatedLinear`, without a gate.
        second: another one, with as many inputs and outputs.

    Raises:
        AllmlpError: no bilinear network, several layers, or networks of different sizes.
    """
    one, two = (_homogeneous(read_input(model)) for model in (first, second))
    if len(one.out) != len(two.out):
        raise AllmlpError(
            f"networks of {len(one.out)} and {len(two.out)} outputs cannot be compared output by "
            "output; take gram(), or cut one of them"
        )
    across = inner_products(one, two).diagonal()
    norms = [inner_products(forms, forms).diagonal() for forms in (one, two)]
    return across / torch.sqrt(norms[0] * norms[1])


def _homogeneous(forms: Quadratic) -> Quadratic:
    """The same forms with the constant 1 behind the input, so that biases may differ."""
    if forms.homogeneous:
        return forms
    left, right = (torch.nn.functional.pad(w, (0, 1)) for w in (forms.left, forms.right))
    return Quadratic(left, right, forms.out, homogeneous=True)


def _inputs(forms: Quadratic) -> str:
    inputs = forms.left.shape[1]
    return f"{inputs - 1} inputs and the constant 1" if forms.homogeneous else f"{inputs} inputs"
