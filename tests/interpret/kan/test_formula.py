from typing import Any

import numpy as np
import pytest
import sympy
import torch
from torch import Tensor, nn

from allmlp.errors import AllmlpError
from allmlp.interpret.kan import Formula, symbolic_formula
from allmlp.models.kan import KAN

NAMES = ["sin", "x^2", "exp", "x", "cos", "tanh", "gaussian", "x^3"]


def data(columns: int, count: int = 50) -> Tensor:
    return torch.rand(count, columns, dtype=torch.float64) * 2 - 1


def all_formulas(widths: list[int | list[int]], arity: object) -> KAN:
    """A network whose every edge is a formula, with random affine maps everywhere."""
    plain = KAN(widths, mult_arity=arity, affine=True, bias=True).double()
    edges: dict[Any, Any] = {}
    for layer in range(plain.config.depth):
        for i in range(plain.config.width(layer)):
            for s in range(plain.config.subnodes(layer + 1)):
                edges[layer, i, s] = (NAMES[len(edges) % 8], (1.0, 0.0, 1.0, 0.0))
    model = plain.set_symbolic(edges)
    for parameter in model.parameters():
        nn.init.uniform_(parameter, 0.5, 1.0)
    return model


@pytest.mark.parametrize("arity", [2, 3, 4])
def test_formula_is_the_network(arity: int) -> None:
    # two product nodes: an index with stride two would be right for arity two alone
    model, x = all_formulas([2, [1, 2], 2], arity), data(2)
    formula = symbolic_formula(model, x, held_out=data(2))
    np.testing.assert_allclose(formula(x), model(x).detach().numpy(), rtol=1e-11, atol=1e-9)
    assert formula.deviation < 1e-10
    assert formula.held_out_deviation is not None
    assert formula.held_out_deviation < 1e-10
    assert len(formula.latex()) == 2
    assert formula.complexity > 20


def test_arities_of_every_node() -> None:
    model, x = all_formulas([2, [0, 2], 1], [[], [2, 3], []]), data(2)
    assert symbolic_formula(model, x).deviation < 1e-10


def test_units_of_the_data() -> None:
    model, x = all_formulas([2, 2, 1], 2), data(2)
    mean, std = torch.tensor([5.0, -300.0]).double(), torch.tensor([0.1, 40.0]).double()
    formula = symbolic_formula(model, x, inputs=(mean, std), outputs=([10.0], [2.0]))
    raw = x * std + mean
    expected = model(x).detach().numpy() * 2 + 10
    np.testing.assert_allclose(formula(raw), expected, rtol=1e-9, atol=1e-9)


def test_columns_that_are_not_read_and_names() -> None:
    model = KAN([3, 1]).double().keep(inputs=[2])
    model = model.set_symbolic({(0, 0, 0): ("sin", (2.0, 0.0, 1.0, 0.0))})
    formula = symbolic_formula(model, data(3), names=["mass", "charge", "t"])
    assert formula.expressions == (sympy.sin(2 * sympy.Symbol("t", real=True)),)


def test_constants_have_one_value_for_every_row() -> None:
    model = KAN([1, 1]).double().set_symbolic({(0, 0, 0): ("0", (1.0, 0.0, 1.0, 3.0))})
    assert symbolic_formula(model, data(1))(data(1)).tolist() == [[3.0]] * 50


def test_rounding_is_verified() -> None:
    model, x = all_formulas([2, 2, 1], 2), data(2)
    with pytest.raises(AllmlpError, match="must agree with the network to 1e-07"):
        symbolic_formula(model, x, digits=3)
    rough = symbolic_formula(model, x, digits=3, tolerance=1.0)
    assert 1e-6 < rough.deviation < 1


def test_a_formula_that_leaves_its_domain_is_refused() -> None:
    model = KAN([1, 1]).double().set_symbolic({(0, 0, 0): ("log", (1.0, 0.0, 1.0, 0.0))})
    inside = data(1).abs() + 0.1
    assert symbolic_formula(model, inside).deviation < 1e-12
    # the network goes on with the logarithm of the smallest number, the formula has no value
    with pytest.raises(AllmlpError, match="on the data it differs by nan"):
        symbolic_formula(model, data(1))
    with pytest.raises(AllmlpError, match="on held-out data it differs by nan"):
        symbolic_formula(model, inside, held_out=data(1))


def test_where_a_formula_is_not_real_it_is_nothing() -> None:
    """A constant column beyond its function's domain leaves a complex number (seed 887)."""
    x = sympy.Symbol("x1")
    formula = Formula((x + sympy.log(-2.0), x + sympy.log(2.0)), (x,), 0.0, None)
    values = formula(np.array([[0.0], [1.0]]))
    assert np.isnan(values[:, 0]).all()
    np.testing.assert_allclose(values[:, 1], np.log(2) + np.array([0.0, 1.0]), rtol=1e-15)


def test_mistakes() -> None:
    with pytest.raises(AllmlpError, match=r"\(0, 0, 0\), .* and 3 more .* still carry splines"):
        symbolic_formula(KAN([2, 2, 1]).double(), data(2))
    model = all_formulas([2, 1], 2)
    with pytest.raises(AllmlpError, match="2 columns, got 1 names"):
        symbolic_formula(model, data(2), names=["a"])
    with pytest.raises(AllmlpError, match="positive deviations"):
        symbolic_formula(model, data(2), inputs=([0.0, 0.0], [1.0, 0.0]))
    with pytest.raises(AllmlpError, match="no rows"):
        symbolic_formula(model, data(2)[:0])
