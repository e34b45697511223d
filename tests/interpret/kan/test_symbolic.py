import math

import pytest
import torch
from torch import Tensor

from allmlp.errors import AllmlpError
from allmlp.interpret.kan import (
    add_function,
    auto_symbolic,
    edge_curves,
    fix_symbolic,
    suggest_symbolic,
    symbolic_formula,
    unfix,
)
from allmlp.models.kan import KAN
from allmlp.ops.symbolic import SymbolicFunction


def data(count: int = 400) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 2, dtype=torch.float64, generator=generator) * 2 - 1


def splines_of(model: KAN) -> KAN:
    """The network with every formula refitted as a spline of twenty intervals."""
    plain = KAN(model.config.widths, grid=20, base=None, grid_range=(-4, 4)).double()
    for number, layer in enumerate(plain.layers):
        z = torch.linspace(-4, 4, 300, dtype=torch.float64)[:, None].expand(
            -1, layer.numeric.in_features
        )
        functions = layer.numeric.edge_functions(z)
        for e, edge in enumerate(model.layers[number].symbolic.edges):
            y = model.layers[number].symbolic.edge_values(z)[:, e]
            found = torch.linalg.lstsq(functions[:, edge.input], y[:, None]).solution[:, 0]
            layer.numeric.spline_weight.data[edge.output, :, edge.input] = found
    return plain


def law() -> KAN:
    """exp(sin(pi x) + y^2)."""
    model = KAN([2, 1, 1]).double()
    return model.set_symbolic({
        (0, 0, 0): ("sin", (math.pi, 0.0, 1.0, 0.0)),
        (0, 1, 0): ("x^2", (1.0, 0.0, 1.0, 0.0)),
        (1, 0, 0): ("exp", (1.0, 0.0, 1.0, 0.0)),
    })  # fmt: skip


def test_the_law_is_read_off_splines() -> None:
    x, model = data(), splines_of(law())
    dry = auto_symbolic(model, x, dry_run=True)
    assert dry.model is model
    assert [c.function for c in dry.chosen] == ["sin", "x^2", "exp"]
    assert min(c.r2 for c in dry.chosen) > 1 - 1e-4
    assert dry.left == ()
    for candidates in dry.candidates:
        assert [c.bits for c in candidates] == sorted(c.bits for c in candidates)
    formula = symbolic_formula(auto_symbolic(model, x).model, x, held_out=data(50))
    truth = torch.exp(torch.sin(math.pi * x[:, 0]) + x[:, 1] ** 2)
    assert abs(formula(x)[:, 0] - truth.numpy()).max() < 0.02


def test_edges_that_nothing_explains_stay() -> None:
    x, model = data(), splines_of(law())
    found = auto_symbolic(model, x, functions=["x"], r2_threshold=0.999)
    assert set(found.left) == {(0, 0, 0), (0, 1, 0), (1, 0, 0)}
    torch.testing.assert_close(found.model(x), model(x), rtol=0, atol=0)


def test_a_tiny_sine_is_a_sine() -> None:
    model = KAN([1, 1]).double()
    model = model.set_symbolic({(0, 0, 0): ("sin", (2.0, 0.5, 1e-3, 7.0))})
    names = ["x", "x^2", "sin", "exp", "gaussian"]
    best = suggest_symbolic(model, 0, 0, 0, data()[:, :1], functions=names)[0]
    assert best.function == "sin"
    assert best.r2 > 1 - 1e-9


def test_price() -> None:
    model = KAN([1, 1]).double().set_symbolic({(0, 0, 0): ("sin", (2.0, 0.0, 1.0, 0.0))})
    x = data()[:, :1]
    free, dear = (
        suggest_symbolic(model, 0, 0, 0, x, functions=["x", "x^2", "sin"], price=price)[0].function
        for price in (0.0, 50.0)
    )
    assert (free, dear) == ("sin", "x")


def test_fix_and_unfix() -> None:
    x, model = data(), KAN([2, 2, 1]).double()
    fixed = fix_symbolic(model, 0, 1, 0, "x", x)
    assert fixed.config.symbolic == ((0, 1, 0, "x"),)
    # the line is the regression of the curve
    curve = edge_curves(model, x, [(0, 1, 0)])
    line = edge_curves(fixed, x, [(0, 1, 0)])
    assert ((curve.y - line.y) * curve.x).sum().abs() < 1e-10
    torch.testing.assert_close(unfix(fixed, 0, 1, 0)(x), model(x), rtol=0, atol=0)
    by_hand = fix_symbolic(model, 0, 1, 0, "cos", affine=(1.0, 2.0, 3.0, 4.0))
    assert by_hand.layers[0].symbolic.affine.tolist() == [[1, 2, 3, 4]]
    with pytest.raises(AllmlpError, match="is no formula"):
        unfix(model, 0, 1, 0)


def test_own_functions() -> None:
    bessel = SymbolicFunction(
        name="j0", function=torch.special.bessel_j0, complexity=2, formula="besselj(0, x)"
    )
    x, model = data(), add_function(KAN([2, 1]).double(), bessel)
    fixed = model.set_symbolic({
        (0, 0, 0): ("j0", (6.0, 0.0, 2.0, 0.0)),
        (0, 1, 0): ("x", (1.0, 0.0, 1.0, 0.0)),
    })  # fmt: skip
    # torch and scipy evaluate it to seven digits alike
    assert "besselj" in str(symbolic_formula(fixed, x, tolerance=1e-5))
    with pytest.raises(AllmlpError, match="already; choose another name"):
        add_function(model, SymbolicFunction(name="sin", function=torch.sin, complexity=2))


def test_mistakes() -> None:
    x, model = data(), KAN([2, 2, 1]).double()
    with pytest.raises(AllmlpError, match="no edge"):
        suggest_symbolic(model, 0, 2, 0, x)
    with pytest.raises(AllmlpError, match="no edge"):
        suggest_symbolic(model, 5, 0, 0, x)
    with pytest.raises(AllmlpError, match="LayerNorm makes each"):
        auto_symbolic(KAN([2, 2, 1], norm=True).double(), x)
    with pytest.raises(AllmlpError, match="needs x to fit"):
        fix_symbolic(model, 0, 0, 0, "sin")
    with pytest.raises(AllmlpError, match="at least one function, got none"):
        auto_symbolic(model, x, functions=[])


def test_nothing_left_to_name() -> None:
    found = auto_symbolic(law(), data())
    assert (found.chosen, found.left) == ((), ())
