"""Which part a vision model puts where its channel MLP stands.

A model hands over its width and hidden width and takes whatever maps (..., width) to itself; a new
kind is one line of `CHANNEL_MLPS`.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_choice
from allmlp.layers.bilinear import GatedMlp
from allmlp.layers.grkan import GRKAN, Rational
from allmlp.layers.kan import KANLinear
from allmlp.layers.mlp import Mlp

__all__ = ["CHANNEL_MLPS", "SELF_STARTING", "KANMlp", "make_channel_mlp", "undecayed"]

# layers whose own `init_weights` a model calls instead of its own rule for linear maps
SELF_STARTING = (KANLinear, Rational)


class KANMlp(nn.Module):
    """Two KAN layers with a hidden width between them: `layer2(layer1(x))`.

    Args:
        layer1: (..., d) -> (..., hidden).
        layer2: (..., hidden) -> (..., d).
        dropout_rate: fraction of units dropped after either layer, in [0, 1).

    Shape:
        (..., d) -> (..., d); dtype unchanged.
    """

    def __init__(self, layer1: nn.Module, layer2: nn.Module, *, dropout_rate: float = 0.0):
        super().__init__()
        self.layer1 = layer1
        self.layer2 = layer2
        self.dropout = nn.Dropout(dropout_rate)

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        return self.dropout(self.layer2(self.dropout(self.layer1(x))))


def _gelu(width: int, hidden: int, gelu: str, rate: float) -> nn.Module:
    return Mlp(width, hidden, activation=nn.GELU(gelu), dropout_rate=rate)


def _bilinear(width: int, hidden: int, gelu: str, rate: float) -> nn.Module:
    return GatedMlp(width, hidden, dropout_rate=rate)


def _swiglu(width: int, hidden: int, gelu: str, rate: float) -> nn.Module:
    return GatedMlp(width, hidden, gate="silu", dropout_rate=rate)


def _kan(width: int, hidden: int, gelu: str, rate: float) -> nn.Module:
    return KANMlp(KANLinear(width, hidden), KANLinear(hidden, width), dropout_rate=rate)


def _grkan(width: int, hidden: int, gelu: str, rate: float) -> nn.Module:
    # the starts of KAT: the identity before the first product, a SiLU before the second
    first, second = GRKAN(width, hidden, start="identity"), GRKAN(hidden, width, start="silu")
    return KANMlp(first, second, dropout_rate=rate)


# (width, hidden, torch's name of the GELU's approximation, dropout rate)
CHANNEL_MLPS: dict[str, Callable[[int, int, str, float], nn.Module]] = {
    "gelu": _gelu,
    "bilinear": _bilinear,
    "swiglu": _swiglu,
    "kan": _kan,
    "grkan": _grkan,
}


def make_channel_mlp(
    kind: str, width: int, hidden: int, *, gelu: str = "none", dropout_rate: float = 0.0
) -> nn.Module:
    """A channel MLP by its name.

    Args:
        kind: key of `CHANNEL_MLPS`. `bilinear` and `swiglu`: three matrices, so that two thirds of
            the hidden width cost what `gelu` does at the whole; `kan`: cubic B-splines on five
            intervals of [-1, 1], about nine times the weights of `gelu` at the same hidden width;
            `grkan`: rational functions in eight groups, as many weights as `gelu`.
        width: d.
        hidden: between the two layers.
        gelu: torch's name of the approximation, where there is a GELU.
        dropout_rate: fraction of units dropped after either layer, in [0, 1).

    Raises:
        AllmlpError: an unknown kind, or sizes that it cannot have.

    Example:
        >>> type(make_channel_mlp("kan", 4, 8)).__name__
        'KANMlp'
    """
    check_choice("mlp", kind, CHANNEL_MLPS)
    return CHANNEL_MLPS[kind](width, hidden, gelu, dropout_rate)


def undecayed(model: nn.Module) -> set[str]:
    """Parameters of channel MLPs that no decay fits: a rational's coefficients, by full name."""
    return {
        f"{name}.{coefficients}"
        for name, module in model.named_modules()
        if isinstance(module, Rational)
        for coefficients in ("numerator", "denominator")
    }
