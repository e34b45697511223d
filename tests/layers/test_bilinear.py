from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from allmlp.errors import AllmlpError
from allmlp.layers import GatedLinear, GatedMlp


@pytest.mark.parametrize(
    ("gate", "function"),
    [(None, lambda x: x), ("relu", F.relu), ("gelu", F.gelu), ("silu", F.silu)],
)
def test_the_formula(gate: str | None, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    layer = GatedLinear(5, 3, gate=gate).double()
    x = torch.randn(2, 4, 5, dtype=torch.float64)
    left = torch.einsum("oi,bni->bno", layer.left.weight, x) + layer.left.bias
    right = torch.einsum("oi,bni->bno", layer.right.weight, x) + layer.right.bias
    torch.testing.assert_close(layer(x), function(left) * right, rtol=1e-12, atol=1e-12)


def test_without_biases_it_is_a_quadratic_form() -> None:
    layer = GatedLinear(6, 4, bias=False).double()
    x = torch.randn(7, 6, dtype=torch.float64)
    torch.testing.assert_close(layer(-3 * x), 9 * layer(x), rtol=1e-12, atol=1e-12)
    assert not layer(torch.zeros(1, 6, dtype=torch.float64)).any()


def test_left_and_right_commute_without_a_gate_only() -> None:
    x = torch.randn(7, 6)
    for gate, same in ((None, True), ("silu", False)):
        layer = GatedLinear(6, 4, gate=gate)
        swapped = GatedLinear(6, 4, gate=gate)
        swapped.left, swapped.right = layer.right, layer.left
        assert torch.equal(layer(x), swapped(x)) is same


def test_mlp_is_the_product_behind_one_more_map() -> None:
    mlp = GatedMlp(5, 7, gate="silu")
    assert list(mlp.state_dict()) == [
        f"{part}.{kind}"
        for part in ("gated.left", "gated.right", "out")
        for kind in ("weight", "bias")
    ]
    x = torch.randn(3, 5)
    torch.testing.assert_close(mlp(x), mlp.out(mlp.gated(x)))
    assert all(
        m.bias is None for m in GatedMlp(5, 7, bias=False).modules() if isinstance(m, nn.Linear)
    )


def test_gradients() -> None:
    mlp = GatedMlp(3, 4).double()
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mlp, (x,))


def test_dropout_acts_in_training_only() -> None:
    mlp = GatedMlp(8, 16, dropout_rate=0.5)
    x = torch.randn(2, 8)
    assert not torch.equal(mlp(x), mlp(x))
    mlp.eval()
    assert torch.equal(mlp(x), mlp(x))


def test_mistakes_are_answered() -> None:
    with pytest.raises(AllmlpError, match="integer out_features of at least 1, got 0"):
        GatedMlp(4, 0)
    with pytest.raises(AllmlpError, match="unknown gate 'swish'; choose one of: gelu, relu, silu"):
        GatedLinear(4, 4, gate="swish")
    with pytest.raises(AllmlpError, match=r"takes 4 inputs, got inputs of shape \(2, 5\)"):
        GatedLinear(4, 3)(torch.zeros(2, 5))
    with pytest.raises(AllmlpError, match=r"dropout_rate in \[0, 1\), got 1.0"):
        GatedMlp(4, 4, dropout_rate=1.0)
