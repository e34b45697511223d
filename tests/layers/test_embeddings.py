import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allmlp.errors import AllmlpError
from allmlp.layers import (
    GroupedLinear,
    LinearEmbedding,
    PBLDEmbedding,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
)


def test_every_feature_has_a_map_of_its_own() -> None:
    layer: Any = GroupedLinear(3, 2, 4)
    x = torch.randn(5, 3, 2)
    for group in range(3):
        expected = x[:, group] @ layer.weight[group] + layer.bias[group]
        torch.testing.assert_close(layer(x)[:, group], expected)
    free: Any = GroupedLinear(3, 2, 4, use_bias=False)
    torch.testing.assert_close(free(x)[:, 1], x[:, 1] @ free.weight[1])
    assert layer.weight.abs().max() <= 2**-0.5
    with pytest.raises(AllmlpError, match="integer groups of at least 1, got 0"):
        GroupedLinear(0, 2, 4)


@given(st.lists(st.floats(-5, 5, width=16), min_size=2, max_size=9, unique=True))
def test_the_encoding_knows_where_the_value_lies(values: list[float]) -> None:
    edges = torch.tensor(sorted(values), dtype=torch.float64)
    ple = PiecewiseLinearEmbedding([edges], 2).double()
    # within the edges the bins are filled up to x: their widths, weighted, sum to x - e_0
    x = torch.linspace(edges[0].item(), edges[-1].item(), 11, dtype=torch.float64)
    filled = ple.encode(x[:, None])[:, 0]
    torch.testing.assert_close(filled @ edges.diff(), x - edges[0], rtol=1e-9, atol=1e-9)
    assert (filled.diff(dim=1) <= 1e-9).all()  # a bin fills only after the one before
    # outside, the first and the last one go on
    outside = torch.stack([edges[0] - 1, edges[-1] + 1])[:, None]
    left, right = ple.encode(outside)[:, 0] @ edges.diff()
    torch.testing.assert_close(left, -torch.ones_like(left))
    torch.testing.assert_close(right, edges[-1] - edges[0] + 1)


def test_a_fresh_piecewise_embedding_is_linear() -> None:
    ple = PiecewiseLinearEmbedding([torch.tensor([0.0, 1.0, 2.0])] * 2, 5)
    x = torch.randn(7, 2)
    torch.testing.assert_close(ple(x), x[..., None] * ple.linear.weight + ple.linear.bias)


@pytest.mark.parametrize("edges", [[0.0], [1.0, 1.0], [2.0, 1.0]])
def test_edges_must_ascend(edges: list[float]) -> None:
    with pytest.raises(AllmlpError, match="at least two ascending edges of feature 1"):
        PiecewiseLinearEmbedding([torch.tensor([0.0, 1.0]), torch.tensor(edges)])


def test_pbld_is_its_formula() -> None:
    pbld: Any = PBLDEmbedding(2, 4, num_frequencies=5)
    x = torch.randn(3, 2)
    for b in range(3):
        for f in range(2):
            wave = torch.cos(2 * math.pi * pbld.frequency[f] * x[b, f] + pbld.phase[f])
            tail = wave @ pbld.linear.weight[f] + pbld.linear.bias[f]
            expected = torch.cat([x[b, f : f + 1], tail])
            torch.testing.assert_close(pbld(x)[b, f], expected)
    with pytest.raises(AllmlpError, match="sigma, the spread of the frequencies, must be above 0"):
        PBLDEmbedding(2, sigma=0.0)


def test_frequencies_are_cut_at_three_sigma() -> None:
    frequency = PeriodicEmbedding(100, 4, sigma=0.5).frequency
    assert 1.4 < frequency.abs().max() <= 1.5
    # the cut law's deviation is 0.987 of sigma
    assert frequency.std().item() == pytest.approx(0.5 * 0.987, rel=0.03)


@pytest.mark.parametrize(
    "layer",
    [
        LinearEmbedding(2, 3, activation=torch.nn.Tanh()),
        PeriodicEmbedding(2, 3, num_frequencies=4, sigma=0.3),
        PBLDEmbedding(2, 3, num_frequencies=4),
        PiecewiseLinearEmbedding([torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([0.0, 1.0])], 3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_gradients(layer: torch.nn.Module) -> None:
    layer = layer.double()
    x = torch.tensor([[0.31, -0.72], [1.7, 0.55]], dtype=torch.float64, requires_grad=True)
    assert layer(x).shape == (2, 2, layer.width)
    assert torch.autograd.gradcheck(layer, (x,))
