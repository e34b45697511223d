import numpy as np
import pytest
import sympy
import torch

from allmlp.errors import AllmlpError
from allmlp.interpret.kan import from_formula, symbolic_formula

FORMULAS = [
    "exp(sin(pi*x) + y**2)",
    "x*y",
    "x*y*(x + 2*y + 3) + x",
    "sin(x) + x**2 + x + x**3",
    "(x + 1.5)/(2 + y)",
    "sqrt(x**2 + y**2 + 1)*exp(-x)",
    "2*x - 3*y + 4",
    "x",
    "7",
    "tanh(2*x + log(3 + y))**2 - 1/(3 + x*y)",
    "exp(x*sin(y))*exp(x*sin(y) + 1)",
    "(x + y)**2*(x - y)**3*cos(x*y) + pi",
    "(y + 3)**Rational(3, 2) - asin(x/2)",
]


def check(formulas: list[str]) -> None:
    x = torch.rand(40, 2, dtype=torch.float64) * 2 - 1
    model = from_formula(formulas, ["x", "y"])
    symbols = sympy.symbols("x y")
    expected = [
        np.broadcast_to(sympy.lambdify(symbols, sympy.sympify(f))(*x.T.numpy()), len(x))
        for f in formulas
    ]
    np.testing.assert_allclose(
        model(x).detach().numpy(), np.stack(expected, 1), rtol=1e-12, atol=1e-12
    )
    assert symbolic_formula(model, x, names=["x", "y"], tolerance=1e-6).deviation < 1e-6


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_network_is_the_formula(formula: str) -> None:
    check([formula])


def test_several_outputs_share_what_they_can() -> None:
    check([*FORMULAS[:4], FORMULAS[0]])
    model = from_formula(["exp(x + y)", "sin(x + y)"], ["x", "y"])
    assert model.config.widths == (2, 1, 2)


def test_random_state_stays() -> None:
    state = torch.random.get_rng_state()
    from_formula("x + y", ["x", "y"])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_mistakes() -> None:
    with pytest.raises(AllmlpError, match="has z, which symbols do not list"):
        from_formula("x + z", ["x"])
    with pytest.raises(AllmlpError, match=r"no edge for x\*\*7"):
        from_formula("x**7", ["x"])
    with pytest.raises(AllmlpError, match="no edge for gamma"):
        from_formula("gamma(x)", ["x"])


def test_powers_may_be_written_as_decimals() -> None:
    model = from_formula("x**0.5 + 3*y**1.5 + x**2.0", ["x", "y"])
    x = torch.tensor([[4.0, 9.0]], dtype=torch.float64)
    assert model(x).item() == pytest.approx(2 + 81 + 16)
    with pytest.raises(AllmlpError, match="no edge for"):
        from_formula("x**0.3", ["x"])
