"""RealMLP: an MLP with every trick that helped on many tables.

Paper: Holzmüller et al. 2024, arXiv:2407.04491, §3 and appendix A (RealMLP-TD).
Reference: pytabkit 1.7.3.
DIFF: dropout and weight decay are constant, the reference lets both follow `flat_cos`; a category
of two levels is one-hot, the reference writes ±1.
Axes: b batch, c columns, d width, i inputs, o outputs.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from allmlp.errors import AllmlpError, check_choice, check_integers, check_rates
from allmlp.layers import TableStem

__all__ = ["NTKLinear", "ParametricActivation", "RealMLP"]

_ACTIVATIONS = {"selu": F.selu, "mish": F.mish}


class NTKLinear(nn.Module):
    """`x W / sqrt(i) + b`: weights of unit scale, whatever the width (neural tangent kernel).

    Args:
        in_features: i.
        out_features: o.

    Shape:
        (b, i) -> (b, o).

    Raises:
        AllmlpError: a size is no positive integer.

    Source: Jacot et al. 2018, arXiv:1806.07572, §2; arXiv:2407.04491, §3.
    """

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        check_integers("NTKLinear", minimum=1, in_features=in_features, out_features=out_features)
        self.weight = nn.Parameter(torch.randn(in_features, out_features))
        self.bias = nn.Parameter(torch.randn(out_features))
        self.gain = in_features**-0.5

    @torch.no_grad()
    def fit_scale_(self, x: Float[Tensor, "b i"]) -> Tensor:
        """Set the weights so that each output has deviation 1 on `x`, and the bias from examples.

        A bias is minus a random convex combination of what five examples give ("he+5"): kinks fall
        where the data are (Steinwart 2019, arXiv:1903.11482).

        Returns:
            The outputs on `x`, for the layer above.
        """
        spread = (x @ self.weight * self.gain).std(dim=0, correction=0)
        # an input that does not vary would ask for infinite weights
        self.weight.div_(torch.where(spread > 1e-8, spread, 1.0))
        raw = x @ self.weight * self.gain
        rows = torch.randint(len(x), (5, raw.shape[1]), device=x.device)
        shares = torch.empty_like(rows, dtype=x.dtype).exponential_()
        self.bias.copy_(-(raw.gather(0, rows) * shares / shares.sum(dim=0)).sum(dim=0))
        return raw + self.bias

    def forward(self, x: Float[Tensor, "b i"]) -> Float[Tensor, "b o"]:
        return torch.addmm(self.bias, x, self.weight, alpha=self.gain)


class ParametricActivation(nn.Module):
    """`x + a (f(x) - x)`, with an `a` of its own for every unit, 1 at first.

    Args:
        width: d.
        activation: f, `selu` (for classes) or `mish` (for values).

    Shape:
        (b, d) -> (b, d).

    Raises:
        AllmlpError: another activation.
    """

    def __init__(self, width: int, activation: str):
        super().__init__()
        check_choice("activation", activation, _ACTIVATIONS)
        self.a = nn.Parameter(torch.ones(width))
        self.activation = _ACTIVATIONS[activation]

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        return torch.lerp(x, self.activation(x), self.a)


class RealMLP(nn.Module):
    """Stem, a scale for each of its outputs, hidden layers in the NTK parametrisation, head.

    Call `fit_scale_` once on training rows before training. Learning rates of the parts differ
    (`lr_factors`); the paper's own is 0.04 for classes and 0.2 for values, with Adam at β₂ = 0.95
    and the schedule coslog4.

    Args:
        stem: makes vectors of rows; `PBLDEmbedding` for numbers, `one_hot=9` for categories.
        num_outputs: o; values, or logits of the classes.
        width: d.
        depth: hidden layers.
        dropout_rate: after each of them.
        activation: `selu` for classes, `mish` for values.

    Shape:
        (b, c) -> (b, o).

    Raises:
        AllmlpError: a size is no positive integer, a rate outside [0, 1) or another activation.
    """

    def __init__(
        self,
        stem: TableStem,
        num_outputs: int,
        *,
        width: int = 256,
        depth: int = 3,
        dropout_rate: float = 0.15,
        activation: str = "selu",
    ):
        super().__init__()
        check_integers("RealMLP", minimum=1, num_outputs=num_outputs, width=width, depth=depth)
        check_rates("RealMLP", dropout_rate=dropout_rate)
        self.stem = stem
        self.scale = nn.Parameter(torch.ones(stem.out_features))
        self.blocks = nn.Sequential()
        for index in range(depth):
            self.blocks.append(
                nn.Sequential(
                    NTKLinear(width if index else stem.out_features, width),
                    ParametricActivation(width, activation),
                    nn.Dropout(dropout_rate),
                )
            )
        self.head = NTKLinear(width, num_outputs)

    @torch.no_grad()
    def fit_scale_(self, rows: Float[Tensor, "b c"]) -> None:
        """Initialise all layers from the bottom up on these rows, in place.

        Raises:
            AllmlpError: there is no row.
        """
        if not len(rows):
            raise AllmlpError("RealMLP is initialised on at least one row, got none")
        x = self.stem(rows) * self.scale
        for block in self.blocks.children():
            fc, activation, _ = block.children()
            x = activation(fc.fit_scale_(x))
        self.head.fit_scale_(x)

    def lr_factors(self) -> dict[str, float]:
        """Of parameters that learn at another rate than the weights."""
        factors = {"scale": 6.0}
        for name, _ in self.named_parameters():
            if name.startswith("stem.embedding.") or name.endswith((".bias", ".a")):
                factors[name] = 0.1
        return factors

    def forward(self, rows: Float[Tensor, "b c"]) -> Float[Tensor, "b o"]:
        return self.head(self.blocks(self.stem(rows) * self.scale))
