"""Many members of an ensemble for little more than the weights of one.

Paper: Wen et al. 2020, arXiv:2002.06715 (BatchEnsemble); Gorishniy et al. 2024, arXiv:2410.24210
(TabM: its initialisation).
Reference: tabm 0.0.3.
Axes: b batch, k members, i inputs, o outputs.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import AllmlpError, check_choice, check_integers

__all__ = ["BatchEnsembleLinear", "MemberScale", "Spread"]

# how the members' scales differ at first
Spread = Literal["signs", "normal"]


class MemberScale(nn.Module):
    """A scale of their own for every member and input, all that tells TabM-mini's members apart.

    Args:
        members: k.
        chunks: widths of the features behind the inputs; the columns of a feature start with one
            common number, so that members differ in features, not in parts of an embedding.
        spread: `signs` draws ±1, `normal` from N(0, 1); None starts at one.

    Shape:
        (b, k, i) -> (b, k, i); dtype unchanged.

    Raises:
        AllmlpError: a size is no positive integer, or an unknown spread.
    """

    def __init__(self, members: int, chunks: Sequence[int], spread: Spread | None = None):
        super().__init__()
        check_integers("MemberScale", minimum=1, members=members, features=len(chunks))
        if spread is not None:
            check_choice("spread", spread, ("signs", "normal"))
        numbers = torch.ones(members, len(chunks))
        if spread == "normal":
            numbers.normal_()
        elif spread == "signs":
            numbers.bernoulli_(0.5).mul_(2).sub_(1)
        widths = torch.tensor(chunks)
        self.weight = nn.Parameter(numbers.repeat_interleave(widths, dim=1))

    def forward(self, x: Float[Tensor, "b k i"]) -> Float[Tensor, "b k i"]:
        return x * self.weight


class BatchEnsembleLinear(nn.Module):
    """`y_j = s_j ∘ (W (r_j ∘ x_j)) + b_j`: W is shared, r, s and b are a member's own.

    The biases of all members start equal, s starts at one, and so does r but for a `spread`.

    Args:
        in_features: i.
        out_features: o.
        members: k.
        chunks: widths of the features behind the inputs, for `spread`; one per input by default.
        spread: of r at first, as in `MemberScale`.

    Shape:
        (b, k, i) -> (b, k, o); dtype unchanged.

    Raises:
        AllmlpError: a size is no positive integer, or the chunks do not add up to the inputs.

    Source: arXiv:2002.06715, eq. 5; arXiv:2410.24210, §3.3.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        members: int,
        *,
        chunks: Sequence[int] | None = None,
        spread: Spread | None = None,
    ):
        super().__init__()
        check_integers(
            "BatchEnsembleLinear", minimum=1, in_features=in_features, out_features=out_features
        )
        chunks = [1] * in_features if chunks is None else chunks
        if sum(chunks) != in_features:
            raise AllmlpError(
                f"chunks must add up to the inputs ({in_features}), got {sum(chunks)}"
            )
        bound = in_features**-0.5
        self.r = MemberScale(members, chunks, spread)
        self.weight = nn.Parameter(torch.empty(out_features, in_features).uniform_(-bound, bound))
        self.s = MemberScale(members, [1] * out_features)
        bias = torch.empty(out_features).uniform_(-bound, bound)
        self.bias = nn.Parameter(bias.repeat(members, 1))

    def no_weight_decay(self) -> set[str]:
        """A bias with an axis of members is a bias still."""
        return {"bias"}

    def forward(self, x: Float[Tensor, "b k i"]) -> Float[Tensor, "b k o"]:
        return torch.addcmul(self.bias, self.r(x) @ self.weight.T, self.s.weight)
