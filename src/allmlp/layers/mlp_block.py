"""The two blocks of a classic MLP, put together from parts that are handed in.

Axes: i inputs, d width, h hidden.
"""

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.layers.lipschitz import chain_bound
from allmlp.layers.mlp import linear_activation

__all__ = ["PlainLayer", "ResidualBlock"]


class PlainLayer(nn.Module):
    """`dropout(activation(norm(linear(x))))`.

    Dropout stands behind the activation and the norm before it, so that the norm's statistics do
    not see this layer's dropout.

    Args:
        linear: i -> d, or 2 d before a gate.
        norm: keeps its width; `nn.Identity` for none.
        activation: acts on each number by itself, or a `Gate`.
        dropout: keeps its width.

    Shape:
        (..., i) -> (..., d); dtype unchanged.
    """

    def __init__(
        self, *, linear: nn.Linear, norm: nn.Module, activation: nn.Module, dropout: nn.Module
    ):
        super().__init__()
        self.linear = linear
        self.norm = norm
        self.activation = activation
        self.dropout = dropout

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b d"]:
        if isinstance(self.norm, nn.Identity):
            return self.dropout(linear_activation(x, self.linear, self.activation))
        return self.dropout(self.activation(self.norm(self.linear(x))))

    def lipschitz_bound(self) -> float:
        """The product over its parts."""
        return chain_bound((self.linear, self.norm, self.activation))


class ResidualBlock(nn.Module):
    """`x + scale * drop_path(dropout2(fc2(dropout1(activation(fc1(norm(x)))))))` (pre-norm).

    Args:
        norm: of width d; `nn.Identity` for none.
        fc1: d -> h, or 2 h before a gate.
        activation: acts on each number by itself, or a `Gate`.
        dropout1: of the hidden units.
        fc2: h -> d.
        dropout2: of the branch's output.
        drop_path: of the whole branch, per example.
        scale: of the branch.

    Shape:
        (..., d) -> (..., d); dtype unchanged.

    Source: He et al. 2016, arXiv:1603.05027, for the order; the branch of the MLP in Vaswani et al.
    2017, arXiv:1706.03762, §3.3.
    """

    def __init__(
        self,
        *,
        norm: nn.Module,
        fc1: nn.Linear,
        activation: nn.Module,
        dropout1: nn.Module,
        fc2: nn.Linear,
        dropout2: nn.Module,
        drop_path: nn.Module,
        scale: float | int = 1,
    ):
        super().__init__()
        self.norm = norm
        self.fc1 = fc1
        self.activation = activation
        self.dropout1 = dropout1
        self.fc2 = fc2
        self.dropout2 = dropout2
        self.drop_path = drop_path
        self.scale = scale

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        hidden = linear_activation(self.norm(x), self.fc1, self.activation)
        branch = self.drop_path(self.dropout2(self.fc2(self.dropout1(hidden))))
        return x + (branch if self.scale == 1 else self.scale * branch)

    def lipschitz_bound(self) -> float:
        """One plus the branch's product: never below 1."""
        return 1 + abs(self.scale) * chain_bound((self.norm, self.fc1, self.activation, self.fc2))

    def extra_repr(self) -> str:
        return f"scale={self.scale}"
