"""A linear map over the token axis that never moves the tokens.

Axes: b batch, n tokens in, m tokens out, d width.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from allmlp.ops.autocast import autocast_dtype

__all__ = ["mix_tokens"]


def mix_tokens(
    x: Float[Tensor, "b n d"], weight: Float[Tensor, "m n"], bias: Float[Tensor, " m"]
) -> Float[Tensor, "b m d"]:
    """Apply one linear map to the token axis: `y[b] = weight @ x[b] + bias[:, None]`.

    The same as `linear(x.transpose(1, 2), weight, bias).transpose(1, 2)`, but the product is taken
    in the layout that `x` has: two copies of the activations are saved.

    Args:
        x: tokens.
        weight: as in `torch.nn.Linear(n, m)`.
        bias: one number for every outgoing token.

    Shape:
        (b, n, d) -> (b, m, d); output dtype = input dtype (autocast's dtype under autocast).
    """
    dtype = autocast_dtype(x)
    if dtype is not None:
        # cast the (m, n) weight itself: autocast would cast its expansion, b times the work
        weight = weight.to(dtype)
    return torch.baddbmm(bias[:, None], weight.expand(x.shape[0], -1, -1), x)
