import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.layers.kan_nodes import KANNodes


def test_against_a_loop() -> None:
    nodes = KANNodes(2, [2, 4, 3], affine=True).double()
    for parameter in nodes.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(5, 11, dtype=torch.float64)
    s = nodes.subnode_scale * x + nodes.subnode_bias
    groups = [[0], [1], [2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert [list(nodes.subnodes_of(node)) for node in range(5)] == groups
    expected = torch.stack([torch.stack([s[:, i] for i in g]).prod(0) for g in groups], dim=1)
    expected = nodes.node_scale * expected + nodes.node_bias
    torch.testing.assert_close(nodes(x), expected, rtol=1e-14, atol=1e-14)


def test_gradcheck_also_through_a_zero() -> None:
    nodes = KANNodes(1, [2, 3], affine=True).double()
    x = torch.randn(3, 6, dtype=torch.float64)
    x[0, 1], x[1, 4], x[1, 5] = 0.0, 0.0, 0.0
    x.requires_grad_()
    assert torch.autograd.gradcheck(nodes, (x,))
    assert torch.autograd.gradgradcheck(nodes, (x,))


def test_sums_alone_pass_unchanged() -> None:
    x = torch.randn(2, 3)
    assert KANNodes(3)(x) is x
    assert KANNodes(0, [3])(x).shape == (2, 1)


def test_bad_sizes() -> None:
    with pytest.raises(AllmlpError, match="arity of at least 2, got 1"):
        KANNodes(1, [2, 1])
    with pytest.raises(AllmlpError, match="num_sums of at least 0, got -1"):
        KANNodes(-1)
