"""The columns of a table, numbers and categories, as one vector.

Axes: b batch, c columns, f numeric features, m flags, d outputs.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from allmlp.errors import AllmlpError, check_integers, check_rates

__all__ = ["CategoryEmbedding", "TableStem", "category_width"]


def category_width(levels: int) -> int:
    """Of the embedding of a category with so many levels: 1.6 levels^0.56, up to 50.

    Source: the rule of fastai's tabular models; below it is bounded by what keeps levels apart.

    Example:
        >>> [category_width(levels) for levels in (2, 10, 1000)]
        [2, 6, 50]
    """
    return max(1, min(50, levels, round(1.6 * levels**0.56)))


class CategoryEmbedding(nn.Module):
    """A row for every level, and row 0 for whatever was not seen in training.

    Row 0 learns from levels that are hidden at random while training, so that an unseen level means
    "some level or other" instead of noise.

    Args:
        levels: rows beside row 0.
        width: of a row; None is one-hot: row 0 is all zeros then, and nothing is learned here.
        dropout_rate: share of values hidden in training, in [0, 1).

    Shape:
        (b,) codes from 0 to levels -> (b, width), or (b, levels) one-hot.

    Raises:
        AllmlpError: a size is no positive integer, or a rate outside [0, 1).
    """

    def __init__(self, levels: int, width: int | None, *, dropout_rate: float = 0.0):
        super().__init__()
        check_integers("CategoryEmbedding", minimum=1, levels=levels)
        check_rates("CategoryEmbedding", dropout_rate=dropout_rate)
        self.levels = levels
        self.width = levels if width is None else width
        self.dropout_rate = dropout_rate
        self.weight = None
        if width is not None:
            check_integers("CategoryEmbedding", minimum=1, width=width)
            self.weight = nn.Parameter(torch.empty(levels + 1, width).normal_(std=width**-0.5))

    def no_weight_decay(self) -> set[str]:
        """Decay would shrink rare levels most, which are touched least."""
        return {"weight"}

    def forward(self, codes: Tensor) -> Tensor:
        if self.training and self.dropout_rate:
            kept = torch.rand(codes.shape, device=codes.device) >= self.dropout_rate
            codes = codes * kept
        if self.weight is not None:
            return F.embedding(codes, self.weight)
        return F.one_hot(codes, self.levels + 1)[:, 1:]


class TableStem(nn.Module):
    """Rows as `data.TableEncoder` makes them, to the input of an MLP.

    A row holds the numeric features, then the flags (whether a number was missing), then the codes
    of the categories, all in one tensor: codes are whole numbers, exact in float32 up to 2^24.

    Args:
        num_features: f.
        num_flags: m; they are passed on as they are.
        levels: of each category, beside the unseen.
        embedding: of the numeric features, (b, f) -> (b, f, width) with a `width`; None passes the
            numbers on.
        one_hot: categories of up to so many levels are one-hot, others are embedded.
        category_dropout: share of the categories' values hidden in training.

    Shape:
        (b, f + m + categories) -> (b, out_features).

    Attributes:
        chunks: columns of the output that belong to each column of the input.
        out_features: their sum.

    Raises:
        AllmlpError: there is no column, a number is negative, or a row has another width.
    """

    def __init__(
        self,
        num_features: int,
        num_flags: int = 0,
        levels: Sequence[int] = (),
        *,
        embedding: nn.Module | None = None,
        one_hot: int = 0,
        category_dropout: float = 0.0,
    ):
        super().__init__()
        check_integers("TableStem", minimum=0, num_features=num_features, num_flags=num_flags)
        if num_features + num_flags + len(levels) == 0:
            raise AllmlpError("TableStem needs at least one column, got none")
        self.num_features = num_features
        self.num_flags = num_flags
        self.embedding = embedding if num_features else None
        categories = [
            CategoryEmbedding(
                n, None if n <= one_hot else category_width(n), dropout_rate=category_dropout
            )
            for n in levels
        ]
        self.categories = nn.ModuleList(categories)
        per_feature: Any = 1 if self.embedding is None else self.embedding.width
        self.chunks = [per_feature] * num_features + [1] * num_flags
        self.chunks += [category.width for category in categories]
        self.out_features = sum(self.chunks)

    def forward(self, rows: Float[Tensor, "b c"]) -> Float[Tensor, "b d"]:
        plain = self.num_features + self.num_flags
        if rows.shape[1] != plain + len(self.categories):
            raise AllmlpError(
                f"the model was built for rows of {plain + len(self.categories)} columns, got "
                f"{rows.shape[1]}; encode the table with the encoder of its training"
            )
        numbers = rows[:, :plain]
        if self.embedding is not None:
            embedded = self.embedding(rows[:, : self.num_features]).flatten(1)
            numbers = torch.cat([embedded, rows[:, self.num_features : plain]], dim=1)
        if not self.categories:
            return numbers
        codes = rows[:, plain:].long()
        vectors = [embed(codes[:, i]) for i, embed in enumerate(self.categories)]
        return torch.cat([numbers, *vectors], dim=1)
