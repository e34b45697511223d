"""As many linear maps as there are features, or members of an ensemble.

Axes: b batch, g groups, i inputs, o outputs.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_integers

__all__ = ["GroupedLinear"]


class GroupedLinear(nn.Module):
    """`y[:, g] = x[:, g] @ weight[g] + bias[g]`: every group has weights of its own.

    Weights and biases start uniform on ±1/sqrt(i), as those of `nn.Linear` do.

    Args:
        groups: g; tabular features, or members of an ensemble.
        in_features: i.
        out_features: o.
        use_bias: whether there is one.

    Shape:
        (b, g, i) -> (b, g, o); dtype unchanged. The weight is (g, i, o).

    Raises:
        AllmlpError: a size is no positive integer.

    Example:
        >>> GroupedLinear(3, 4, 2)(torch.zeros(5, 3, 4)).shape
        torch.Size([5, 3, 2])
    """

    def __init__(self, groups: int, in_features: int, out_features: int, *, use_bias: bool = True):
        super().__init__()
        check_integers(
            "GroupedLinear",
            minimum=1,
            groups=groups,
            in_features=in_features,
            out_features=out_features,
        )
        self.weight = nn.Parameter(torch.empty(groups, in_features, out_features))
        self.bias = nn.Parameter(torch.empty(groups, out_features)) if use_bias else None
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(in_features**-0.5), in_features**-0.5)

    def forward(self, x: Float[Tensor, "b g i"]) -> Float[Tensor, "b g o"]:
        grouped = x.transpose(0, 1)
        if self.bias is None:
            return torch.bmm(grouped, self.weight).transpose(0, 1)
        return torch.baddbmm(self.bias[:, None], grouped, self.weight).transpose(0, 1)
