"""Two-layer perceptrons over channels and over tokens.

Axes: b batch, n tokens, d width, m hidden.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_integers
from allmlp.layers.hooked import hooked, is_own
from allmlp.ops import linear, linear_gelu, mix_tokens

__all__ = ["Mlp", "TokenMlp", "linear_activation"]


class Mlp(nn.Module):
    """`fc2(activation(fc1(x)))` on the last axis.

    Args:
        in_features: d, also the number of outputs.
        hidden: m.
        activation: module between the two layers.
        dropout_rate: fraction of units dropped after the activation and after `fc2`, in [0, 1).

    Shape:
        (..., d) -> (..., d); dtype unchanged.

    Raises:
        AllmlpError: a size is no positive integer.
    """

    def __init__(
        self,
        in_features: int,
        hidden: int,
        *,
        activation: nn.Module | None = None,
        dropout_rate: float = 0.0,
    ):
        super().__init__()
        check_integers("Mlp", minimum=1, in_features=in_features, hidden=hidden)
        self.fc1 = nn.Linear(in_features, hidden)
        self.activation = nn.GELU() if activation is None else activation
        self.dropout = nn.Dropout(dropout_rate)
        self.fc2 = nn.Linear(hidden, in_features)

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        hidden = self.dropout(linear_activation(x, self.fc1, self.activation))
        if hooked(self.fc2) or not is_own(self.fc2, nn.Linear):
            return self.dropout(self.fc2(hidden))
        return self.dropout(linear(hidden, self.fc2.weight, self.fc2.bias))

    def join(self, stream: Float[Tensor, "*b d"], x: Float[Tensor, "*b d"]) -> Tensor:
        """`stream + self(x)`; at inference the sum is part of the last product.

        Hooks on the module or its last parts see what they always see.
        """
        dropped = self.training and self.dropout.p > 0
        watched = hooked(self, self.dropout, self.fc2) or not is_own(self.fc2, nn.Linear)
        if torch.is_grad_enabled() or dropped or watched:
            return stream + self(x)
        hidden = linear_activation(x, self.fc1, self.activation)
        return linear(hidden, self.fc2.weight, self.fc2.bias, plus=stream)


class TokenMlp(nn.Module):
    """An `Mlp` over the token axis, with the same weights for every channel.

    `fc1` and `fc2` are ordinary `nn.Linear`s (so initialisation, decay and converters need no
    special case), applied by `ops.mix_tokens` without a transpose.

    Args:
        num_tokens: n, fixed by the weights.
        hidden: m; the Mixer paper's D_S, independent of n.
        activation: module between the two layers.
        dropout_rate: fraction of units dropped after the activation and after `fc2`, in [0, 1).

    Shape:
        (b, n, d) -> (b, n, d); dtype unchanged.

    Raises:
        AllmlpError: a size is no positive integer.
    """

    def __init__(
        self,
        num_tokens: int,
        hidden: int,
        *,
        activation: nn.Module | None = None,
        dropout_rate: float = 0.0,
    ):
        super().__init__()
        check_integers("TokenMlp", minimum=1, num_tokens=num_tokens, hidden=hidden)
        self.fc1 = nn.Linear(num_tokens, hidden)
        self.activation = nn.GELU() if activation is None else activation
        self.dropout = nn.Dropout(dropout_rate)
        self.fc2 = nn.Linear(hidden, num_tokens)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        hidden = self.activation(_mix(x, self.fc1))
        return self.dropout(_mix(self.dropout(hidden), self.fc2))


def _mix(x: Float[Tensor, "b n d"], layer: nn.Module) -> Float[Tensor, "b m d"]:
    if isinstance(layer, nn.Linear) and is_own(layer, nn.Linear):
        return mix_tokens(x, layer.weight, layer.bias)
    return layer(x.mT).mT


def linear_activation(
    x: Float[Tensor, "*b d"], layer: nn.Module, activation: nn.Module
) -> Float[Tensor, "*b m"]:
    """`activation(layer(x))`, in one pass where it is a GELU and nobody looks in between."""
    if isinstance(layer, nn.Linear) and isinstance(activation, nn.GELU):
        # a hook on either part wants to see what passes between them
        apart = hooked(layer, activation) or layer.bias is None
        if not apart and is_own(layer, nn.Linear) and is_own(activation, nn.GELU):
            return linear_gelu(x, layer.weight, layer.bias, activation.approximate)
    return activation(layer(x))
