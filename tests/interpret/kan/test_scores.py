import pytest
import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.interpret.kan import feature_scores, scores
from allmlp.models.kan import KAN


def net() -> KAN:
    symbolic = [(0, 1, 0, "sin"), (1, 0, 1, "exp")]
    arity = [[], [3], []]
    model = KAN([3, [1, 1], 2], grid=3, symbolic=symbolic, mult_arity=arity, affine=True)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    return model.double()


def edges_directly(model: KAN, number: int, x: Tensor) -> Tensor:
    """(n, s, i) by switching every input but one off."""
    layer = model.layers[number]
    functions, weights = layer.numeric.edge_functions(x), layer.numeric.edge_weights()
    values = torch.einsum("nif,sif->nsi", functions, weights)
    if layer.symbolic is not None:
        for e, edge in enumerate(layer.symbolic.edges):
            values[:, edge.output, edge.input] += layer.symbolic.edge_values(x)[:, e]
    return values


def test_against_the_definition() -> None:
    model, x = net(), torch.randn(40, 3, dtype=torch.float64)
    found, seen = scores(model, x), model.forward_intermediates(x)
    node = torch.eye(2, dtype=torch.float64)  # (outputs, nodes)
    for number in (1, 0):
        edges = edges_directly(model, number, seen[f"layers.{number}.input"])
        total = seen[f"layers.{number}.sums"]
        torch.testing.assert_close(edges.sum(-1), total, rtol=1e-12, atol=1e-12)
        std, sums = edges.std(0), total.std(0)
        torch.testing.assert_close(found.edges[number], std, rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(found.sums[number], sums, rtol=1e-11, atol=0)
        if number == 0:  # the second node multiplies the sums 1, 2, 3
            node = node[:, [0, 1, 1, 1]]
        size = sums[:, None] + 1e-4 * std.norm(dim=1, keepdim=True)
        attributed = node[:, :, None] * (std / size)
        torch.testing.assert_close(found.edge_attribution[number], attributed)
        node = attributed.sum(1)
        torch.testing.assert_close(found.node_attribution[number], node)
    torch.testing.assert_close(found.features, node.mean(0))


def test_batches_give_what_the_whole_gives() -> None:
    model, x = net(), torch.randn(50, 3, dtype=torch.float64)
    whole, parts = scores(model, x), scores(model, [x[:7], x[7:7], x[7:]])
    torch.testing.assert_close(parts.edges, whole.edges, rtol=1e-12, atol=0)
    torch.testing.assert_close(parts.features, whole.features, rtol=1e-11, atol=0)


def test_units_of_the_outputs_do_not_matter() -> None:
    model, x = KAN([2, 3, 1]).double(), torch.rand(60, 2, dtype=torch.float64)
    before = scores(model, x).features
    with torch.no_grad():
        model.layers[1].numeric.spline_weight *= 1e-9
        model.layers[1].numeric.base_weight *= 1e-9
    torch.testing.assert_close(scores(model, x).features, before, rtol=1e-6, atol=0)


def test_features_by_column() -> None:
    model = KAN([3, 1]).keep(inputs=[2, 0])
    found = feature_scores(model, torch.rand(30, 3))
    assert found[1] == 0
    assert (found[[0, 2]] > 0).all()


def test_dead_networks_and_no_data() -> None:
    model = KAN([2, 2, 1])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    found = scores(model, torch.rand(5, 2))
    assert found.features.tolist() == [0, 0]
    with pytest.raises(AllmlpError, match="statistics over samples, got none"):
        scores(model, [torch.zeros(0, 2)])
