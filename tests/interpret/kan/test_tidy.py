import numpy as np
import pytest
import sympy

from allmlp.errors import AllmlpError
from allmlp.interpret.kan import Formula, tidy

A, B = sympy.symbols("a b", real=True)
X = np.random.default_rng(0).uniform(0.5, 2, (200, 2))


def short(text: str, tolerance: float = 1e-3) -> sympy.Expr:
    expression = sympy.sympify(text, locals={"a": A, "b": B})
    formula = Formula((expression,), (A, B), 0.0, None)
    (found,) = tidy(formula, X, tolerance=tolerance)
    values = formula(X)[:, 0]
    difference = np.abs(sympy.lambdify((A, B), found)(*X.T) - values).max()
    assert difference <= tolerance * values.std()
    return found


@pytest.mark.parametrize(
    ("long", "expected"),
    [
        ("exp(0.99733*(1.00134*b + 3.0e-10)**2 - 1.0*sin(3.0000001*a))", "exp(b**2 - sin(3*a))"),
        ("2.00000006*a + 1.000008*log(1.0213412*b + 1.5e-5) - 0.0211168", "2*a + log(b)"),
        ("4.446*a**0.5/(0.500735*b + 2.22e-16)**0.5", "6.283*sqrt(a)/sqrt(b)"),
        ("1.0*Abs(1.0*a)", "Abs(a)"),
        ("0.1234567*a", "0.12346*a"),
    ],
)
def test_shorter_and_still_true(long: str, expected: str) -> None:
    assert str(short(long)) == expected


def test_a_larger_tolerance_is_used() -> None:
    assert str(short("3.14159*a + 0.001*b", 1e-2)) == "3.14*a"
    assert str(short("3.14159*a + 0.001*b", 1e-7)) == "3.14159*a + 0.001*b"


def test_what_matters_only_somewhere_stays() -> None:
    assert B in short("1000*a + exp(20*(b - 2))*1e4").free_symbols


def test_mistakes() -> None:
    formula = Formula((sympy.log(A - 1),), (A, B), 0.0, None)
    with pytest.raises(AllmlpError, match="values that are not finite on these data"):
        tidy(formula, X)
    with pytest.raises(AllmlpError, match="got no rows"):
        tidy(formula, X[:0])
