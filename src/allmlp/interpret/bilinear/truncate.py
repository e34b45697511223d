"""A bilinear network cut down to its largest eigenfeatures.

Paper: Pearce et al. 2024, arXiv:2410.08417, §4.2.
"""

import torch
from torch import nn

from allmlp.errors import check_integers
from allmlp.interpret.bilinear.eigenfeatures import eigenfeatures
from allmlp.models.bilinear import BilinearMLP

__all__ = ["truncate"]


def truncate(model: nn.Module, k: int) -> BilinearMLP:
    """The network that keeps, for every output, the k eigenfeatures of largest modulus.

    A feature is a neuron whose two factors are equal, so the result is again a bilinear network: k
    neurons for every output, no embedding. Nothing of rank k is nearer to an output's matrix in the
    spectral or the Frobenius norm; logits move by at most `EigenFeatures.tail` times |z|^2.

    Args:
        model: a `BilinearMLP` of one layer, or a `GatedMlp` or `GatedLinear`, without a gate.
        k: features for every output, at least 1; more than there are keep all.

    Returns:
        A new network in evaluation mode, with the dtype of the model.

    Raises:
        AllmlpError: no bilinear network, several layers, or k below 1.

    Example:
        >>> truncate(BilinearMLP(784, 10, hidden=64, embed=64), 5).config.hidden
        50
    """
    check_integers("truncate", minimum=1, k=k)
    features = eigenfeatures(model, None, k)
    outputs, kept, inputs = features.directions.shape
    biased = bool(features.offsets.any())
    # sizes are known only here; what the constructor draws is overwritten
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        small = BilinearMLP(inputs, outputs, hidden=outputs * kept, bias=biased)
    weight, bias = features.directions.flatten(0, 1), features.offsets.flatten()
    state = {"head.weight": torch.block_diag(*features.values[:, None])}
    for side in ("left", "right"):
        state[f"blocks.0.{side}.weight"] = weight
        if biased:
            state[f"blocks.0.{side}.bias"] = bias
    example = next(model.parameters())
    small.to(example.device, example.dtype).load_state_dict(state)
    return small.eval()
