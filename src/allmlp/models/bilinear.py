"""Bilinear MLPs: networks whose weights can be decomposed exactly.

Paper: Pearce et al. 2024, Bilinear MLPs enable weight-based mechanistic interpretability,
arXiv:2410.08417.
Reference: tdooms/bilinear-decomposition, src/image/model.py.
DIFF: the embedding can be left out; layers may be wider or narrower than what they read; noise is
part of the network, as dropout is.
Axes: b any leading axes, i inputs, e embedding, m hidden, k classes.
"""

from dataclasses import asdict, dataclass

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice, check_integers
from allmlp.layers.bilinear import GATES, GatedLinear
from allmlp.layers.noise import GaussianNoise

__all__ = ["BilinearMLP", "BilinearMLPConfig"]


@dataclass(frozen=True, kw_only=True)
class BilinearMLPConfig:
    """Sizes of one bilinear MLP, as `BilinearMLP` takes them.

    Raises:
        AllmlpError: a size is no positive integer, or a residual around a layer that changes the
            width.
    """

    in_features: int
    num_classes: int
    hidden: int = 512
    depth: int = 1
    embed: int | None = None
    bias: bool = False
    residual: bool = False
    gate: str | None = None
    input_noise: float = 0.0

    def __post_init__(self) -> None:
        check_integers(
            "BilinearMLP",
            minimum=1,
            in_features=self.in_features,
            num_classes=self.num_classes,
            hidden=self.hidden,
            depth=self.depth,
        )
        if self.embed is not None:
            check_integers("BilinearMLP", minimum=1, embed=self.embed)
        if self.gate is not None:
            check_choice("gate", self.gate, GATES)
        first = self.in_features if self.embed is None else self.embed
        if self.residual and first != self.hidden:
            raise AllmlpError(
                f"a residual needs layers that keep their width, the first one maps {first} to "
                f"{self.hidden}; set embed={self.hidden}"
            )


class BilinearMLP(nn.Module):
    """`head(B(... B(embed(x))))` with B(z) = (W z) * (V z), or z + (W z) * (V z).

    With one layer and no bias every logit is a quadratic form, sum_i values_i (directions_i . x)^2:
    `allmlp.interpret.bilinear` finds it. The paper's image model has `embed=hidden`.

    Args:
        in_features: i.
        num_classes: k, outputs.
        hidden: m, of every layer; with a head of its own a bilinear layer of 2/3 the hidden width
            costs as many weights as a ReLU layer.
        depth: bilinear layers. Outputs grow as the 2^depth-th power of the input.
        embed: e, of a linear map without bias before the first layer; None leaves it out.
        bias: of the bilinear layers; embedding and head have none.
        residual: add each layer's input to its output.
        gate: None, or a gate of `layers.GatedLinear`; with one nothing is bilinear any more.
        input_noise: standard deviation of the Gaussian noise added to inputs in training mode, in
            units of the input. 0.5 is the paper's, for pixels in [0, 1]; it is what makes
            eigenvectors of images look like images.

    Shape:
        (..., i) -> (..., k); dtype unchanged.

    Raises:
        AllmlpError: sizes that do not fit or an unknown gate; at run time, inputs with another last
            axis.

    Example:
        >>> import torch
        >>> BilinearMLP(784, 10, hidden=64)(torch.zeros(5, 784)).shape
        torch.Size([5, 10])
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        hidden: int = 512,
        depth: int = 1,
        embed: int | None = None,
        bias: bool = False,
        residual: bool = False,
        gate: str | None = None,
        input_noise: float = 0.0,
    ):
        super().__init__()
        self.config = BilinearMLPConfig(
            in_features=in_features,
            num_classes=num_classes,
            hidden=hidden,
            depth=depth,
            embed=embed,
            bias=bias,
            residual=residual,
            gate=gate,
            input_noise=input_noise,
        )
        self.noise = GaussianNoise(input_noise)
        self.embed: nn.Module = nn.Identity()
        width = in_features
        if embed is not None:
            self.embed = nn.Linear(in_features, embed, bias=False)
            width = embed
        self.blocks = nn.ModuleList()
        for _ in range(depth):
            self.blocks.append(GatedLinear(width, hidden, gate=gate, bias=bias))
            width = hidden
        self.head = nn.Linear(width, num_classes, bias=False)

    @classmethod
    def from_config(cls, config: BilinearMLPConfig) -> "BilinearMLP":
        """A network with the sizes of another."""
        return cls(**asdict(config))

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b k"]:
        if x.ndim == 0 or x.shape[-1] != self.config.in_features:
            raise AllmlpError(
                f"this BilinearMLP takes {self.config.in_features} inputs, got inputs of shape "
                f"{tuple(x.shape)}; flatten images, or build it with in_features to match"
            )
        x = self.embed(self.noise(x))
        for block in self.blocks:
            x = x + block(x) if self.config.residual else block(x)
        return self.head(x)
