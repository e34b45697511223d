from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev

from allmlp.errors import AllmlpError
from allmlp.models.kan import KAN
from allmlp.training.kan_jacobian import kan_jacobian, trained_parameters


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": True, "mask": True, "bias": True},
        {"base": None, "basis": "chebyshev", "degree": 4},
        {"norm": True, "base": "gelu"},
        {"symbolic": [(0, 0, 1, "sin"), (0, 1, 1, "0"), (1, 0, 0, "x^2"), (1, 2, 1, "exp")]},
        {"scaled": True},
    ],
)
def test_against_autograd(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = KAN([2, [2, 1], 2], 4 if "degree" not in options else 5, **options).double()
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, std=0.5)
        parameter.requires_grad_("norm" not in name)
    if options.get("mask"):
        model.layers[0].numeric.mask[1, 0] = 0
    x = torch.rand(7, 2, dtype=torch.float64) * 2 - 1
    outputs, found = kan_jacobian(model, x)
    torch.testing.assert_close(outputs, model(x).detach(), rtol=0, atol=0)
    values = {name: p.detach() for name, p in trained_parameters(model).items()}
    whole = jacrev(lambda given: functional_call(model, given, (x,)))(values)
    expected = torch.cat([whole[name].flatten(2) for name in values], dim=2)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


def test_frozen_parts_are_left_out() -> None:
    model = KAN([2, 3, 1], grid=3)
    model.layers[0].numeric.base_weight.requires_grad_(False)
    assert kan_jacobian(model, torch.rand(4, 2))[1].shape == (4, 1, model.count_parameters() - 6)


def test_a_layer_may_be_frozen() -> None:
    model = KAN([2, 3, 1], grid=3)
    model.layers[0].requires_grad_(False)
    assert kan_jacobian(model, torch.rand(4, 2))[1].shape == (4, 1, 3 * 7)


def test_mistakes() -> None:
    with pytest.raises(AllmlpError, match="trains layers.0.nodes.subnode_scale as well; freeze"):
        trained_parameters(KAN([2, 1], affine=True))
    with pytest.raises(AllmlpError, match="no parameter to train"):
        trained_parameters(KAN([2, 1]).requires_grad_(False))
