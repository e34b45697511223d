"""One linear map over the token axis, the same for every channel.

Axes: b batch, n tokens in, m tokens out, d width.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_integers
from allmlp.ops import mix_tokens

__all__ = ["TokenLinear"]


class TokenLinear(nn.Module):
    """`y[b] = weight @ x[b] + bias[:, None]`, without moving the tokens.

    `weight` and `bias` are named and shaped as in `torch.nn.Linear(n, m)`.

    Args:
        num_tokens: n, fixed by the weights.
        out_tokens: m; None for n.

    Shape:
        (b, n, d) -> (b, m, d); dtype unchanged.

    Raises:
        AllmlpError: a size is no positive integer.

    Example:
        >>> TokenLinear(3, 2)(torch.zeros(5, 3, 4)).shape
        torch.Size([5, 2, 4])
    """

    def __init__(self, num_tokens: int, out_tokens: int | None = None):
        super().__init__()
        out = num_tokens if out_tokens is None else out_tokens
        check_integers("TokenLinear", minimum=1, num_tokens=num_tokens, out_tokens=out)
        self.weight = nn.Parameter(torch.empty(out, num_tokens))
        self.bias = nn.Parameter(torch.zeros(out))
        nn.init.trunc_normal_(self.weight, std=0.02)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b m d"]:
        return mix_tokens(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"num_tokens={self.weight.shape[1]}, out_tokens={self.weight.shape[0]}"
