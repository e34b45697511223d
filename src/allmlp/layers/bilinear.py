"""Products of two linear maps: the bilinear layer and its gated relatives.

Papers: Pearce et al. 2024, arXiv:2410.08417 (bilinear layers and their decomposition); Shazeer
2020, GLU variants improve Transformer, arXiv:2002.05202 (the family: Bilinear, ReGLU, GEGLU,
SwiGLU).
Reference: tdooms/bilinear-decomposition, which stacks W and V in one matrix.
DIFF: W and V are two linear maps, named left and right.
`torch.nn.Bilinear` is another layer: a dense third-order weight on two inputs.
Axes: b any leading axes, i inputs, o outputs, d width.
"""

from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice, check_integers, check_rates

__all__ = ["GATES", "GatedLinear", "GatedMlp"]

GATES: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,  # ReGLU
    "gelu": nn.GELU,  # GEGLU
    "silu": nn.SiLU,  # SwiGLU
}


class GatedLinear(nn.Module):
    """`gate(W x + b) * (V x + c)` element by element; without a gate the bilinear layer.

    Without gate and biases the outputs are quadratic forms of x: even, 0 at 0, and growing as the
    square of the input. In fp16 they overflow early; bf16 has the range.

    Args:
        in_features: i.
        out_features: o.
        gate: None, or a key of `GATES` that acts on the left factor.
        bias: b and c.

    Shape:
        (..., i) -> (..., o); dtype unchanged.

    Raises:
        AllmlpError: a size is no positive integer or the gate is unknown; at run time, inputs with
            another last axis.

    Example:
        >>> import torch
        >>> layer = GatedLinear(4, 3, bias=False)
        >>> x = torch.ones(2, 4)
        >>> torch.allclose(layer(-2 * x), 4 * layer(x))
        True
    """

    def __init__(
        self, in_features: int, out_features: int, *, gate: str | None = None, bias: bool = True
    ):
        super().__init__()
        check_integers("GatedLinear", minimum=1, in_features=in_features, out_features=out_features)
        if gate is not None:
            check_choice("gate", gate, GATES)
        self.in_features = in_features
        self.out_features = out_features
        self.left = nn.Linear(in_features, out_features, bias=bias)  # W
        self.right = nn.Linear(in_features, out_features, bias=bias)  # V
        self.gate = None if gate is None else GATES[gate]()

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        if x.shape[-1] != self.in_features:
            raise AllmlpError(
                f"this GatedLinear takes {self.in_features} inputs, got inputs of shape "
                f"{tuple(x.shape)}; the last axis must have length {self.in_features}"
            )
        left = self.left(x)
        return (left if self.gate is None else self.gate(left)) * self.right(x)


class GatedMlp(nn.Module):
    """`P (gate(W x + b) * (V x + c)) + p`, in place of a two-layer perceptron.

    Three matrices instead of two: as many weights as a perceptron of hidden width m take 2 m / 3.

    Args:
        in_features: d, also the number of outputs.
        hidden: m.
        gate: as in `GatedLinear`; None gives the bilinear MLP, `silu` SwiGLU.
        bias: of all three linear maps.
        dropout_rate: fraction of units dropped after the product and after P, in [0, 1).

    Shape:
        (..., d) -> (..., d); dtype unchanged.

    Raises:
        AllmlpError: as `GatedLinear`, or a rate outside [0, 1).
    """

    def __init__(
        self,
        in_features: int,
        hidden: int,
        *,
        gate: str | None = None,
        bias: bool = True,
        dropout_rate: float = 0.0,
    ):
        super().__init__()
        check_rates("GatedMlp", dropout_rate=dropout_rate)
        self.gated = GatedLinear(in_features, hidden, gate=gate, bias=bias)
        self.dropout = nn.Dropout(dropout_rate)
        self.out = nn.Linear(hidden, in_features, bias=bias)  # P

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        return self.dropout(self.out(self.dropout(self.gated(x))))
