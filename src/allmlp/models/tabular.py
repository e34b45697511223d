"""Two plain networks for tables: an MLP and a residual MLP, over any stem.

Papers: Gorishniy et al. 2021, arXiv:2106.11959 (MLP, ResNet); Guo and Berkhahn 2016,
arXiv:1604.06737 (embedded categories).
Reference: rtdl_revisiting_models 0.0.2.
DIFF: batch normalisation is an option of the MLP, which the reference does not have.
Axes: b batch, c columns, d width, o outputs.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from allmlp.errors import check_choice, check_integers, check_rates
from allmlp.layers import BatchNorm, TableStem

__all__ = ["TabularMLP", "TabularResNet"]


class TabularMLP(nn.Module):
    """Stem, then `depth` times [Linear, norm, ReLU, Dropout], then the head.

    Args:
        stem: makes vectors of rows.
        num_outputs: o; values, or logits of the classes.
        width: d.
        depth: hidden layers.
        dropout_rate: after each of them.
        norm: `batch` normalises before the activation; None does not.

    Shape:
        (b, c) -> (b, o).

    Raises:
        AllmlpError: a size is no positive integer, a rate outside [0, 1) or another norm.

    Example:
        >>> import torch
        >>> model = TabularMLP(TableStem(4), num_outputs=3)
        >>> model(torch.zeros(2, 4)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        stem: TableStem,
        num_outputs: int,
        *,
        width: int = 256,
        depth: int = 3,
        dropout_rate: float = 0.1,
        norm: Literal["batch"] | None = None,
    ):
        super().__init__()
        check_integers("TabularMLP", minimum=1, num_outputs=num_outputs, width=width, depth=depth)
        check_rates("TabularMLP", dropout_rate=dropout_rate)
        check_choice("norm", norm or "batch", ("batch",))
        self.stem = stem
        self.blocks = nn.Sequential()
        for index in range(depth):
            self.blocks.append(
                nn.Sequential(
                    nn.Linear(width if index else stem.out_features, width),
                    BatchNorm(width) if norm else nn.Identity(),
                    nn.ReLU(),
                    nn.Dropout(dropout_rate),
                )
            )
        self.head = nn.Linear(width, num_outputs)

    def forward(self, rows: Float[Tensor, "b c"]) -> Float[Tensor, "b o"]:
        return self.head(self.blocks(self.stem(rows)))


class TabularResNetBlock(nn.Module):
    """`x + Dropout(Linear(Dropout(ReLU(Linear(BatchNorm(x))))))`.

    Args:
        width: d.
        hidden: width between the linear layers.
        hidden_dropout: after the activation.
        residual_dropout: of the block's contribution.

    Shape:
        (b, d) -> (b, d).

    Source: arXiv:2106.11959, §3.2.
    """

    def __init__(self, width: int, hidden: int, *, hidden_dropout: float, residual_dropout: float):
        super().__init__()
        self.norm = BatchNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.hidden_dropout = nn.Dropout(hidden_dropout)
        self.fc2 = nn.Linear(hidden, width)
        self.residual_dropout = nn.Dropout(residual_dropout)

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        hidden = self.hidden_dropout(self.fc1(self.norm(x)).relu())
        return x + self.residual_dropout(self.fc2(hidden))


class TabularResNet(nn.Module):
    """Stem, linear layer, blocks, then `Linear(ReLU(BatchNorm(x)))`.

    Args:
        stem: makes vectors of rows.
        num_outputs: o; values, or logits of the classes.
        width: d.
        depth: blocks.
        hidden_ratio: width within a block over d.
        dropout_rate: within a block.
        residual_dropout: of a block's contribution.

    Shape:
        (b, c) -> (b, o).

    Raises:
        AllmlpError: a size is no positive integer, or a rate outside [0, 1).
    """

    def __init__(
        self,
        stem: TableStem,
        num_outputs: int,
        *,
        width: int = 192,
        depth: int = 2,
        hidden_ratio: int = 2,
        dropout_rate: float = 0.25,
        residual_dropout: float = 0.0,
    ):
        super().__init__()
        check_integers(
            "TabularResNet",
            minimum=1,
            num_outputs=num_outputs,
            width=width,
            depth=depth,
            hidden_ratio=hidden_ratio,
        )
        check_rates("TabularResNet", dropout_rate=dropout_rate, residual_dropout=residual_dropout)
        self.stem = stem
        self.fc = nn.Linear(stem.out_features, width)
        self.blocks = nn.Sequential(
            *(
                TabularResNetBlock(
                    width,
                    width * hidden_ratio,
                    hidden_dropout=dropout_rate,
                    residual_dropout=residual_dropout,
                )
                for _ in range(depth)
            )
        )
        self.norm = BatchNorm(width)
        self.head = nn.Linear(width, num_outputs)

    def forward(self, rows: Float[Tensor, "b c"]) -> Float[Tensor, "b o"]:
        return self.head(self.norm(self.blocks(self.fc(self.stem(rows)))).relu())
