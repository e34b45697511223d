import math
import pickle

import pytest
import torch

from allmlp.errors import AllmlpError
from allmlp.ops.symbolic import ALIASES, LIBRARY, SymbolicFunction, find_function

# specs: pykan's table of complexities
COMPLEXITY = {
    0: ["0"],
    1: ["x"],
    2: ["x^2", "1/x", "1/x^2", "sqrt", "1/sqrt", "exp", "log", "sin", "cos"],
    3: ["x^3", "x^4", "x^5", "1/x^3", "abs", "tan", "tanh", "sgn", "gaussian"],
    4: ["1/x^4", "x^1.5", "arcsin", "arccos", "arctan", "arctanh"],
    5: ["1/x^5"],
}
NASTY = [0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 1e30, -1e30, math.pi / 2, 88.0, 1e3, -1e3, 1.5, -0.3]


def test_names_and_complexities_are_pykans() -> None:
    expected = {name: c for c, names in COMPLEXITY.items() for name in names}
    assert {name: f.complexity for name, f in LIBRARY.items()} == expected


@pytest.mark.parametrize("name", LIBRARY)
def test_formula_is_the_function(name: str) -> None:
    import sympy

    function = LIBRARY[name]
    x = torch.linspace(-2.03, 2.02, 41, dtype=torch.float64)
    x = x[function.in_domain(x)]
    formula = sympy.lambdify(sympy.Symbol("t"), function.expression(sympy.Symbol("t")), "math")
    expected = torch.tensor([float(formula(v)) for v in x.tolist()], dtype=torch.float64)
    assert len(x) > 10
    torch.testing.assert_close(function(x), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LIBRARY)
def test_finite_with_finite_gradient_everywhere(name: str, dtype: torch.dtype) -> None:
    x = torch.tensor(NASTY, dtype=dtype)
    if name.startswith("x^"):
        x = x.clamp(-1e3, 1e3)  # a power's own overflow is no singularity
    x.requires_grad_()
    y = LIBRARY[name](x)
    (y + 0 * x).sum().backward()
    assert torch.isfinite(y).all()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("name", [name for name in LIBRARY if name != "0"])
def test_gradcheck_inside(name: str) -> None:
    function = LIBRARY[name]
    x = torch.tensor([-1.3, -0.6, -0.2, 0.2, 0.6, 1.3], dtype=torch.float64)
    x = x[function.in_domain(x)].requires_grad_()
    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(function, (x,))


def test_outside_it_takes_the_nearest_value() -> None:
    x = torch.tensor([-3.0, 3.0], dtype=torch.float64)
    # one rounding unit inside of the domain: sqrt(2 eps) of an arcsine
    assert LIBRARY["sqrt"](x).tolist() == pytest.approx([0.0, 3**0.5], abs=1e-15)
    assert LIBRARY["arcsin"](x).tolist() == pytest.approx([-math.pi / 2, math.pi / 2], abs=3e-8)


def test_domains() -> None:
    x = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0, torch.nan, torch.inf])
    inside = {name: LIBRARY[name].in_domain(x).tolist() for name in ("sqrt", "log", "arcsin")}
    assert inside["sqrt"] == [False, False, True, True, True, False, False]
    assert inside["log"] == [False, False, False, True, True, False, False]
    assert inside["arcsin"] == [False, True, True, True, False, False, False]
    assert LIBRARY["arctanh"].in_domain(x).tolist()[:5] == [False, False, True, False, False]
    assert LIBRARY["1/x"].in_domain(x).tolist()[:5] == [True, True, False, True, True]


def test_finding() -> None:
    assert find_function("x^0.5") is LIBRARY["sqrt"]
    assert all(house in LIBRARY for house in ALIASES.values())
    with pytest.raises(AllmlpError, match="unknown symbolic function 'sine'; did you mean sin"):
        find_function("sine")
    own = SymbolicFunction(name="sin", function=torch.cos, complexity=1)
    assert find_function("sin", [own]) is own
    with pytest.raises(AllmlpError, match="sin has no formula"):
        own.expression("x")


def test_bad_functions() -> None:
    with pytest.raises(AllmlpError, match="needs a name"):
        SymbolicFunction(name="", function=torch.sin, complexity=1)
    with pytest.raises(AllmlpError, match="complexity of at least 0, got -1"):
        SymbolicFunction(name="f", function=torch.sin, complexity=-1)
    with pytest.raises(AllmlpError, match="needs low < high"):
        SymbolicFunction(name="f", function=torch.sin, complexity=1, low=1.0, high=1.0)


def test_sympy_is_not_imported_with_the_library() -> None:
    import subprocess
    import sys

    code = "import sys, allmlp.ops.symbolic, allmlp.layers; print('sympy' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # torch itself imports sympy only for compilation
    assert ended.stdout.strip() == "False"


@pytest.mark.parametrize("name", LIBRARY)
def test_a_function_is_pickled(name: str) -> None:
    x = torch.linspace(0.1, 0.9, 5)
    again = pickle.loads(pickle.dumps(LIBRARY[name]))
    assert torch.equal(again(x), LIBRARY[name](x))
    assert again.name == name


def test_one_of_ones_own_comes_before_another_name_of_the_library() -> None:
    own = SymbolicFunction(name="x^0.5", function=torch.abs, complexity=1, formula="Abs(x)")
    assert find_function("x^0.5", [own]) is own
    assert find_function("x^0.5").name == "sqrt"
