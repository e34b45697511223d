"""TabM: one MLP that is an ensemble of k, and its two relatives.

Paper: Gorishniy et al. 2024, arXiv:2410.24210, §3 and figure 1.
Reference: tabm 0.0.3.
DIFF: categories may be embedded, and the flags of missing numbers are inputs.
Axes: b batch, c columns, k members, d width, o outputs.
"""

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_integers, check_rates
from allmlp.layers import BatchEnsembleLinear, GroupedLinear, MemberScale, TableStem
from allmlp.layers.batch_ensemble import Spread

__all__ = ["TabM", "TabMMini", "TabMPacked"]


class TabM(nn.Module):
    """Every linear layer is shared by the members but for scales and biases (BatchEnsemble).

    Train the mean of the members' losses and predict by their mean answer (`training.members`).

    Args:
        stem: makes vectors of rows.
        num_outputs: o; values, or logits of the classes.
        members: k.
        width: d.
        depth: hidden layers; the paper takes 2 with numeric embeddings, 3 without.
        dropout_rate: after each of them.

    Shape:
        (b, c) -> (b, k, o).

    Raises:
        AllmlpError: a size is no positive integer, or a rate outside [0, 1).

    Example:
        >>> import torch
        >>> model = TabM(TableStem(4), num_outputs=3, members=8, width=16)
        >>> model(torch.zeros(2, 4)).shape
        torch.Size([2, 8, 3])
    """

    def __init__(
        self,
        stem: TableStem,
        num_outputs: int,
        *,
        members: int = 32,
        width: int = 512,
        depth: int = 3,
        dropout_rate: float = 0.1,
    ):
        super().__init__()
        _check(num_outputs, members, width, depth, dropout_rate)
        self.stem = stem
        self.members = members
        self.blocks = nn.Sequential()
        for index in range(depth):
            fc = BatchEnsembleLinear(
                width if index else stem.out_features,
                width,
                members,
                chunks=None if index else stem.chunks,
                spread=None if index else _spread(stem),
            )
            self.blocks.append(nn.Sequential(fc, nn.ReLU(), nn.Dropout(dropout_rate)))
        self.head = GroupedLinear(members, width, num_outputs)

    def forward(self, rows: Float[Tensor, "b c"]) -> Float[Tensor, "b k o"]:
        return self.head(self.blocks(_views(self.stem(rows), self.members)))


class TabMMini(nn.Module):
    """Members differ in one scale of the inputs and in their heads; the MLP between is shared.

    Args:
        stem: makes vectors of rows.
        num_outputs: o; values, or logits of the classes.
        members: k.
        width: d.
        depth: hidden layers.
        dropout_rate: after each of them.

    Shape:
        (b, c) -> (b, k, o).

    Raises:
        AllmlpError: a size is no positive integer, or a rate outside [0, 1).
    """

    def __init__(
        self,
        stem: TableStem,
        num_outputs: int,
        *,
        members: int = 32,
        width: int = 512,
        depth: int = 3,
        dropout_rate: float = 0.1,
    ):
        super().__init__()
        _check(num_outputs, members, width, depth, dropout_rate)
        self.stem = stem
        self.members = members
        self.scale = MemberScale(members, stem.chunks, _spread(stem))
        self.blocks = nn.Sequential()
        for index in range(depth):
            fc = nn.Linear(width if index else stem.out_features, width)
            self.blocks.append(nn.Sequential(fc, nn.ReLU(), nn.Dropout(dropout_rate)))
        self.head = GroupedLinear(members, width, num_outputs)

    def forward(self, rows: Float[Tensor, "b c"]) -> Float[Tensor, "b k o"]:
        return self.head(self.blocks(self.scale(_views(self.stem(rows), self.members))))


class TabMPacked(nn.Module):
    """k MLPs that share nothing but the stem: the baseline that TabM is measured against.

    Args:
        stem: makes vectors of rows.
        num_outputs: o; values, or logits of the classes.
        members: k.
        width: d.
        depth: hidden layers.
        dropout_rate: after each of them.

    Shape:
        (b, c) -> (b, k, o).

    Raises:
        AllmlpError: a size is no positive integer, or a rate outside [0, 1).
    """

    def __init__(
        self,
        stem: TableStem,
        num_outputs: int,
        *,
        members: int = 32,
        width: int = 512,
        depth: int = 3,
        dropout_rate: float = 0.1,
    ):
        super().__init__()
        _check(num_outputs, members, width, depth, dropout_rate)
        self.stem = stem
        self.members = members
        self.blocks = nn.Sequential()
        for index in range(depth):
            fc = GroupedLinear(members, width if index else stem.out_features, width)
            self.blocks.append(nn.Sequential(fc, nn.ReLU(), nn.Dropout(dropout_rate)))
        self.head = GroupedLinear(members, width, num_outputs)

    def forward(self, rows: Float[Tensor, "b c"]) -> Float[Tensor, "b k o"]:
        return self.head(self.blocks(_views(self.stem(rows), self.members)))


def _views(x: Float[Tensor, "b d"], members: int) -> Float[Tensor, "b k d"]:
    return x[:, None].expand(-1, members, -1)


def _spread(stem: TableStem) -> Spread:
    """As the reference chooses."""
    return "signs" if stem.embedding is None else "normal"


def _check(num_outputs: int, members: int, width: int, depth: int, dropout_rate: float) -> None:
    check_integers(
        "TabM", minimum=1, num_outputs=num_outputs, members=members, width=width, depth=depth
    )
    check_rates("TabM", dropout_rate=dropout_rate)
