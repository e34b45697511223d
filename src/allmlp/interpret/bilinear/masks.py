"""Inputs that excite one eigenfeature and none of its rivals, read off the weights.

Paper: Pearce et al. 2024, arXiv:2410.08417, §4.4.
DIFF: the pseudo-inverse is taken in the space of the input, where the duality is then exact.
Axes: m masks, r rivals, i inputs, k outputs.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_integers
from allmlp.interpret.bilinear.eigenfeatures import EigenFeatures, eigenfeatures

__all__ = ["adversarial_masks"]


def adversarial_masks(
    model: nn.Module,
    cls: int,
    count: int = 10,
    *,
    rivals: Sequence[int] = (),
    support: Bool[Tensor, " i"] | None = None,
) -> Float[Tensor, "m i"]:
    """Directions of input space that speak for a class, one for each of its features.

    F holds the `count` eigenfeatures of largest positive value (and as many of each rival). Mask j
    is column j of the pseudo-inverse of F: F mask_j = e_j, so that x + s mask_j moves feature j by
    s and every other feature of F by nothing. The logit gains values_j (2 s a_j + s^2), a_j the
    feature's activation: for large s the sign is free. No training, no forward pass.

    Args:
        model: a `BilinearMLP` of one layer, or a `GatedMlp` or `GatedLinear`, without a gate.
        cls: the class that the masks shall speak for.
        count: features of the class, and of each rival.
        rivals: classes whose features the masks shall leave alone as well.
        support: inputs that may be changed, None for all; masks are 0 elsewhere and still exact.

    Returns:
        (count, i), float64, the mask of the strongest feature first. Fewer where the class has
        fewer features of positive value.

    Raises:
        AllmlpError: no bilinear network, several layers, an output that does not exist, no feature
            of positive value, or features that are not independent on the support.
    """
    check_integers("adversarial_masks", minimum=1, count=count)
    own, *others = (_positive(eigenfeatures(model, c), count) for c in (cls, *rivals))
    if not len(own):
        raise AllmlpError(f"output {cls} has no eigenfeature of positive value, nothing excites it")
    rows = torch.cat([own, *others])
    chosen = rows if support is None else rows[:, support]
    rank = int(torch.linalg.matrix_rank(chosen)) if chosen.numel() else 0
    if rank < len(rows):
        raise AllmlpError(
            f"the {len(rows)} features span {rank} dimensions of the inputs that may change, so "
            "none can be excited alone; take a smaller count, fewer rivals or a larger support"
        )
    masks = torch.linalg.pinv(chosen).mT[: len(own)]
    if support is None:
        return masks
    whole = torch.zeros_like(own)
    whole[:, support] = masks
    return whole


def _positive(features: EigenFeatures, count: int) -> Float[Tensor, "r i"]:
    # values: below the rounding of the largest one a sign means nothing
    noise = features.values.abs().max() * len(features.values) * torch.finfo(torch.float64).eps
    return features.directions[features.values > noise][:count]
