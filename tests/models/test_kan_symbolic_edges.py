from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from allmlp.errors import AllmlpError
from allmlp.models.kan import KAN
from allmlp.ops.symbolic import SymbolicFunction
from allmlp.zoo import load_model, save_model


def net(**options: Any) -> KAN:
    symbolic = [(0, 1, 0, "sin"), (1, 0, 1, "exp")]
    model = KAN([2, [1, 1], 2], grid=3, scale=True, affine=True, symbolic=symbolic, **options)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.double()


def test_a_formula_stands_in_place_of_the_spline_and_goes_again() -> None:
    model = net()
    x = torch.rand(30, 2, dtype=torch.float64)
    fixed = model.set_symbolic({(0, 0, 2): ("x^2", (2.0, 1.0, 0.5, -1.0))})
    assert fixed.config.symbolic == ((0, 1, 0, "sin"), (0, 0, 2, "x^2"), (1, 0, 1, "exp"))
    spline, base = model.layers[0].numeric.edge_weights(), model.layers[0].numeric
    edge = base.edge_functions(x)[:, 0] @ spline[2, 0]
    expected = model.layers[0].sums(x)
    expected[:, 2] += 0.5 * (2 * x[:, 0] + 1) ** 2 - 1 - edge
    torch.testing.assert_close(fixed.layers[0].sums(x), expected, rtol=1e-13, atol=1e-13)
    back = fixed.set_symbolic({(0, 0, 2): None})
    assert back.config.symbolic == model.config.symbolic
    torch.testing.assert_close(back(x), model(x), rtol=0, atol=0)


def test_another_formula_replaces_the_first() -> None:
    model = net().set_symbolic({(0, 1, 0): ("cos", (1.0, 0.0, 1.0, 0.0))})
    assert model.config.symbolic == ((0, 1, 0, "cos"), (1, 0, 1, "exp"))


def test_everything_else_is_kept(tmp_path: Path) -> None:
    model = net(outside="clamp").eval()
    model.layers[1].numeric.scale.requires_grad_(False)
    state = torch.random.get_rng_state()
    own = SymbolicFunction(name="bump", function=lambda x: (-(x**4)).exp(), complexity=3)
    fixed = model.set_symbolic({(1, 1, 0): ("bump", (1.0, 0.0, 1.0, 0.0))}, [own])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not fixed.training
    assert not fixed.layers[1].numeric.scale.requires_grad
    assert fixed.layers[0].numeric.basis.outside == "clamp"
    x = torch.rand(5, 2, dtype=torch.float64)
    loaded = load_model(save_model(fixed, tmp_path / "kan"), functions=[own])
    torch.testing.assert_close(loaded(x), fixed(x), rtol=0, atol=0)


def test_mistakes() -> None:
    model, formula = net(), ("sin", (1.0, 0.0, 1.0, 0.0))
    with pytest.raises(AllmlpError, match="no edge from input 2 to sum 0"):
        model.set_symbolic({(0, 2, 0): formula})
    with pytest.raises(AllmlpError, match="no edges in layer 2"):
        model.set_symbolic({(2, 0, 0): formula})
    with pytest.raises(AllmlpError, match="unknown symbolic function 'sine'"):
        model.set_symbolic({(0, 0, 0): ("sine", (1.0, 0.0, 1.0, 0.0))})
    with pytest.raises(AllmlpError, match="four finite numbers"):
        model.set_symbolic({(0, 0, 0): ("sin", (1.0, float("nan"), 1.0, 0.0))})
