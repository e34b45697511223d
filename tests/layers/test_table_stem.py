from typing import Any

import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.layers import (
    BatchEnsembleLinear,
    CategoryEmbedding,
    LinearEmbedding,
    MemberScale,
    TableStem,
)


def test_columns_go_where_chunks_say() -> None:
    stem: Any = TableStem(2, 1, [3, 20], embedding=LinearEmbedding(2, 4), one_hot=9)
    assert stem.chunks == [4, 4, 1, 3, 9]
    rows = torch.tensor([[0.5, -1.0, 1.0, 2.0, 20.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    parts = stem(rows).split(stem.chunks, dim=1)
    torch.testing.assert_close(torch.stack(parts[:2], 1), stem.embedding(rows[:, :2]))
    assert parts[2].tolist() == [[1.0], [0.0]]
    assert parts[3].tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]  # 0, the unseen, is no level
    torch.testing.assert_close(parts[4], stem.categories[1].weight[[20, 0]])


def test_columns_may_be_of_one_kind_only() -> None:
    assert TableStem(3)(torch.ones(2, 3)).tolist() == [[1.0] * 3] * 2
    assert TableStem(0, 0, [2], one_hot=2)(torch.ones(1, 1)).tolist() == [[1.0, 0.0]]
    with pytest.raises(AllmlpError, match="at least one column, got none"):
        TableStem(0)
    with pytest.raises(AllmlpError, match="built for rows of 3 columns, got 2"):
        TableStem(3)(torch.ones(1, 2))


def test_dropped_categories_train_the_unseen() -> None:
    embedding: Any = CategoryEmbedding(4, 2, dropout_rate=0.5)
    codes = torch.randint(1, 5, (4000,))
    hidden = (embedding(codes) == embedding.weight[0]).all(dim=1).float().mean()
    assert hidden.item() == pytest.approx(0.5, abs=0.04)  # five deviations
    embedding(codes).sum().backward()
    assert embedding.weight.grad[0].abs().sum() > 0
    assert torch.equal(embedding.eval()(codes), embedding.weight[codes])


def test_equal_scales_make_equal_members() -> None:
    layer: Any = BatchEnsembleLinear(3, 2, 4)
    x = torch.randn(5, 1, 3).expand(5, 4, 3)
    y = layer(x)
    torch.testing.assert_close(y, y[:, :1].expand_as(y))
    torch.testing.assert_close(y[:, 0], x[:, 0] @ layer.weight.T + layer.bias[0])
    with pytest.raises(AllmlpError, match=r"chunks must add up to the inputs \(3\), got 2"):
        BatchEnsembleLinear(3, 2, 4, chunks=[1, 1])


def test_members_do_not_see_each_other() -> None:
    layer: Any = BatchEnsembleLinear(3, 2, 4, spread="normal")
    layer(torch.randn(5, 4, 3))[:, 1].sum().backward()
    for parameter in (layer.r.weight, layer.s.weight, layer.bias):
        assert parameter.grad[1].abs().sum() > 0
        assert parameter.grad[[0, 2, 3]].abs().sum() == 0


def test_spreads() -> None:
    signs: Any = MemberScale(200, [1, 3], "signs").weight
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert MemberScale(200, [1, 3], "normal").weight[:, 0].std().item() == pytest.approx(1, abs=0.2)
