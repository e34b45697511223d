from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.models.kan import KAN


def net(**options: Any) -> Any:
    model = KAN(
        [4, [2, 3], 3, 2],
        grid=3,
        scale=True,
        affine=True,
        bias=True,
        mult_arity=[[], [2, 3, 2], [], []],
        symbolic=[(0, 1, 0, "sin"), (0, 3, 5, "x^2"), (0, 0, 8, "cos"), (1, 4, 1, "exp")],
        **options,
    ).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def inputs(count: int = 20) -> Tensor:
    return torch.rand(count, 4, dtype=torch.float64) * 2 - 1


def silence(model: KAN, layer: int, node: int) -> None:
    """Make a node 0, whatever it sees."""
    nodes = model.layers[layer].nodes
    nodes.node_scale.data[node] = 0.0
    nodes.node_bias.data[node] = 0.0


def test_everything_kept_is_the_same_network() -> None:
    model = net()
    x = inputs()
    assert torch.equal(model.keep()(x), model(x))
    assert model.keep().config == model.config.__class__(**{**vars(model.config), "in_features": 4})


@pytest.mark.parametrize("gone", [0, 1, 2, 3, 4])
def test_a_node_goes_with_its_subnodes(gone: int) -> None:
    model = net()
    silence(model, 0, gone)
    # what edges make of a silent node stays behind as a constant: subtract it by hand
    x = inputs()
    kept = [n for n in range(5) if n != gone]
    small = model.keep(nodes={1: kept})
    zero = torch.zeros(1, 5, dtype=torch.float64)
    only = model.layers[1].sums(zero) - small.layers[1].sums(zero[:, kept])
    found = model.forward_intermediates(x)
    small_found = small.forward_intermediates(x)
    torch.testing.assert_close(small_found["layers.0.nodes"], found["layers.0.nodes"][:, kept])
    torch.testing.assert_close(small_found["layers.1.sums"] + only, found["layers.1.sums"])
    arities = [a for n, a in enumerate((0, 0, 2, 3, 2)) if n != gone and a]
    assert small.layers[0].nodes.arities == tuple(arities)
    assert small.config.widths[1] == (2 - (gone < 2), 3 - (gone >= 2))
    assert small.count_parameters() == sum(p.numel() for p in small.parameters())


def test_inputs_are_remembered_in_the_state_dict() -> None:
    model = net()
    small = model.keep(inputs=[1, 3])
    x = inputs()
    y = small(x)
    x[:, [0, 2]] = torch.nan
    assert torch.equal(small(x), y)
    assert small.state_dict()["inputs"].tolist() == [1, 3]
    again = KAN.from_config(small.config).double()
    again.load_state_dict(small.state_dict())
    assert torch.equal(again(x), y)
    # what is read of what was read
    smaller = small.keep(inputs=[1])
    assert smaller.state_dict()["inputs"].tolist() == [3]
    assert smaller.in_features == 4
    assert smaller.config.symbolic == ((0, 0, 5, "x^2"), (1, 4, 1, "exp"))
    edge = model.layers[0].symbolic.affine[1]
    assert torch.equal(smaller.layers[0].symbolic.affine[0], edge)


def test_edges_are_masked_and_formulas_removed() -> None:
    model = net()
    stay = torch.ones(9, 4, dtype=torch.bool)
    stay[0, 1] = stay[2, 2] = False
    small = model.keep(edges={0: stay})
    assert small.config.mask
    assert small.config.symbolic == model.config.symbolic[1:]
    x = inputs()
    by_hand = net()
    by_hand.load_state_dict(model.state_dict())
    for s, i in ((0, 1), (2, 2)):
        by_hand.layers[0].numeric.spline_weight.data[s, :, i] = 0
        by_hand.layers[0].numeric.base_weight.data[s, i] = 0
    by_hand.layers[0].symbolic.affine.data[0, 2:] = 0
    torch.testing.assert_close(small(x), by_hand(x), rtol=1e-12, atol=1e-12)
    small(x).sum().backward()
    assert small.layers[0].numeric.spline_weight.grad[2, :, 2].abs().max() == 0
    # masks multiply, and are cut with their nodes
    twice = small.keep(inputs=[0, 1, 2], edges={0: torch.ones(9, 4, dtype=torch.bool)})
    assert twice.layers[0].numeric.mask[2].tolist() == [1, 1, 0]


def test_with_a_norm_edges_can_go_but_nodes_cannot() -> None:
    model: Any = KAN([3, 2, 1], norm=True)
    nn.init.normal_(model.layers[0].numeric.norm.weight)
    stay = torch.tensor([[True, False, True], [True, True, True]])
    small = model.keep(edges={0: stay})
    x = torch.randn(5, 3)
    by_hand = model.keep()
    by_hand.layers[0].numeric.spline_weight.data[0, :, 1] = 0
    by_hand.layers[0].numeric.base_weight.data[0, 1] = 0
    torch.testing.assert_close(small(x), by_hand(x))


def test_adapted_knots_go_with_their_inputs() -> None:
    model = net().update_grid(inputs(300) ** 3).model
    small = model.keep(inputs=[1, 3])
    knots = model.layers[0].numeric.basis.knots
    assert torch.equal(small.layers[0].numeric.basis.knots, knots[[1, 3]])
    assert not small.layers[0].numeric.basis.uniform
    assert torch.isfinite(small(inputs())).all()


def test_bad_choices() -> None:
    model = net()
    with pytest.raises(AllmlpError, match="numbers from 0 to 3, at least one, got"):
        model.keep(inputs=[])
    with pytest.raises(AllmlpError, match=r"from 0 to 4, at least one, got \[5\]"):
        model.keep(nodes={1: [5]})
    with pytest.raises(AllmlpError, match="come twice"):
        model.keep(inputs=[1, 1])
    with pytest.raises(AllmlpError, match="hidden entries of widths, 1 to 2, got 3"):
        model.keep(nodes={3: [0]})
    with pytest.raises(AllmlpError, match=r"of shape \(9, 4\), got torch.bool of \(4, 9\)"):
        model.keep(edges={0: torch.ones(4, 9, dtype=torch.bool)})
    with pytest.raises(AllmlpError, match="3 layers has no edges in layer 3"):
        model.keep(edges={3: torch.ones(1, 1, dtype=torch.bool)})
    with pytest.raises(AllmlpError, match="norm normalises over all nodes"):
        KAN([3, 2, 1], norm=True).keep(inputs=[0])
